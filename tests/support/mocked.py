"""Sessions whose model is behind a server that fakes providers, and how their turns end."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf import duration_pb2

from managedagents.v1 import agent_pb2, event_pb2, status_event_pb2
from support.calls import answer, follow, kind, send, start
from support.keys import key
from support.server import Stub

ErrorCode = status_event_pb2.ErrorCode

T = TypeVar("T")

KEY = key("mocked")
TOOL_RESULT = "21 degrees, windy"

WEATHER = agent_pb2.Tool(
    custom=agent_pb2.CustomTool(
        name="get_weather",
        description="Tells the weather in a city.",
        input_schema_json='{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}',
    )
)


def agent(
    provider: agent_pb2.Provider.ValueType,
    base_url: str,
    model: str,
    *,
    api_key: str = KEY,
    tools: Sequence[agent_pb2.Tool] = (),
    settings: agent_pb2.ModelSettings | None = None,
) -> agent_pb2.AgentDefinition:
    reference = agent_pb2.ProviderModel(provider=provider, model=model, base_url=base_url, api_key=api_key)
    return agent_pb2.AgentDefinition(
        name="mocked",
        system="Be brief.",
        model=agent_pb2.Model(provider_model=reference),
        model_settings=settings,
        tools=tools,
    )


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn from its message to its end."""

    session_id: str
    events: Sequence[event_pb2.SessionEvent]

    @property
    def kinds(self) -> list[str]:
        return [kind(event) for event in self.events]

    @property
    def delayed(self) -> list[tuple[ErrorCode.ValueType, float]]:
        """Why the model was asked again, and after how many seconds."""
        again = [event.status_rescheduling for event in self.events if event.HasField("status_rescheduling")]
        return [(event.cause, _seconds(event.delay)) for event in again]

    @property
    def causes(self) -> list[ErrorCode.ValueType]:
        return [cause for cause, _ in self.delayed]

    @property
    def errors(self) -> list[status_event_pb2.ErrorEvent]:
        return [event.error for event in self.events if event.HasField("error")]

    @property
    def text(self) -> str:
        """All that the agent said."""
        messages = [event.agent_message for event in self.events if event.HasField("agent_message")]
        return "".join(content.text.text for message in messages for content in message.content)

    @property
    def inputs(self) -> list[tuple[str, str]]:
        """Name and input of the custom tool uses."""
        uses = [event.agent_custom_tool_use for event in self.events if event.HasField("agent_custom_tool_use")]
        return [(use.name, use.input_json) for use in uses]

    @property
    def stop_reason(self) -> str:
        return self.events[-1].status_idle.stop_reason.WhichOneof("reason") or ""

    @property
    def usage(self) -> tuple[int, int]:
        """Input and output tokens."""
        spent = self.events[-1].status_idle.usage
        return spent.input_tokens, spent.output_tokens


async def first_turn(stub: Stub, definition: agent_pb2.AgentDefinition, text: str) -> Turn:
    """A new session, and its first turn to the end; custom tool uses are answered with TOOL_RESULT."""
    return await _ended(stub, await start(stub, definition, text), 0)


async def together(turns: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """At the same time; where one fails, the others are not left behind."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(turn) for turn in turns]
    return [task.result() for task in tasks]


async def next_turn(stub: Stub, before: Turn, text: str) -> Turn:
    await send(stub, before.session_id, text)
    return await _ended(stub, before.session_id, before.events[-1].seq)


async def _ended(stub: Stub, session_id: str, from_seq: int) -> Turn:
    events = []
    async for event in follow(stub, session_id, from_seq):
        events.append(event)
        if event.HasField("agent_custom_tool_use"):
            await send(stub, session_id, answer(event.agent_custom_tool_use.custom_tool_use_id, TOOL_RESULT))
        if event.HasField("status_idle") and not event.status_idle.stop_reason.HasField("requires_action"):
            return Turn(session_id, events)
    raise AssertionError(f"the stream ended after {[kind(event) for event in events]}")


def _seconds(duration: duration_pb2.Duration) -> float:
    return duration.ToNanoseconds() / 1e9
