"""What the scripted model promises (contract, section 9)."""

import asyncio
import dataclasses
import sys
from subprocess import run

import pytest
from google.protobuf import json_format

from managedagents.v1 import model_pb2, scripted_pb2, status_event_pb2
from managedagents_server.providers.base import (
    Answer,
    Delta,
    Grading,
    ModelFailure,
    Text,
    Thinking,
    ToolCall,
)
from managedagents_server.providers.scripted import ScriptedModel
from managedagents_server.words.clock import SystemClock
from support.asking import answered, joined, request, results, said


class MovedClock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def wall(self) -> int:
        return int(self.now * 1e9)

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def script(*responses: dict[str, object]) -> scripted_pb2.ScriptedModel:
    return json_format.ParseDict({"responses": list(responses)}, scripted_pb2.ScriptedModel())


def model(*responses: dict[str, object]) -> ScriptedModel:
    return ScriptedModel(script(*responses), SystemClock())


async def ask(asked: ScriptedModel, finished: int = 0) -> Answer:
    return await asked.ask(request(said("hi"), finished=finished), lambda delta: None)


async def failing(asked: ScriptedModel, finished: int = 0) -> ModelFailure:
    with pytest.raises(ModelFailure) as caught:
        await ask(asked, finished)
    return caught.value


async def test_answers_by_position_and_repeats_the_last() -> None:
    three = model({"text": "one"}, {"text": "two"}, {"text": "three"})
    texts = [(await ask(three, finished)).parts for finished in (0, 1, 2, 3, 99)]
    assert texts == [(Text(text),) for text in ("one", "two", "three", "three", "three")]


async def test_the_same_position_gets_the_same_answer_again() -> None:
    two = model({"text": "one"}, {"text": "two"})
    assert (await ask(two, 1)).parts == (await ask(two, 1)).parts


async def test_an_error_is_used_up_after_its_times() -> None:
    flaky = model({"error": {"code": 503, "times": 2}}, {"text": "one"}, {"error": {"code": 429}}, {"text": "two"})
    assert (await failing(flaky, 0)).code == status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE
    assert (await failing(flaky, 1)).code == status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE
    assert (await ask(flaky, 2)).parts == (Text("one"),)
    assert (await failing(flaky, 3)).code == status_event_pb2.ERROR_CODE_MODEL_RATE_LIMITED
    assert (await ask(flaky, 4)).parts == (Text("two"),)


async def test_an_error_that_is_last_repeats() -> None:
    dead = model({"error": {"code": 500}})
    assert [(await failing(dead, finished)).transient for finished in (0, 1, 7)] == [True] * 3


@pytest.mark.parametrize(
    ("status", "code", "transient", "rejected"),
    [
        (0, status_event_pb2.ERROR_CODE_MODEL_BROKEN_STREAM, True, False),
        (400, status_event_pb2.ERROR_CODE_MODEL_REJECTED, False, True),
        (401, status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION, False, False),
        (402, status_event_pb2.ERROR_CODE_MODEL_QUOTA, False, False),
        (403, status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION, False, False),
        (404, status_event_pb2.ERROR_CODE_MODEL_NOT_FOUND, False, False),
        (408, status_event_pb2.ERROR_CODE_MODEL_TIMEOUT, True, False),
        (409, status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE, True, False),
        (413, status_event_pb2.ERROR_CODE_MODEL_CONTEXT_TOO_LONG, False, True),
        (418, status_event_pb2.ERROR_CODE_MODEL_REJECTED, False, False),
        (422, status_event_pb2.ERROR_CODE_MODEL_REJECTED, False, True),
        (425, status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE, True, False),
        (429, status_event_pb2.ERROR_CODE_MODEL_RATE_LIMITED, True, False),
        (500, status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE, True, False),
        (529, status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE, True, False),
    ],
)
async def test_an_error_means_what_its_http_status_means(
    status: int, code: status_event_pb2.ErrorCode.ValueType, transient: bool, rejected: bool
) -> None:
    failure = await failing(model({"error": {"code": status, "retryAfter": "1.5s"}}))
    assert (failure.code, failure.transient, failure.content_rejected) == (code, transient, rejected)
    assert failure.retry_after == 1.5


async def test_without_retry_after_none_is_given() -> None:
    assert (await failing(model({"error": {"code": 429}}))).retry_after is None


async def test_text_and_thinking_are_streamed_before_the_failure() -> None:
    deltas: list[Delta] = []
    broken = model({"thinking": "hm, hm", "text": "so it", "toolCalls": [{"name": "never"}], "error": {"code": 0}})
    with pytest.raises(ModelFailure):
        await broken.ask(request(), deltas.append)
    assert joined(deltas) == {(0, "thinking", ""): "hm, hm", (1, "text", ""): "so it"}


async def test_thinking_then_text_then_calls_in_order_and_in_pieces() -> None:
    deltas: list[Delta] = []
    answer = await model(
        {
            "text": "one two three four five six seven eight nine ten",
            "thinking": "let me see",
            "toolCalls": [{"name": "a", "inputJson": '{"x": 1}', "id": "p1"}, {"name": "b"}],
        }
    ).ask(request(), deltas.append)
    assert answer.parts == (
        Thinking("let me see"),
        Text("one two three four five six seven eight nine ten"),
        ToolCall("a", '{"x": 1}'),
        ToolCall("b", "{}"),
    )
    assert joined(deltas) == {
        (0, "thinking", ""): "let me see",
        (1, "text", ""): "one two three four five six seven eight nine ten",
        (2, "tool_input", "a"): '{"x": 1}',
        (3, "tool_input", "b"): "{}",
    }
    assert [delta.part for delta in deltas] == sorted(delta.part for delta in deltas)
    assert 1 < sum(delta.part == 1 for delta in deltas) <= 8


