"""What the answer of a model behind chat completions promises, over the real wire format."""

import asyncio
import time

import pytest

from managedagents.v1 import model_pb2, status_event_pb2
from managedagents_server.providers.base import (
    Delta,
    Endpoint,
    Model,
    Text,
    Thinking,
    ToolCall,
)
from managedagents_server.providers.deferred import DeferredModel, Vendors
from managedagents_server.words.clock import SystemClock
from managedagents_server.words.limits import Limits
from support.asking import answered, ask, failing, joined, request, said
from support.wires.chat import OpenAIWire, call, chunk, ending, say, sent, sse, text, thought, use
from support.wires.server import Pause, Reply, Stall, Step

NAME = "openai-compatible"


class TestAnswer:
    async def test_text_comes_in_the_pieces_it_was_sent_in(self, wire: OpenAIWire, model: Model) -> None:
        wire.replies = [say("Hel", "lo ", "you")]
        deltas: list[Delta] = []
        answer = await model.ask(request(said("hi")), deltas.append)
        assert deltas == [Delta(0, "text", piece) for piece in ("Hel", "lo ", "you")]
        assert answer.parts == (Text("Hello you"),)
        assert answer.stop_reason == model_pb2.MODEL_STOP_REASON_END_TURN
        assert answer.model == "wire-1"

    async def test_thinking_text_and_calls_are_told_apart(self, wire: OpenAIWire, model: Model) -> None:
        calls = (*call("lookup", '{"z":', " 1}"), *call("other", '{"a"', ': "b"}', call_id="call_2", index=1))
        wire.replies = [Reply((*thought("let ", "me"), *text("I ", "look"), *calls, *ending("tool_calls")))]
        deltas: list[Delta] = []
        answer = await model.ask(request(said("hi")), deltas.append)
        assert answer.parts == (
            Thinking("let me"),
            Text("I look"),
            ToolCall("lookup", '{"z": 1}'),
            ToolCall("other", '{"a": "b"}'),
        )
        assert answer.stop_reason == model_pb2.MODEL_STOP_REASON_TOOL_USE
        assert joined(deltas) == {
            (0, "thinking", ""): "let me",
            (1, "text", ""): "I look",
            (2, "tool_input", "lookup"): '{"z": 1}',
            (3, "tool_input", "other"): '{"a": "b"}',
        }

    async def test_usage_is_what_the_provider_counts(self, wire: OpenAIWire, model: Model) -> None:
        numbers = {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 80, "cache_write_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 15},
        }
        wire.replies = [say("a", numbers=numbers)]
        counted = (await ask(model, said("hi"))).usage
        assert 0 < counted.model_time.ToTimedelta().total_seconds() < 30
        counted.ClearField("model_time")
        assert counted == model_pb2.Usage(
            input_tokens=100,
            output_tokens=20,
            cache_read_tokens=80,
            cache_write_tokens=5,
            reasoning_tokens=15,
            requests=1,
        )

    async def test_a_provider_that_counts_nothing_costs_one_request(self, wire: OpenAIWire, model: Model) -> None:
        wire.replies = [say("a", numbers=None)]
        counted = (await ask(model, said("hi"))).usage
        assert (counted.input_tokens, counted.output_tokens, counted.requests) == (0, 0, 1)

    async def test_an_empty_tool_input_is_an_empty_object(self, wire: OpenAIWire, model: Model) -> None:
        wire.replies = [use("lookup")]
        assert (await ask(model, said("hi"))).parts == (ToolCall("lookup", "{}"),)

    async def test_an_answer_of_nothing_is_an_answer(self, wire: OpenAIWire, model: Model) -> None:
        wire.replies = [Reply(ending()), say("b")]
        empty = await ask(model, said("a"))
        assert empty.parts == ()
        await ask(model, said("a"), answered(empty, NAME), said("again"))
        assert [message["role"] for message in sent(wire.requests[1])] == ["user", "user"]

    async def test_thoughts_in_the_text_are_thoughts(self, wire: OpenAIWire, model: Model) -> None:
        wire.replies = [say("<think>", "hm", "</think>", "so")]
        assert (await ask(model, said("hi"))).parts == (Thinking("hm"), Text("so"))

    async def test_a_character_that_came_in_halves_is_whole(self, wire: OpenAIWire, model: Model) -> None:
        halves = (sse(chunk({"content": half})[6:-2]) for half in ("\ud83d", "\ude00", "!", "\ud83d"))
        wire.replies = [Reply((*halves, *ending())), say("b")]
        answer = await ask(model, said("a"))
        assert answer.parts == (Text("\U0001f600!\ufffd"),)
        await ask(model, said("a"), answered(answer, NAME), said("again"))
        assert sent(wire.requests[1])[1]["content"] == "\U0001f600!\ufffd"


