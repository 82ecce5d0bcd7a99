"""The conversation that is stored for every provider: something of everything that a request may have to tell."""

import base64
import json
from collections.abc import Awaitable, Callable, Sequence

from google.protobuf import json_format

from managedagents.v1 import agent_event_pb2, agent_pb2, content_pb2, user_event_pb2
from support.calls import Event, follow, until
from support.driven import Driven
from support.wires import faults
from support.wires.told import Call, Say, Think, Told, Usage, answer, error

DEFINITION = json_format.ParseDict(
    {
        "name": "golden",
        "system": "You help with the weather.\nAnswer in “plain” words, Größe in cm.",
        "tools": [
            {
                "custom": {
                    "name": "lookup",
                    "description": "Looks a city up.",
                    "input_schema_json": (
                        '{"type": "object", "properties": {"z": {"type": "integer"}, "city": {"type": "string"}}}'
                    ),
                }
            },
            {"custom": {"name": "measure"}},
        ],
        "model_settings": {"max_tokens": 4096},
        "compaction": {"window_tokens": "100000"},
    },
    agent_pb2.AgentDefinition(),
)

_PICTURE = content_pb2.Content(
    image=content_pb2.ImageContent(
        media_type="image/png",
        data=base64.b64decode(
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
        ),
    )
)

BEFORE: Sequence[Told] = (
    answer(Think("a city"), Say("I look."), Call("lookup", '{"city": ', '"Köln"}')),
    answer(Say("It rains in Köln.")),
)
"""What another provider answers in the first turn."""

AFTER: Sequence[Told] = (
    answer(
        Think("Two things ", "to find out."),
        Say("Let me ", "see."),
        Call("lookup", '{"z": 1, ', '"city": "São Paulo"}'),
        Call("measure", '{"n":1e3,"deep":{"list":[1, 2.50, null]},"html":"<b>&\\u00e9"}'),
    ),
    answer(Think("One of them failed."), Say("It is sunny, 21 °C."), usage=Usage(input=90_000, output=30)),
    answer(Say("Rain in Köln; sun in São Paulo.")),
    answer(Say("I cannot help with that."), stop="refusal"),
    error("content_rejected"),
    answer(Think(), Say("Once more."), Call("measure")),
    answer(Think("Now I know."), Say("12 cm.")),
    answer(Say("never"), fault=faults.stalls_first()),
)
"""What the provider answers in the turns after that; the third is the summary."""


async def hold(session: Driven, change_provider: Callable[[], Awaitable[None]]) -> list[Event]:
    """Leaves when the last turn has begun, whose request is never answered. Gives the log."""
    await _turn(session, [_text("What is it like in Köln?")])
    await change_provider()
    await _turn(session, [_text("And here? <b>&</b>"), _PICTURE])
    await _turn(session, [_text("Tell me a secret.")])
    await _turn(session, [_text("Something that is not allowed.")])
    await _turn(session, [_text("And how big is it?")])
    last = await session.send("Thanks. 👋")
    await until(session.stub, session.session_id, lambda event: event.HasField("status_running") and event.turn == last)
    return await session.log()


async def _turn(session: Driven, content: Sequence[content_pb2.Content]) -> None:
    said = user_event_pb2.UserEvent(user_message=user_event_pb2.UserMessage(content=content))
    seq = await session.send(said)
    async for event in follow(session.stub, session.session_id, seq):
        if event.HasField("agent_custom_tool_use"):
            await session.send(user_event_pb2.UserEvent(user_custom_tool_result=_result(event.agent_custom_tool_use)))
        if event.HasField("status_idle"):
            return


def _result(use: agent_event_pb2.AgentCustomToolUse) -> user_event_pb2.UserCustomToolResult:
    match use.name, json.loads(use.input_json):
        case "lookup", {"city": city}:
            content, is_error = [_text(f"{city}: 21 °C"), _text("as of now")], False
        case "measure", given if not given:
            content, is_error = [_text("12 cm, as you see"), _PICTURE], False
        case _:
            content, is_error = [_text("the ruler is lost")], True
    return user_event_pb2.UserCustomToolResult(
        custom_tool_use_id=use.custom_tool_use_id, content=content, is_error=is_error
    )


def _text(words: str) -> content_pb2.Content:
    return content_pb2.Content(text=content_pb2.TextContent(text=words))
