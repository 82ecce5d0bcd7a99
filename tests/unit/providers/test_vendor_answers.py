"""What the answers of all providers promise alike, over each one's wire format."""

from collections.abc import Callable

import pytest

from managedagents.v1 import model_pb2
from managedagents_server.providers.base import Delta, Model, Text, Thinking, ToolCall
from support.asking import ask, joined, request, said
from support.wires import GEMINI, OLLAMA, VENDORS, Vendor, Wire
from support.wires.faults import slow
from support.wires.told import Call, Say, Stop, Think, Usage, answer

Made = Callable[..., Model]

SIGNING = [vendor for vendor in VENDORS if vendor.signs and vendor is not GEMINI]


async def test_thinking_text_and_calls_come_as_deltas_and_as_parts(vendor: Vendor, made: Made) -> None:
    told = answer(Think("let ", "me"), Say("I ", "look"), Call("lookup", '{"z":', "1}"), Call("other", '{"a":"b"}'))
    deltas: list[Delta] = []
    async with Wire(vendor, told) as wire:
        given = await made(wire).ask(request(said("hi")), deltas.append)
    assert given.parts == (
        Thinking("let me"),
        Text("I look"),
        ToolCall("lookup", '{"z":1}'),
        ToolCall("other", '{"a":"b"}'),
    )
    assert given.stop_reason == model_pb2.MODEL_STOP_REASON_TOOL_USE
    assert joined(deltas) == {
        (0, "thinking", ""): "let me",
        (1, "text", ""): "I look",
        (2, "tool_input", "lookup"): '{"z":1}',
        (3, "tool_input", "other"): '{"a":"b"}',
    }


async def test_text_comes_in_the_pieces_it_was_sent_in(vendor: Vendor, made: Made) -> None:
    deltas: list[Delta] = []
    async with Wire(vendor, answer(Say("Hel", "lo ", "you"))) as wire:
        given = await made(wire).ask(request(said("hi")), deltas.append)
    assert deltas == [Delta(0, "text", piece) for piece in ("Hel", "lo ", "you")]
    assert given.parts == (Text("Hello you"),)
    assert given.stop_reason == model_pb2.MODEL_STOP_REASON_END_TURN
    assert given.model


@pytest.mark.parametrize("signing", SIGNING, ids=repr)
async def test_a_hidden_thought_is_an_empty_part_that_others_are_numbered_after(signing: Vendor, made: Made) -> None:
    deltas: list[Delta] = []
    async with Wire(signing, answer(Think(), Say("so"))) as wire:
        given = await made(wire).ask(request(said("hi")), deltas.append)
    assert given.parts == (Thinking(""), Text("so"))
    assert deltas == [Delta(1, "text", "so")]


async def test_usage_counts_cached_tokens_as_input_and_thoughts_as_output(vendor: Vendor, made: Made) -> None:
    async with Wire(vendor, answer(Say("a"), usage=Usage(100, 20, 64, 12))) as wire:
        counted = (await ask(made(wire), said("hi"))).usage
    assert (counted.input_tokens, counted.output_tokens, counted.requests) == (100, 20, 1)
    # Ollama counts no more than these.
    assert (counted.cache_read_tokens, counted.reasoning_tokens) == ((0, 0) if vendor is OLLAMA else (64, 12))
    assert counted.model_time.ToTimedelta().total_seconds() > 0


async def test_length_is_max_tokens(vendor: Vendor, made: Made) -> None:
    async with Wire(vendor, answer(Say("a long"), stop="max_tokens")) as wire:
        given = await ask(made(wire), said("hi"))
    assert given.stop_reason == model_pb2.MODEL_STOP_REASON_MAX_TOKENS
    assert given.parts == (Text("a long"),)


@pytest.mark.parametrize("refusing", [vendor for vendor in VENDORS if vendor.refuses], ids=repr)
@pytest.mark.parametrize("stop", ["refusal", "filtered"])
async def test_a_refusal_is_an_answer(refusing: Vendor, stop: Stop, made: Made) -> None:
    async with Wire(refusing, answer(Say("I will not."), stop=stop)) as wire:
        given = await ask(made(wire), said("hi"))
    assert given.stop_reason == model_pb2.MODEL_STOP_REASON_REFUSAL
    assert given.parts == (Text("I will not."),)


async def test_an_answer_of_nothing_is_an_answer(vendor: Vendor, made: Made) -> None:
    async with Wire(vendor, answer()) as wire:
        given = await ask(made(wire), said("hi"))
    assert (given.parts, given.stop_reason) == ((), model_pb2.MODEL_STOP_REASON_END_TURN)


async def test_a_slow_answer_is_whole(vendor: Vendor, made: Made) -> None:
    async with Wire(vendor, answer(Say("a", "b", "c"), fault=slow(0.01))) as wire:
        assert (await ask(made(wire), said("hi"))).parts == (Text("abc"),)
