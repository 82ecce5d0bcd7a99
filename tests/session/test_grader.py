"""A grader is a model, too: it fails for a while, or for good, or is told too much."""

from typing import Any

import pytest

from support.driven import texts
from support.outcomes import MET, NOT_MET, WORK, lives_on, towards, turn
from support.server import Stub


async def test_a_grader_that_fails_for_a_while_is_asked_again(stub: Stub) -> None:
    session = await towards(stub, {**NOT_MET, "error": {"code": 503, "times": 2}}, MET)
    events = await session.comes("status.completed")
    assert (await session.lines())[3:] == [
        *turn(1, "status.rescheduling 1 model_unavailable", "status.running attempt 2"),
        *turn(1, "status.rescheduling 2 model_unavailable", "status.running attempt 3"),
        "1 outcome.evaluated 1 not met",
        *turn(8, *WORK, "outcome.evaluated 2 met"),
        "0 status.completed",
    ]
    # What the grader was asked moves no answer of the model's.
    assert texts(events) == ["one", "two"]


async def test_a_grader_that_goes_on_failing_ends_the_outcome(stub: Stub) -> None:
    session = await towards(stub, {**MET, "error": {"code": 503, "times": 9}})
    events = await session.comes("status.idle retries_exhausted")
    assert (await session.lines())[-2:] == turn(1, "error model_unavailable", "status.idle retries_exhausted")
    assert not events[-2].error.turn_excluded
    seq = await session.send("and you?")
    assert texts(await session.comes("status.idle end_turn")) == ["two"]
    assert (await session.lines())[-1] == f"{seq} status.idle end_turn"


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([{"error": {"code": 401}}], "model_authentication"),
        ([{"error": {"code": 400, "times": 2}}], "model_rejected"),
        ([], "model_rejected"),
    ],
    ids=["the key", "the content", "no verdicts"],
)
async def test_a_grader_that_fails_for_good_ends_the_outcome_and_the_turn_stays(
    stub: Stub, verdicts: list[Any], code: str
) -> None:
    session = await towards(stub, *verdicts)
    error = (await session.comes("status.idle error"))[-2].error
    assert (await session.lines())[-2:] == turn(1, f"error {code}", "status.idle error")
    assert not error.turn_excluded
    assert error.message.startswith("the outcome could not be judged: ")
    await lives_on(session)


async def test_a_grader_that_is_rejected_is_asked_once_more_in_another_way(stub: Stub) -> None:
    session = await towards(stub, {**MET, "error": {"code": 400}})
    await session.comes("status.completed")
    assert (await session.lines())[3:] == [
        *turn(1, "status.rescheduling 1 model_rejected", "status.running attempt 2"),
        "1 outcome.evaluated 1 met",
        "0 status.completed",
    ]


async def test_what_the_grader_is_told_is_cut_until_it_fits(stub: Stub) -> None:
    session = await towards(stub, {**MET, "error": {"code": 413}})
    events = await session.comes("status.completed")
    assert (await session.lines())[3:] == [
        *turn(1, "status.rescheduling 1 model_context_too_long", "status.running attempt 2"),
        "1 outcome.evaluated 1 met",
        "0 status.completed",
    ]
    assert events[3].status_rescheduling.delay.ToNanoseconds() == 0