async def test_stop_reason_follows_from_the_calls_unless_it_is_given() -> None:
    assert (await ask(model({"text": "a"}))).stop_reason == model_pb2.MODEL_STOP_REASON_END_TURN
    assert (await ask(model({"toolCalls": [{"name": "a"}]}))).stop_reason == model_pb2.MODEL_STOP_REASON_TOOL_USE
    given = model({"text": "a", "stopReason": "MODEL_STOP_REASON_REFUSAL"})
    assert (await ask(given)).stop_reason == model_pb2.MODEL_STOP_REASON_REFUSAL


async def test_an_answer_costs_one_request_and_what_the_script_says() -> None:
    assert (await ask(model({"text": "a"}))).usage == model_pb2.Usage(requests=1)
    told = await ask(model({"text": "a", "usage": {"inputTokens": 7, "outputTokens": 3}}))
    assert told.usage == model_pb2.Usage(input_tokens=7, output_tokens=3, requests=1)


async def test_the_provider_gets_its_ids_of_calls_back_and_nobody_else_sees_them() -> None:
    caller = model({"toolCalls": [{"name": "a", "id": "same"}, {"name": "b", "id": "same"}]}, {"text": "done"})
    answer = await ask(caller)
    assert answer.verbatim == b'{"ids": ["same", "same"]}'
    back = answered(answer, "scripted")
    await caller.ask(request(said("hi"), back, results("1", "2"), finished=1), lambda delta: None)
    with pytest.raises(ModelFailure, match="2 calls were followed by 1 results"):
        await caller.ask(request(said("hi"), back, results("1"), finished=1), lambda delta: None)


async def test_text_comes_evenly_over_the_delay() -> None:
    clock = MovedClock()
    times: list[float] = []
    slow = ScriptedModel(script({"text": "one two three four", "delay": "2s"}), clock)
    await slow.ask(request(), lambda delta: times.append(clock.now))
    assert times == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert clock.now == pytest.approx(2.0)


async def test_an_empty_answer_takes_its_delay_too() -> None:
    clock = MovedClock()
    answer = await ScriptedModel(script({"delay": "3s"}), clock).ask(request(), lambda delta: None)
    assert (answer.parts, clock.now) == ((), 3.0)


async def test_a_delay_can_be_cancelled() -> None:
    asking = asyncio.create_task(ask(model({"text": "one two", "delay": "60s"})))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


def graded(*verdicts: dict[str, object], clock: MovedClock | None = None) -> ScriptedModel:
    told = script({"text": "one"})
    json_format.ParseDict({"grader": list(verdicts)}, told)
    return ScriptedModel(told, clock or MovedClock())


async def judge(judging: ScriptedModel, iteration: int, failures: int = 0) -> Answer:
    grading = dataclasses.replace(request(finished=7), grading=Grading(iteration, failures))
    return await judging.ask(grading, lambda delta: None)


async def test_verdicts_go_by_iteration_and_the_last_one_repeats() -> None:
    judging = graded({"reason": "no ü"}, {"met": True, "reason": "yes"})
    told = [(await judge(judging, iteration)).parts for iteration in (1, 2, 9)]
    yes = (Text('{"met": true, "reason": "yes"}'),)
    assert told == [(Text('{"met": false, "reason": "no ü"}'),), yes, yes]
    assert (await judge(judging, 1)).usage == model_pb2.Usage(requests=1)


async def test_a_verdict_takes_its_delay_and_fails_its_times() -> None:
    clock = MovedClock()
    judging = graded({"met": True, "delay": "3s", "error": {"code": 429, "times": 2}}, clock=clock)
    for failures in (0, 1):
        with pytest.raises(ModelFailure) as caught:
            await judge(judging, 1, failures)
        assert caught.value.code == status_event_pb2.ERROR_CODE_MODEL_RATE_LIMITED
    assert (await judge(judging, 1, 2)).parts
    assert clock.now == 9.0


async def test_without_verdicts_a_grading_fails_for_good_and_says_why() -> None:
    with pytest.raises(ModelFailure, match="`grader` is empty") as caught:
        await judge(graded(), 1)
    assert not caught.value.transient
    assert not caught.value.content_rejected


def test_an_answer_without_delay_never_waits() -> None:
    asking = ask(model({"text": "at once, " * 50, "toolCalls": [{"name": "a"}]}))
    with pytest.raises(StopIteration):
        asking.send(None)


def test_a_server_of_scripted_models_never_imports_a_vendors_library() -> None:
    program = """
import asyncio, sys
from managedagents.v1 import agent_pb2, scripted_pb2
from managedagents_server.providers import Providers
from managedagents_server.providers.base import ModelRequest
from managedagents_server.words.clock import SystemClock
from managedagents_server.words.limits import Limits
script = scripted_pb2.ScriptedModel(responses=[scripted_pb2.ScriptedResponse(text="hi")])
definition = agent_pb2.AgentDefinition(model=agent_pb2.Model(scripted=script))
async def main():
    providers = Providers(SystemClock(), Limits())
    model = providers.model(definition.model, None)
    await model.ask(ModelRequest("", [], [], agent_pb2.ModelSettings(), 0), lambda delta: None)
    await providers.close()
asyncio.run(main())
assert not {"pydantic", "pydantic_ai", "openai", "httpx2"} & set(sys.modules)
"""
    run([sys.executable, "-c", program], check=True, timeout=30)
