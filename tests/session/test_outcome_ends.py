"""What else ends an outcome, and what does not."""

from typing import Any

import pytest

from managedagents.v1 import session_pb2
from support.calls import message, outcome, refused
from support.outcomes import A_WHILE, CRITERIA, ENDED, MET, NOT_MET, SLOW, WORK, begin, lives_on, towards, turn
from support.server import Stub


async def test_an_interrupt_of_the_grader_acts_at_once_and_ends_the_outcome(stub: Stub) -> None:
    session = await towards(stub, SLOW)
    await session.comes("agent.message")
    await session.interrupt()
    await session.comes("status.idle interrupted")
    assert await session.lines() == turn(1, "user.define_outcome", *WORK, *ENDED)
    await lives_on(session)
    # And another one may be defined.
    await session.send(outcome("another"))
    await session.comes("agent.message")


async def test_an_interrupt_in_a_later_iteration_ends_the_outcome(stub: Stub) -> None:
    slow = [{"text": "one"}, {"text": "two", "delay": "600s"}]
    session = await towards(stub, NOT_MET, responses=slow)
    await session.comes("outcome.evaluated")
    await session.comes("status.running")
    await session.interrupt()
    await session.comes("status.idle interrupted")
    assert (await session.lines())[3:] == [
        "1 outcome.evaluated 1 not met",
        *turn(4, "status.running", *ENDED),
    ]
    assert not (await session.status()).queued_messages


async def test_an_interrupt_of_a_message_within_it_ends_it_and_its_further_turn_never_runs(stub: Stub) -> None:
    responses = [{"text": "one"}, {"text": "slow", "delay": "600s"}]
    session = await towards(stub, A_WHILE, responses=responses)
    await session.comes("agent.message")
    seq = await session.send("make it short")
    await session.comes("outcome.evaluated 1 not met")
    await session.comes("status.running")
    await session.interrupt()
    await session.comes("status.idle interrupted")
    assert (await session.lines())[-3:] == turn(seq, "status.running", *ENDED)
    status = await session.status()
    assert (status.status, status.turn, status.queued_messages) == (session_pb2.SESSION_STATUS_IDLE, 0, 0)


async def test_one_that_waits_in_the_queue_is_dropped_as_a_message_is(stub: Stub) -> None:
    definition = {"responses": [{"text": "slow", "delay": "600s"}, {"text": "next"}], "verdicts": [MET]}
    session = await begin(stub, message("hi"), outcome(CRITERIA), **definition)
    await session.comes("status.running")
    assert (await session.status()).queued_messages == 1
    await session.interrupt(drop_queued=True)
    idle = (await session.comes("status.idle interrupted"))[-1]
    assert list(idle.status_idle.stop_reason.interrupted.dropped_seqs) == [2]
    await session.send(outcome("another"))


async def test_one_that_waits_in_the_queue_survives_an_interrupt_of_what_is_before_it(stub: Stub) -> None:
    definition = {"responses": [{"text": "slow", "delay": "1s"}], "verdicts": [MET]}
    session = await begin(stub, message("hi"), outcome(CRITERIA), **definition)
    await session.comes("status.running")
    await session.interrupt()
    await session.comes("status.completed")
    assert (await session.lines())[-2:] == ["2 outcome.evaluated 1 met", "0 status.completed"]


async def test_a_paused_session_is_judged_after_the_pause(stub: Stub) -> None:
    session = await towards(stub, MET, responses=[{"text": "one", "delay": "0.4s"}])
    await session.comes("status.running")
    await session.pause()
    await session.comes("agent.message")
    status = await session.status()
    assert (status.status, status.state) == (session_pb2.SESSION_STATUS_PAUSED, session_pb2.SESSION_STATUS_RUNNING)
    await session.resume()
    await session.comes("status.completed")
    assert (await session.lines())[2:] == [
        "0 status.paused",
        "1 agent.message",
        "0 status.resumed",
        "1 outcome.evaluated 1 met",
        "0 status.completed",
    ]


async def test_an_interrupt_between_two_of_its_turns_ends_it(stub: Stub) -> None:
    session = await towards(stub, A_WHILE, MET)
    await session.comes("agent.message")
    await session.pause()
    await session.comes("outcome.evaluated 1 not met")
    status = await session.status()
    assert (status.state, status.turn) == (session_pb2.SESSION_STATUS_RUNNING, 0)
    seq = (await session.interrupt()).seq
    await session.comes("status.idle interrupted")
    await session.resume()
    assert (await session.lines())[-3:] == [*turn(seq, *ENDED), "0 status.resumed"]
    await lives_on(session)


async def test_requires_action_does_not_end_it(stub: Stub) -> None:
    responses = [{"tool_calls": [{"name": "deploy"}]}, {"text": "one"}]
    session = await towards(stub, MET, responses=responses, tools=["deploy"], custom_tool_timeout="0.05s")
    (use,) = (await session.comes("status.idle requires_action"))[-1].status_idle.stop_reason.requires_action.ids
    assert (await refused(session.send(outcome("another")))).reason == "OUTCOME_ACTIVE"
    await session.answer(use)
    await session.comes("status.completed")


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ({"text": "cut", "stop_reason": "MODEL_STOP_REASON_MAX_TOKENS"}, "max_tokens"),
        ({"text": "no", "stop_reason": "MODEL_STOP_REASON_REFUSAL"}, "refusal"),
        ({"tool_calls": [{"name": "nobody"}]}, "max_tool_rounds"),
        ({"error": {"code": 401}}, "error"),
        ({"error": {"code": 500, "times": 9}}, "retries_exhausted"),
    ],
)
async def test_a_turn_that_does_not_come_to_its_end_ends_the_outcome(
    stub: Stub, response: dict[str, Any], reason: str
) -> None:
    session = await towards(stub, MET, responses=[response, response, response, {"text": "more"}])
    await session.comes(f"status.idle {reason}")
    assert not [line for line in await session.lines() if "evaluated" in line]
    await session.send(outcome("another"))


async def test_a_used_up_budget_ends_it_before_the_grader_is_asked(stub: Stub) -> None:
    session = await towards(stub, MET, responses=[{"text": "one", "usage": {"input_tokens": 100}}], token_budget=100)
    await session.comes("status.idle")
    assert await session.lines() == turn(1, "user.define_outcome", *WORK, "status.idle token_budget")


async def test_a_used_up_budget_ends_it_in_the_turn_that_would_ask_the_model(stub: Stub) -> None:
    responses = [{"text": "hi", "usage": {"input_tokens": 100}}]
    session = await begin(stub, message("hi"), outcome(CRITERIA), responses=responses, verdicts=[MET], token_budget=100)
    await session.comes("status.idle token_budget")
    assert (await session.lines())[-2:] == turn(2, "status.running", "status.idle token_budget")
    await session.send(outcome("another"))


async def test_an_archive_stops_the_grader(stub: Stub) -> None:
    session = await towards(stub, SLOW)
    await session.comes("agent.message")
    await session.archive()
    await session.comes("status.archived")
    assert (await session.lines())[-2:] == ["1 agent.message", "0 status.archived"]
