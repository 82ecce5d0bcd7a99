"""A model that fails is asked again where that may help; else the turn ends and the session does not."""

from itertools import pairwise
from typing import Any

import pytest

from managedagents.v1 import status_event_pb2
from support.calls import scripted
from support.driven import drive, lines, texts
from support.server import Stub

DONE = ["1 agent.message", "1 status.idle end_turn"]
BEGUN = ["1 user.message", "1 status.running"]


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (429, "model_rate_limited"),
        (500, "model_unavailable"),
        (503, "model_unavailable"),
        (529, "model_unavailable"),
        (408, "model_timeout"),
        (0, "model_broken_stream"),
    ],
)
async def test_a_failure_that_may_pass_is_told_and_the_request_made_again(stub: Stub, code: int, cause: str) -> None:
    failing = {"text": "half an ans", "error": {"code": code, "times": 2}}
    session = await drive(stub, scripted(failing, {"text": "whole"}), "hi")
    events = await session.comes("status.idle end_turn")
    retries = [
        f"1 status.rescheduling 1 {cause}",
        "1 status.running attempt 2",
        f"1 status.rescheduling 2 {cause}",
        "1 status.running attempt 3",
    ]
    assert await session.lines() == [*BEGUN, *retries, *DONE]
    assert texts(events) == ["whole"]
    assert events[-2].response.attempt == 3
    assert events[-1].status_idle.usage.requests == 1


async def test_a_delay_doubles_with_a_jitter_of_a_fifth_and_its_end_is_told(stub: Stub) -> None:
    session = await drive(stub, scripted({"error": {"code": 500, "times": 2}}, {"text": "a"}), "hi")
    events = await session.comes("status.idle end_turn")
    delays = [event.status_rescheduling for event in events if event.HasField("status_rescheduling")]
    assert delays[0].delay.ToNanoseconds() / 1e9 == pytest.approx(0.05, rel=0.21)
    assert delays[1].delay.ToNanoseconds() / 1e9 == pytest.approx(0.1, rel=0.21)
    for event, after in pairwise(events):
        if event.HasField("status_rescheduling"):
            assert after.create_time.ToNanoseconds() >= event.status_rescheduling.wake_time.ToNanoseconds()


async def test_what_the_provider_asks_to_wait_is_waited(stub: Stub) -> None:
    session = await drive(stub, scripted({"error": {"code": 429, "retry_after": "0.4s"}}, {"text": "a"}), "hi")
    events = await session.comes("status.idle end_turn")
    assert events[2].status_rescheduling.delay.ToMilliseconds() == 400
    waited = events[3].create_time.ToNanoseconds() - events[2].create_time.ToNanoseconds()
    assert waited >= 400_000_000


async def test_what_the_provider_asks_to_wait_counts_up_to_the_cap(stub: Stub) -> None:
    session = await drive(stub, scripted({"error": {"code": 429, "retry_after": "86400s"}}, {"text": "a"}), "hi")
    rescheduling = (await session.comes("status.rescheduling"))[-1].status_rescheduling
    assert rescheduling.delay.ToSeconds() == 150
    await session.interrupt()


async def test_a_message_in_a_backoff_waits_for_the_turn_that_is_tried_again(stub: Stub) -> None:
    session = await drive(
        stub, scripted({"error": {"code": 500, "retry_after": "0.6s"}}, {"text": "a"}, {"text": "b"}), "1"
    )
    await session.comes("status.rescheduling")
    await session.send("2")
    await session.comes("status.idle end_turn")
    await session.comes("status.idle end_turn")
    assert texts(await session.log()) == ["a", "b"]
    assert [line for line in await session.lines() if "status.idle" in line] == [
        "1 status.idle end_turn",
        "4 status.idle end_turn",
    ]


async def test_attempts_that_are_used_up_end_the_turn_and_the_next_one_starts_at_the_first(stub: Stub) -> None:
    session = await drive(stub, scripted({"error": {"code": 500, "times": 4}}, {"text": "a"}), "1", "2")
    exhausted = await session.comes("status.idle retries_exhausted")
    error = exhausted[-2].error
    assert lines(exhausted) == [
        "1 user.message",
        "2 user.message",
        "1 status.running",
        "1 status.rescheduling 1 model_unavailable",
        "1 status.running attempt 2",
        "1 status.rescheduling 2 model_unavailable",
        "1 status.running attempt 3",
        "1 error model_unavailable",
        "1 status.idle retries_exhausted",
    ]
    assert error.next == status_event_pb2.ERROR_NEXT_TURN_ENDS
    assert not error.turn_excluded
    assert lines(await session.comes("status.idle end_turn")) == [
        "2 status.running",
        "2 status.rescheduling 1 model_unavailable",
        "2 status.running attempt 2",
        "2 agent.message",
        "2 status.idle end_turn",
    ]


async def test_attempts_are_counted_anew_for_each_request_of_a_turn(stub: Stub) -> None:
    failing: dict[str, Any] = {"error": {"code": 500, "times": 2}}
    calls = {"tool_calls": [{"name": "nothing"}]}
    session = await drive(stub, scripted(failing, calls, failing, {"text": "a"}), "1")
    await session.comes("status.idle end_turn")
    retried = [
        "1 status.rescheduling 1 model_unavailable",
        "1 status.running attempt 2",
        "1 status.rescheduling 2 model_unavailable",
        "1 status.running attempt 3",
    ]
    denied = ["1 agent.tool_use", "1 agent.tool_result denied"]
    assert await session.lines() == [*BEGUN, *retried, *denied, *retried, *DONE]


@pytest.mark.parametrize(
    ("code", "cause", "excluded"),
    [
        (400, "model_rejected", True),
        (413, "model_context_too_long", True),
        (422, "model_rejected", True),
        (401, "model_authentication", False),
        (402, "model_quota", False),
        (403, "model_authentication", False),
        (404, "model_not_found", False),
    ],
)
async def test_a_failure_that_stays_ends_the_turn_and_the_session_lives_on(
    stub: Stub, code: int, cause: str, excluded: bool
) -> None:
    session = await drive(stub, scripted({"text": "half", "error": {"code": code}}, {"text": "a"}), "1")
    error = (await session.comes("status.idle error"))[-2].error
    assert await session.lines() == [*BEGUN, f"1 error {cause}", "1 status.idle error"]
    assert error.turn_excluded is excluded
    assert error.next == status_event_pb2.ERROR_NEXT_TURN_ENDS
    await session.send("2")
    await session.comes("status.idle end_turn")
    assert texts(await session.log()) == ["a"]
