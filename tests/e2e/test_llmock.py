"""A whole server against providers that fail in every way that llmock knows: its verdict on us, and our log."""

import json
from collections.abc import AsyncIterator, Iterable
from itertools import product
from pathlib import Path

import pytest
import pytest_asyncio

from managedagents.v1 import agent_pb2, status_event_pb2
from support import llmock_faults as faults
from support.keys import key
from support.llmock import ROUTES, LLMock, Route, llmock
from support.llmock_faults import CITY, QUESTION, REPLY, Fault, meet
from support.mocked import Turn, agent, first_turn, next_turn, together
from support.server import Stub, running

pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]

RETRY_FIRST = 0.1
ATTEMPTS = 4
# One address fails again and again here, each time in another test.
LIMITS = (f"retry_first={RETRY_FIRST}", f"provider_attempts={ATTEMPTS}", "breaker_failures=1000")
SILENCE = 2.0

NO_FAULT = Fault("none", {"type": "delay", "seconds": 0})


def flags(*limits: str) -> list[str]:
    return ["--allow-address", "127.0.0.0/8", *(flag for limit in limits for flag in ("--limit", limit))]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stub]:
    db = tmp_path_factory.mktemp("mocked") / "log.db"
    async with running(db, *flags(*LIMITS)) as server, server.channel() as channel:
        yield Stub(channel)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[LLMock]:
    async with llmock() as mock:
        yield mock


@pytest_asyncio.fixture(loop_scope="module")
async def mock(shared: LLMock) -> LLMock:
    await shared.forget()
    return shared


def each(some: Iterable[Fault]) -> pytest.MarkDecorator:
    """Every fault on every route on which it can happen."""
    cases = [(fault, route) for fault, route in product(some, ROUTES) if route.name not in fault.not_on]
    return pytest.mark.parametrize(("fault", "route"), cases, ids=[f"{fault}-{route}" for fault, route in cases])


def check_second_attempt(turn: Turn, fault: Fault, *, calls: bool = False) -> None:
    """The first failed, the second went through."""
    called = ["agent.custom_tool_use", "user.custom_tool_result"] if calls else []
    assert turn.kinds == [
        *("user.message", "status.running", "status.rescheduling", "status.running"),
        *called,
        *("agent.message", "status.idle"),
    ]
    ((cause, delay),) = turn.delayed
    assert cause == fault.code
    assert delay >= max(fault.retry_after, 0.8 * RETRY_FIRST)
    # Nothing of the answer that broke off is in the log.
    assert (turn.text, turn.stop_reason) == (REPLY, "end_turn")


@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_without_a_fault_a_turn_is_one_request(stub: Stub, mock: LLMock, route: Route) -> None:
    turn = await meet(stub, mock, route, NO_FAULT)
    assert turn.kinds == ["user.message", "status.running", "agent.message", "status.idle"]
    assert (turn.text, turn.stop_reason) == (REPLY, "end_turn")
    assert min(turn.usage) > 0
    (request,) = await mock.requests()
    assert (request["stream"], request["model"], request["completed"]) == (True, "m-1", True)


@each([*faults.statuses_that_pass(), *faults.broken_streams()])
async def test_what_may_pass_is_tried_again_no_sooner_than_asked(
    stub: Stub, mock: LLMock, route: Route, fault: Fault
) -> None:
    turn = await meet(stub, mock, route, fault)
    check_second_attempt(turn, fault)
    verdict = await mock.verdict()
    assert (verdict.findings, verdict.attempts, verdict.faults) == ((), 2, 1), verdict.report


