"""What Gemini alone is sent, and does."""

from collections.abc import Callable, Sequence

import pytest

from managedagents.v1 import agent_pb2, content_pb2, status_event_pb2
from managedagents_server.providers.base import Item, Model, Said, ToolSpec
from support.asking import answered, ask, failing, request, results, said
from support.wires import GEMINI, Vendor, Wire
from support.wires.faults import Event
from support.wires.server import Step
from support.wires.told import Call, Say, answer

Made = Callable[..., Model]

LOOKUP = ToolSpec("lookup", "Looks it up.", '{"type": "object", "properties": {"z": {"type": "integer"}}}')


async def test_it_is_asked_by_the_version_that_knows_all_of_it(made: Made) -> None:
    async with Wire(GEMINI) as wire:
        await ask(made(wire), said("hi"))
    assert wire.requests[0].path == f"/v1beta/models/{GEMINI.model}:streamGenerateContent?alt=sse"


async def test_certificates_that_are_not_there_are_a_failure_of_the_turn(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/none/there.pem")
    async with Wire(GEMINI) as wire:
        failure = await failing(made(wire))
        wire.rejected.clear()
    assert failure.message.startswith("the client of gemini cannot be made: FileNotFoundError")
    assert not failure.transient
    assert not failure.content_rejected
    assert wire.requests == []


async def test_settings_are_sent_by_their_names(made: Made) -> None:
    settings = agent_pb2.ModelSettings(max_tokens=17, temperature=0.0, seed=3, stop_sequences=["END"])
    async with Wire(GEMINI) as wire:
        await made(wire).ask(request(said("hi"), settings=settings), lambda delta: None)
    sent = wire.requests[0].json["generationConfig"]
    named = {"maxOutputTokens": 17, "temperature": 0.0, "seed": 3, "stopSequences": ["END"]}
    assert {name: sent[name] for name in named} == named


@pytest.mark.parametrize(
    ("model", "effort", "sent"),
    [
        ("gemini-3-flash-preview", agent_pb2.THINKING_EFFORT_LOW, {"include_thoughts": True, "thinking_level": "LOW"}),
        ("gemini-3-flash-preview", agent_pb2.THINKING_EFFORT_NONE, {"thinking_level": "MINIMAL"}),
        ("gemini-3-pro-preview", agent_pb2.THINKING_EFFORT_NONE, {"thinking_level": "LOW"}),
        ("gemini-2.5-flash", agent_pb2.THINKING_EFFORT_HIGH, {"include_thoughts": True, "thinking_budget": 24576}),
        ("gemini-2.5-flash", agent_pb2.THINKING_EFFORT_NONE, {"thinking_budget": 0}),
    ],
)
async def test_each_generation_is_told_in_its_way_how_much_to_think(
    made: Made, model: str, effort: agent_pb2.ThinkingEffort.ValueType, sent: dict[str, object]
) -> None:
    settings = agent_pb2.ModelSettings(thinking_effort=effort)
    async with Wire(GEMINI) as wire:
        await made(wire, model=model).ask(request(said("hi"), settings=settings), lambda delta: None)
    assert wire.requests[0].json["generationConfig"]["thinkingConfig"] == sent


async def test_calls_without_ids_get_their_results_by_position(made: Made) -> None:
    talk: list[Item] = [said("one")]
    async with Wire(GEMINI, answer(Call("lookup", '{"z":1}'), Call("lookup", '{"z":2}')), answer(Say("ok"))) as wire:
        first = await made(wire).ask(request(*talk, tools=[LOOKUP]), lambda delta: None)
        talk += [answered(first, "gemini"), results("first", "second")]
        await made(wire).ask(request(*talk, tools=[LOOKUP]), lambda delta: None)
    _, calls, returns = wire.requests[1].json["contents"]
    called = [part["functionCall"]["id"] for part in calls["parts"]]
    assert [part["functionResponse"]["id"] for part in returns["parts"]] == called
    assert len(set(called)) == 2


async def test_a_prompt_that_is_blocked_is_the_contents_fault(made: Made) -> None:
    def blocked(vendor: Vendor, events: Sequence[Event]) -> tuple[Step, ...]:
        return (b'data: {"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"modelVersion":"g"}\r\n\r\n',)

    async with Wire(GEMINI, answer(Say("never"), fault=blocked)) as wire:
        failure = await failing(made(wire))
    assert failure.message == "the provider blocked what was said: PROHIBITED_CONTENT"
    assert (failure.code, failure.content_rejected) == (status_event_pb2.ERROR_CODE_MODEL_REJECTED, True)


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "OTHER", "LANGUAGE"])
async def test_an_end_that_is_none_is_asked_again(made: Made, reason: str) -> None:
    def ended(vendor: Vendor, events: Sequence[Event]) -> tuple[Step, ...]:
        return tuple(event.data.replace(b'"STOP"', f'"{reason}"'.encode()) for event in events)

    async with Wire(GEMINI, answer(Say("Hel"), fault=ended)) as wire:
        failure = await failing(made(wire))
    assert (failure.code, failure.transient) == (status_event_pb2.ERROR_CODE_MODEL_BROKEN_STREAM, True)


@pytest.mark.parametrize("media_type", ["application/pdf", "audio/mp3", "video/mp4", "image/heic"])
async def test_it_sees_and_hears(made: Made, media_type: str) -> None:
    file = content_pb2.FileContent(data=b"data", media_type=media_type)
    async with Wire(GEMINI) as wire:
        await ask(made(wire), Said([content_pb2.Content(file=file)]))
    assert b'"data": "ZGF0YQ=="' in wire.requests[0].body
