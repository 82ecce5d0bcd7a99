"""A real model behind chat completions, asked as a session asks it. See support/small_model.py."""

import asyncio
import time
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from managedagents.v1 import agent_pb2, model_pb2, status_event_pb2
from managedagents_server.providers import Providers
from managedagents_server.providers.base import Answer, Delta, Item, Model, ModelFailure, Text, ToolCall, ToolSpec
from managedagents_server.words.clock import SystemClock
from managedagents_server.words.limits import Limits
from support.asking import answered, definition, joined, request, results, said
from support.small_model import CONTEXT_TOKENS, GET_WEATHER, LOOKUP_ORDER, MODEL, small_model

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

SYSTEM = "You are a helpful assistant."
TOOLS = [
    ToolSpec("get_weather", "Tells the weather in a city.", GET_WEATHER),
    ToolSpec("lookup_order", "Looks up an order by its number.", LOOKUP_ORDER),
]
SETTINGS = agent_pb2.ModelSettings(temperature=0, seed=1, max_tokens=80)


@pytest.fixture
async def model() -> AsyncIterator[Model]:
    providers = Providers(SystemClock(), Limits(), allowed=[ip_network("127.0.0.0/8")])
    async with small_model() as base_url:
        yield providers.model(definition(base_url, model=MODEL).model, None)
        await providers.close()


async def ask(model: Model, *conversation: Item, tools: list[ToolSpec] = TOOLS) -> Answer:
    asked = request(*conversation, system=SYSTEM, tools=tools, settings=SETTINGS)
    return await model.ask(asked, lambda delta: None)


async def call_and_answer(model: Model, *before: Item, question: str, call: ToolCall, result: str) -> list[Item]:
    """One turn: the question, the one call that is expected, its result and the sentence about it."""
    asked = [*before, said(question)]
    calling = await ask(model, *asked)
    assert calling.parts == (call,)
    assert calling.stop_reason == model_pb2.MODEL_STOP_REASON_TOOL_USE
    asked += [answered(calling, model.provider), results(result, name=call.name)]
    answer = await ask(model, *asked)
    assert answer.stop_reason == model_pb2.MODEL_STOP_REASON_END_TURN
    return [*asked, answered(answer, model.provider)]


def last_text(conversation: list[Item]) -> str:
    last = conversation[-1]
    assert hasattr(last, "events")
    (event,) = last.events
    text: str = event.agent_message.content[0].text.text
    return text


async def test_it_says_something_piece_by_piece_and_the_same_again(model: Model) -> None:
    deltas: list[Delta] = []
    asked = request(said("Say hello in one short sentence."), system=SYSTEM, tools=TOOLS, settings=SETTINGS)
    answer = await model.ask(asked, deltas.append)
    (part,) = answer.parts
    assert isinstance(part, Text)
    assert "hello" in part.text.lower()
    assert len(deltas) > 1
    assert joined(deltas) == {(0, "text", ""): part.text}
    assert answer.stop_reason == model_pb2.MODEL_STOP_REASON_END_TURN
    assert answer.model == MODEL
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0
    again = await model.ask(asked, lambda delta: None)
    assert again.parts == answer.parts


async def test_it_calls_a_tool_and_tells_its_result_ten_times_over(model: Model) -> None:
    told = set()
    for _ in range(10):
        turn = await call_and_answer(
            model,
            question="What is the weather in Paris?",
            call=ToolCall("get_weather", '{"city": "Paris"}'),
            result="18 degrees, cloudy",
        )
        told.add(last_text(turn))
    (sentence,) = told
    assert "18 degrees" in sentence
    assert "cloudy" in sentence


async def test_it_calls_tools_in_one_turn_after_the_other(model: Model) -> None:
    talk = await call_and_answer(
        model,
        question="What is the weather in Paris?",
        call=ToolCall("get_weather", '{"city": "Paris"}'),
        result="18 degrees, cloudy",
    )
    talk = await call_and_answer(
        model,
        *talk,
        question="Where is order 4711?",
        call=ToolCall("lookup_order", '{"order_id": "4711"}'),
        result="delivered on Friday",
    )
    assert "Friday" in last_text(talk)
    talk = await call_and_answer(
        model,
        *talk,
        question="What is the weather in Rome?",
        call=ToolCall("get_weather", '{"city": "Rome"}'),
        result="21 degrees, windy",
    )
    assert "21 degrees" in last_text(talk)


async def test_max_tokens_cuts_the_answer_off(model: Model) -> None:
    settings = agent_pb2.ModelSettings(temperature=0, seed=1, max_tokens=5)
    asked = request(said("Write a long story about the sea."), system=SYSTEM, settings=settings)
    answer = await model.ask(asked, lambda delta: None)
    assert answer.stop_reason == model_pb2.MODEL_STOP_REASON_MAX_TOKENS
    assert answer.usage.output_tokens == 5


async def test_cancelling_frees_the_only_slot(model: Model) -> None:
    begun = asyncio.Event()
    endless = agent_pb2.ModelSettings(temperature=0, seed=1, max_tokens=1800)
    story = request(said("Write a long story about the sea."), system=SYSTEM, settings=endless)
    telling = asyncio.create_task(model.ask(story, lambda delta: begun.set()))
    await begun.wait()
    telling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await telling
    freed = time.monotonic()
    short = agent_pb2.ModelSettings(temperature=0, seed=1, max_tokens=3)
    await model.ask(request(said("Hi."), system=SYSTEM, settings=short), lambda delta: None)
    # The story would have taken half a minute more; there is one slot, and it answers one request at a time.
    assert time.monotonic() - freed < 10


async def test_requests_that_follow_at_once_all_get_through(model: Model) -> None:
    short = agent_pb2.ModelSettings(temperature=0, seed=1, max_tokens=3)
    for _ in range(300):
        # This server hangs up after its answers: a connection that was used before would fail here now and then.
        await model.ask(request(said("Hi."), settings=short), lambda delta: None)


async def test_a_prompt_beyond_the_window_is_too_long(model: Model) -> None:
    with pytest.raises(ModelFailure) as caught:
        await ask(model, said("hello " * CONTEXT_TOKENS))
    assert caught.value.code == status_event_pb2.ERROR_CODE_MODEL_CONTEXT_TOO_LONG
    assert (caught.value.transient, caught.value.content_rejected) == (False, True)