class TestStopReason:
    async def test_length_is_max_tokens_and_a_call_that_was_cut_off_is_none(
        self, wire: OpenAIWire, model: Model
    ) -> None:
        wire.replies = [Reply((*text("I look"), *call("lookup", '{"z": '), *ending("length"))), say("b")]
        answer = await ask(model, said("hi"))
        assert answer.stop_reason == model_pb2.MODEL_STOP_REASON_MAX_TOKENS
        assert answer.parts == (Text("I look"),)
        await ask(model, said("hi"), answered(answer, NAME), said("go on"))
        assert "tool_calls" not in sent(wire.requests[1])[1]

    async def test_a_content_filter_is_a_refusal(self, wire: OpenAIWire, model: Model) -> None:
        wire.replies = [say("I", finish="content_filter")]
        assert (await ask(model, said("hi"))).stop_reason == model_pb2.MODEL_STOP_REASON_REFUSAL

    async def test_a_refusal_says_what_the_model_says(self, wire: OpenAIWire, model: Model) -> None:
        wire.replies = [Reply((chunk({"refusal": "I will "}), chunk({"refusal": "not."}), *ending()))]
        answer = await ask(model, said("hi"))
        assert answer.stop_reason == model_pb2.MODEL_STOP_REASON_REFUSAL
        assert answer.parts == (Text("I will not."),)

    async def test_calls_are_tool_use_whatever_reason_is_given(self, wire: OpenAIWire, model: Model) -> None:
        wire.replies = [Reply((*call("lookup", "{}"), *ending("stop")))]
        assert (await ask(model, said("hi"))).stop_reason == model_pb2.MODEL_STOP_REASON_TOOL_USE


class TestSilence:
    @pytest.mark.parametrize(
        ("steps", "limits", "waited_for"),
        [
            ((Stall(),), Limits(model_first_token=0.2, model_stall=60.0), "the first token"),
            ((*text("Hel"), Stall()), Limits(model_first_token=60.0, model_stall=0.2), "more of the answer"),
        ],
        ids=["before the first token", "between tokens"],
    )
    async def test_silence_is_a_timeout_and_hangs_up(
        self, wire: OpenAIWire, steps: tuple[Step, ...], limits: Limits, waited_for: str
    ) -> None:
        vendors = Vendors(SystemClock(), limits)
        wire.replies = [Reply(steps)]
        failure = await failing(DeferredModel(Endpoint(NAME, "m", wire.base_url), vendors))
        assert (failure.code, failure.transient) == (status_event_pb2.ERROR_CODE_MODEL_TIMEOUT, True)
        assert failure.message == f"the model was silent for 0.2 s; waited for {waited_for}"
        await wire.requests[0].wait_hung_up()
        await vendors.close()

    async def test_a_slow_answer_is_not_silence(self, wire: OpenAIWire) -> None:
        vendors = Vendors(SystemClock(), Limits(model_first_token=0.4, model_stall=0.4))
        slow: list[Step] = []
        for piece in "abcdef":
            slow += [*text(piece), Pause(0.1)]
        wire.replies = [Reply((*slow, *ending()))]
        model = DeferredModel(Endpoint(NAME, "m", wire.base_url), vendors)
        assert (await ask(model, said("hi"))).parts == (Text("abcdef"),)
        await vendors.close()

    async def test_cancelling_hangs_up_at_once(self, wire: OpenAIWire, model: Model) -> None:
        wire.replies = [Reply((*text("Hel"), Stall()))]
        begun = asyncio.Event()
        asking = asyncio.create_task(model.ask(request(said("hi")), lambda delta: begun.set()))
        await begun.wait()
        cancelled_at = time.monotonic()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await wire.requests[0].wait_hung_up()
        assert wire.requests[0].hung_up_at - cancelled_at < 0.5

    async def test_cancelling_before_the_first_token_hangs_up(self, wire: OpenAIWire, model: Model) -> None:
        await ask(model, said("so that everything is imported"))
        wire.replies = [Reply((Stall(),))]
        asking = asyncio.create_task(ask(model, said("hi")))
        await wire.wait_requests(2)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await wire.requests[1].wait_hung_up()

    async def test_a_request_never_runs_into_the_hang_up_after_the_one_before(
        self, wire: OpenAIWire, model: Model
    ) -> None:
        for _ in range(3):
            await ask(model, said("hi"))
        assert [received.connection for received in wire.requests] == [1, 2, 3]