@each(faults.statuses_that_stay())
async def test_what_does_not_pass_ends_the_turn_and_the_session_goes_on(
    stub: Stub, mock: LLMock, route: Route, fault: Fault
) -> None:
    turn = await meet(stub, mock, route, fault)
    assert turn.kinds == ["user.message", "status.running", "error", "status.idle"]
    (error,) = turn.errors
    assert (error.code, error.next) == (fault.code, status_event_pb2.ERROR_NEXT_TURN_ENDS)
    assert turn.stop_reason == "error"
    verdict = await mock.verdict()
    assert (verdict.findings, verdict.attempts, verdict.faults) == ((), 1, 1), verdict.report
    after = await next_turn(stub, turn, "And now?")
    assert (after.text, after.stop_reason) == (REPLY, "end_turn")


async def test_a_chunk_that_cannot_be_read_ends_the_reading(stub: Stub) -> None:
    # At this pace an answer takes half a second: whoever goes on reading is seen.
    async with llmock("--stream-chunk-delay-ms", "60") as mock:
        for fault in faults.malformed_streams():
            await mock.forget()
            turns = await together(meet(stub, mock, route, fault) for route in ROUTES)
            for turn in turns:
                check_second_attempt(turn, fault)
            verdict = await mock.verdict()
            assert (verdict.findings, verdict.attempts, verdict.faults) == ((), 8, 4), verdict.report


@each(faults.broken_calls())
async def test_half_a_tool_call_is_none(stub: Stub, mock: LLMock, route: Route, fault: Fault) -> None:
    turn = await meet(stub, mock, route, fault)
    check_second_attempt(turn, fault, calls=True)
    ((name, arguments),) = turn.inputs
    assert (name, json.loads(arguments)) == ("get_weather", {"city": CITY})
    verdict = await mock.verdict()
    # Without a stream that breaks llmock sees no fault: what we ask again is another call for it.
    assert (verdict.findings, verdict.attempts) == ((), 3), verdict.report


@each(faults.unknown_tool())
async def test_a_tool_that_is_not_there_is_told_to_the_model(
    stub: Stub, mock: LLMock, route: Route, fault: Fault
) -> None:
    turn = await meet(stub, mock, route, fault)
    assert turn.kinds == [
        *("user.message", "status.running", "agent.tool_use", "agent.tool_result"),
        *("agent.custom_tool_use", "user.custom_tool_result", "agent.message", "status.idle"),
    ]
    assert (turn.text, turn.stop_reason) == (REPLY, "end_turn")
    assert (await mock.verdict()).findings == ()


@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_attempts_back_off(stub: Stub, mock: LLMock, route: Route) -> None:
    turn = await meet(stub, mock, route, Fault("three in a row", {"type": "fail", "status": 500, "times": 3}))
    assert (turn.text, turn.stop_reason) == (REPLY, "end_turn")
    delays = [delay for _, delay in turn.delayed]
    for attempt, delay in enumerate(delays):
        assert 0.8 <= delay / (RETRY_FIRST * 2**attempt) <= 1.2
    verdict = await mock.verdict()
    assert (verdict.findings, verdict.attempts, verdict.faults) == ((), 4, 3), verdict.report


@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_an_outage_ends_the_turn_and_the_session_outlives_it(stub: Stub, mock: LLMock, route: Route) -> None:
    turn = await meet(stub, mock, route, Fault("outage", {"type": "fail", "status": 500, "times": None}))
    assert turn.kinds == [
        "user.message",
        *["status.running", "status.rescheduling"] * (ATTEMPTS - 1),
        *("status.running", "error", "status.idle"),
    ]
    assert turn.errors[0].code == status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE
    assert turn.stop_reason == "retries_exhausted"
    verdict = await mock.verdict()
    assert (verdict.findings, verdict.attempts, verdict.faults) == ((), ATTEMPTS, ATTEMPTS), verdict.report
    await mock.forget()
    after = await next_turn(stub, turn, "And now?")
    assert after.stop_reason == "end_turn"


