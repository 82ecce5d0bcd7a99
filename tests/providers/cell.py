"""One row of one vendor, played through a real server."""

import base64
import json
from collections.abc import Sequence

from google.protobuf import json_format

from managedagents.v1 import agent_pb2, model_pb2, user_event_pb2
from managedagents.v1 import service_pb2 as pb
from providers.rows import PICTURE, Row
from support.calls import Event, answer, follow, kind
from support.driven import Driven, drive, lines, texts
from support.keys import KEYMARK, key
from support.server import Stub
from support.wires import OLLAMA, Vendor, Wire
from support.wires.told import Call, Say, Think

LOOKUP = '{"type": "object", "properties": {"z": {"type": "integer"}}}'
LOCAL = ("--allow-address", "127.0.0.0/8")
"""Lets a server talk to the fakes."""


def agent(
    wire: Wire, effort: agent_pb2.ThinkingEffort.ValueType = agent_pb2.THINKING_EFFORT_UNSPECIFIED
) -> agent_pb2.AgentDefinition:
    vendor = wire.vendor
    model = agent_pb2.ProviderModel(
        provider=vendor.provider, model=vendor.model, base_url=wire.base_url, api_key=key(vendor.name)
    )
    custom = [
        agent_pb2.CustomTool(name="lookup", description="Looks it up.", input_schema_json=LOOKUP),
        agent_pb2.CustomTool(name="other"),
    ]
    return agent_pb2.AgentDefinition(
        name=f"asks {vendor}",
        system="Be brief.",
        model=agent_pb2.Model(provider_model=model),
        model_settings=agent_pb2.ModelSettings(max_tokens=4096, thinking_effort=effort),
        tools=[agent_pb2.Tool(custom=tool) for tool in custom],
    )


async def play(stub: Stub, vendor: Vendor, row: Row) -> None:
    """Raises AssertionError where the events are others than the row's, or the wire is not as it should be."""
    async with Wire(vendor, *row.told) as wire:
        session = await drive(stub, agent(wire, row.effort))
        message = user_event_pb2.UserMessage(content=row.content)
        await session.send(user_event_pb2.UserEvent(user_message=message))
        events = await _until_idle(session, row)
        requests = wire.requests
    seen = [line.partition(" ")[2] for line in lines(events)]
    assert seen == row.expected(vendor), f"{vendor}: {seen}; {_errors(events)}"
    assert all(vendor.key(request) == key(vendor.name) for request in requests)
    assert KEYMARK not in "".join(json_format.MessageToJson(event) for event in events), "a key is in the log"
    assert _excluded(events) == row.excluded
    _check_contents(events, row)
    _check_usage(events[-1].status_idle.usage, vendor, row)
    if any(block.HasField("image") for block in row.content):
        assert base64.b64encode(PICTURE) in requests[0].body
    retries = [event for event in events if kind(event) == "status.rescheduling"]
    # What is asked again is asked in the same words.
    assert not retries or len({request.body for request in requests}) == 1


async def _until_idle(session: Driven, row: Row) -> list[Event]:
    events: list[Event] = []
    async for event in follow(session.stub, session.session_id):
        events.append(event)
        match kind(event):
            case "agent.custom_tool_use":
                await session.send(answer(event.agent_custom_tool_use.custom_tool_use_id, "found"))
            case "status.rescheduling" if row.retry_after is not None:
                delay = event.status_rescheduling.delay.ToTimedelta().total_seconds()
                assert delay >= row.retry_after, f"waits {delay} s"
                await session.stub.Interrupt(pb.InterruptRequest(session_id=session.session_id))
            case "status.idle":
                break
    return events


def _check_contents(events: Sequence[Event], row: Row) -> None:
    parts = [part for told in row.answers for part in told.parts]
    thoughts = [event.agent_thinking.text for event in events if event.HasField("agent_thinking")]
    uses = [event.agent_custom_tool_use for event in events if event.HasField("agent_custom_tool_use")]
    assert texts(events) == [part.text for part in parts if isinstance(part, Say)]
    assert thoughts == [part.text for part in parts if isinstance(part, Think)]
    assert [(use.name, json.loads(use.input_json)) for use in uses] == [
        (part.name, json.loads(part.input_json)) for part in parts if isinstance(part, Call)
    ]


def _check_usage(usage: model_pb2.Usage, vendor: Vendor, row: Row) -> None:
    counted = [told.usage for told in row.answers]
    details = 0 if vendor is OLLAMA else 1
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.reasoning_tokens) == (
        sum(one.input for one in counted),
        sum(one.output for one in counted),
        sum(one.cached for one in counted) * details,
        sum(one.reasoning for one in counted) * details,
    )


def _excluded(events: Sequence[Event]) -> bool:
    return any(event.error.turn_excluded for event in events)


def _errors(events: Sequence[Event]) -> str:
    words = [event.error.message or event.status_rescheduling.message for event in events]
    return json.dumps([word for word in words if word])