async def test_who_says_nothing_for_too_long_is_left(tmp_path: Path) -> None:
    limits = flags(*LIMITS, f"model_first_token={SILENCE}", f"model_stall={SILENCE}")
    async with running(tmp_path / "log.db", *limits) as server, server.channel() as channel, llmock() as mock:
        for fault in faults.silences(5 * SILENCE):
            await mock.forget()
            turns = await together(meet(Stub(channel), mock, route, fault) for route in ROUTES)
            for turn in turns:
                check_second_attempt(turn, fault)
            verdict = await mock.verdict()
            # A request that is still being delayed, with nobody there, is not counted.
            assert (verdict.findings, verdict.attempts) == ((), 4 if fault.name == "delay" else 8), verdict.report


async def test_slow_is_no_fault(stub: Stub, mock: LLMock) -> None:
    for fault in faults.silences(SILENCE / 4):
        await mock.forget()
        turns = await together(meet(stub, mock, route, fault) for route in ROUTES)
        for turn in turns:
            assert (turn.causes, turn.text, turn.stop_reason) == ([], REPLY, "end_turn")
        verdict = await mock.verdict()
        assert (verdict.findings, verdict.attempts) == ((), 4), verdict.report


async def test_a_quota_is_waited_for_as_long_as_the_provider_says(stub: Stub) -> None:
    # Two such requests fit into a minute's tokens, the third is let in after some seconds.
    settings = agent_pb2.ModelSettings(max_tokens=21_000)
    async with llmock("--tpm", "60000") as mock:

        def asking(route: Route) -> agent_pb2.AgentDefinition:
            # A quota is a key's, and two of the routes share one provider.
            return agent(route.provider, mock.url + route.base, "m-1", api_key=key(route.name), settings=settings)

        turns = await together(first_turn(stub, asking(route), QUESTION) for route in ROUTES for _ in range(3))
        verdict = await mock.verdict()
    assert {turn.stop_reason for turn in turns} == {"end_turn"}
    assert {cause for turn in turns for cause in turn.causes} == {status_event_pb2.ERROR_CODE_MODEL_RATE_LIMITED}
    assert sum(bool(turn.delayed) for turn in turns) == len(ROUTES)
    assert verdict.findings == (), verdict.report


async def test_a_conversation_beyond_the_window_is_too_long(stub: Stub) -> None:
    async with llmock("--context-window", "5000") as mock:
        asked = [
            first_turn(stub, agent(route.provider, mock.url + route.base, "m-1"), "hello " * 5000) for route in ROUTES
        ]
        turns = await together(asked)
        verdict = await mock.verdict()
        for turn in turns:
            assert turn.kinds == ["user.message", "status.running", "error", "status.idle"]
            assert turn.errors[0].code == status_event_pb2.ERROR_CODE_MODEL_CONTEXT_TOO_LONG
            # What was too long is left out of the next request.
            assert (await next_turn(stub, turn, "And now?")).stop_reason == "end_turn"
    assert (verdict.findings, verdict.attempts) == ((), len(ROUTES)), verdict.report


async def test_in_a_storm_every_turn_ends_and_no_answer_is_half(stub: Stub) -> None:
    storm = {
        "--error-rate": ("429=0.1", "500=0.1", "529=0.05"),
        "--stream-fault": ("disconnect=0.1", "truncate=0.1", "malformed=0.1"),
    }
    async with llmock(*(flag for name, rates in storm.items() for rate in rates for flag in (name, rate))) as mock:
        await mock.next({"type": "reply", "text": REPLY, "times": None})
        asked = [
            first_turn(stub, agent(route.provider, mock.url + route.base, "m-1"), f"Question {number}")
            for route in ROUTES
            for number in range(10)
        ]
        turns = await together(asked)
        verdict = await mock.verdict()
    for turn in turns:
        assert (turn.stop_reason, turn.text) in (("end_turn", REPLY), ("retries_exhausted", ""))
    assert any(turn.delayed for turn in turns)
    # For llmock whoever stops trying after half an answer has taken it.
    exhausted = sum(turn.stop_reason == "retries_exhausted" for turn in turns)
    assert set(verdict.errors) <= {"truncated_stream_accepted"}, verdict.report
    assert len(verdict.errors) <= exhausted, verdict.report
