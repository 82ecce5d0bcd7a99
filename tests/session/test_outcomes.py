"""An outcome is worked towards until a grader says that it is met, or until its iterations are used up."""

from typing import Any

import grpc
import pytest

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import session_pb2, user_event_pb2
from support.calls import grading, message, outcome, refused, scripted
from support.driven import Driven, drive, texts
from support.server import Stub

MET = {"met": True, "reason": "all is there"}
NOT_MET = {"met": False, "reason": "the end is missing"}
SLOW = {**MET, "delay": "600s"}
A_WHILE = {**NOT_MET, "delay": "0.4s"}
CRITERIA = "a story with an end"
WORK = ["status.running", "agent.message"]
ENDED = ["user.interrupt", "status.idle interrupted"]


def turn(seq: int, *rest: str) -> list[str]:
    return [f"{seq} {line}" for line in rest]


async def begin(stub: Stub, *events: user_event_pb2.UserEvent, responses: Any, verdicts: Any, **more: Any) -> Driven:
    """A new session that begins with these events."""
    agent = await stub.Create(pb.CreateRequest(definition=grading(scripted(*responses, **more), *verdicts)))
    session = await stub.StartSession(pb.StartSessionRequest(agent_id=agent.agent_id, initial_events=events))
    return Driven(stub, session.session_id)


async def towards(stub: Stub, *verdicts: Any, most: int | None = None, **more: Any) -> Driven:
    """A session that works towards an outcome, and says `one`, `two` and so on."""
    responses = more.pop("responses", [{"text": "one"}, {"text": "two"}, {"text": "three"}, {"text": "more"}])
    return await begin(stub, outcome(CRITERIA, most), responses=responses, verdicts=verdicts, **more)


async def lives_on(session: Driven) -> None:
    """A message is a turn as ever, and nobody judges it."""
    seq = await session.send("are you there?")
    await session.comes("status.idle end_turn")
    lines = await session.lines()
    assert lines[-4:] == turn(seq, "user.message", *WORK, "status.idle end_turn")


async def test_an_outcome_that_is_met_at_once_completes_the_session(stub: Stub) -> None:
    session = await towards(stub, MET)
    events = await session.comes("status.completed")
    assert await session.lines() == [
        *turn(1, "user.define_outcome", *WORK, "outcome.evaluated 1 met"),
        "0 status.completed",
    ]
    assert events[-2].outcome_evaluated.reason == "all is there"
    refusal = await refused(session.send("more"))
    assert (refusal.reason, refusal.metadata) == ("SESSION_TERMINAL", {"status": "COMPLETED"})


async def test_an_outcome_that_is_met_at_the_second_iteration_completes_the_session(stub: Stub) -> None:
    session = await towards(stub, NOT_MET, MET)
    events = await session.comes("status.completed")
    assert await session.lines() == [
        *turn(1, "user.define_outcome", *WORK, "outcome.evaluated 1 not met"),
        *turn(4, *WORK, "outcome.evaluated 2 met"),
        "0 status.completed",
    ]
    assert texts(events) == ["one", "two"]
    assert (await session.status()).state == session_pb2.SESSION_STATUS_COMPLETED


@pytest.mark.parametrize(("most", "iterations"), [(None, 3), (1, 1), (5, 5)])
async def test_one_that_is_never_met_ends_in_idle_after_its_iterations_and_the_session_lives_on(
    stub: Stub, most: int | None, iterations: int
) -> None:
    session = await towards(stub, NOT_MET, most=most)
    await session.comes("status.idle max_outcome_iterations")
    lines = await session.lines()
    assert [line.split(" ", 1)[1] for line in lines if "evaluated" in line] == [
        f"outcome.evaluated {n} not met" for n in range(1, iterations + 1)
    ]
    last = 3 * iterations - 2
    assert lines[-4:] == turn(last, *WORK, f"outcome.evaluated {iterations} not met", lines[-1].partition(" ")[2])
    await lives_on(session)


async def test_what_the_grader_cost_stands_on_its_verdict_and_counts_for_the_turn(stub: Stub) -> None:
    session = await towards(stub, NOT_MET, most=1)
    *_, said, verdict, idle = await session.comes("status.idle")
    assert (verdict.response.provider, verdict.response.attempt, verdict.response.usage.requests) == ("scripted", 1, 1)
    assert verdict.response_id not in ("", said.response_id)
    assert idle.status_idle.usage.requests == 2
    assert (await session.status()).usage.requests == 2


async def test_a_message_that_was_queued_before_it_is_answered_first_and_not_judged(stub: Stub) -> None:
    definition = {"responses": [{"text": "hello"}, {"text": "done"}], "verdicts": [MET]}
    session = await begin(stub, message("hi"), outcome(CRITERIA), **definition)
    await session.comes("status.completed")
    assert await session.lines() == [
        "1 user.message",
        "2 user.define_outcome",
        *turn(1, *WORK, "status.idle end_turn"),
        *turn(2, *WORK, "outcome.evaluated 1 met"),
        "0 status.completed",
    ]


async def test_a_message_that_is_queued_behind_it_is_answered_before_anything_is_judged(stub: Stub) -> None:
    definition = {"responses": [{"text": "one"}, {"text": "two"}, {"text": "three"}], "verdicts": [NOT_MET, MET]}
    session = await begin(stub, outcome(CRITERIA), message("make it short"), **definition)
    await session.comes("status.completed")
    assert await session.lines() == [
        "1 user.define_outcome",
        "2 user.message",
        *turn(1, *WORK, "status.idle end_turn"),
        *turn(2, *WORK, "outcome.evaluated 1 not met"),
        *turn(8, *WORK, "outcome.evaluated 2 met"),
        "0 status.completed",
    ]


async def test_a_message_that_comes_while_the_grader_works_runs_before_the_further_turn(stub: Stub) -> None:
    session = await towards(stub, A_WHILE, MET)
    await session.comes("agent.message")
    assert await session.send("make it short") == 4
    await session.comes("status.completed")
    assert await session.lines() == [
        *turn(1, "user.define_outcome", *WORK),
        "4 user.message",
        "1 outcome.evaluated 1 not met",
        *turn(4, *WORK, "status.idle end_turn"),
        *turn(5, *WORK, "outcome.evaluated 2 met"),
        "0 status.completed",
    ]


async def test_one_that_is_met_while_a_message_is_queued_is_judged_again_behind_it(stub: Stub) -> None:
    session = await towards(stub, {**MET, "delay": "0.4s"}, MET)
    await session.comes("agent.message")
    await session.send("and one more thing")
    await session.comes("status.completed")
    assert await session.lines() == [
        *turn(1, "user.define_outcome", *WORK),
        "4 user.message",
        "1 outcome.evaluated 1 met",
        *turn(4, *WORK, "outcome.evaluated 2 met"),
        "0 status.completed",
    ]


async def test_beyond_its_iterations_a_verdict_of_not_met_ends_it(stub: Stub) -> None:
    session = await towards(stub, {**MET, "delay": "0.4s"}, NOT_MET, most=1)
    await session.comes("agent.message")
    await session.send("and one more thing")
    await session.comes("status.idle")
    assert (await session.lines())[-2:] == turn(4, "outcome.evaluated 2 not met", "status.idle max_outcome_iterations")
    await lives_on(session)


async def test_a_message_that_comes_during_the_last_verdict_runs_when_it_is_over(stub: Stub) -> None:
    session = await towards(stub, A_WHILE, most=1)
    await session.comes("agent.message")
    await session.send("leave it")
    await session.comes("status.idle end_turn")
    assert (await session.lines())[-5:] == [
        *turn(1, "outcome.evaluated 1 not met", "status.idle max_outcome_iterations"),
        *turn(4, *WORK, "status.idle end_turn"),
    ]


async def test_while_it_is_judged_the_session_is_running(stub: Stub) -> None:
    session = await towards(stub, SLOW)
    await session.comes("agent.message")
    status = await session.status()
    assert (status.status, status.turn) == (session_pb2.SESSION_STATUS_RUNNING, 1)
    await session.archive()


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


async def test_there_is_one_at_a_time(stub: Stub) -> None:
    responses = [{"text": "hello", "delay": "0.4s"}, {"text": "one"}]
    session = await begin(stub, message("hi"), outcome(CRITERIA), responses=responses, verdicts=[SLOW])
    await session.comes("status.running")
    await one_is_refused(session)
    await session.comes("status.idle end_turn")
    await session.comes("agent.message")
    await one_is_refused(session)
    await session.archive()


async def one_is_refused(session: Driven) -> None:
    refusal = await refused(session.send(outcome("another")))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "OUTCOME_ACTIVE")
    assert refusal.metadata == {"seq": "2"}
    assert sum(line.endswith("user.define_outcome") for line in await session.lines()) == 1


async def test_a_session_begins_with_one_at_most(stub: Stub) -> None:
    agent = await stub.Create(pb.CreateRequest(definition=scripted({"text": "ok"})))
    request = pb.StartSessionRequest(agent_id=agent.agent_id, initial_events=[outcome("a"), outcome("b")])
    assert (await refused(stub.StartSession(request))).reason == "OUTCOME_ACTIVE"


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


async def test_an_iteration_may_use_tools(stub: Stub) -> None:
    responses = [{"tool_calls": [{"name": "deploy"}]}, {"text": "one"}, {"tool_calls": [{"name": "deploy"}]}]
    session = await towards(stub, NOT_MET, MET, responses=[*responses, {"text": "two"}], tools=["deploy"])
    for _ in range(2):
        *_, use = await session.comes("agent.custom_tool_use")
        await session.answer(use.agent_custom_tool_use.custom_tool_use_id)
        await session.comes("outcome.evaluated")
    used = ["status.running", "agent.custom_tool_use", "user.custom_tool_result", "agent.message"]
    assert await session.lines() == [
        *turn(1, "user.define_outcome", *used, "outcome.evaluated 1 not met"),
        *turn(6, *used, "outcome.evaluated 2 met"),
        "0 status.completed",
    ]


async def test_requires_action_does_not_end_it(stub: Stub) -> None:
    responses = [{"tool_calls": [{"name": "deploy"}]}, {"text": "one"}]
    session = await towards(stub, MET, responses=responses, tools=["deploy"], custom_tool_timeout="0.05s")
    (use,) = (await session.comes("status.idle requires_action"))[-1].status_idle.stop_reason.requires_action.ids
    assert (await refused(session.send(outcome("another")))).reason == "OUTCOME_ACTIVE"
    await session.answer(use)
    await session.comes("status.completed")


async def test_the_tool_rounds_of_each_iteration_are_its_own(stub: Stub) -> None:
    call = {"tool_calls": [{"name": "nobody"}]}
    rounds = [call, call, {"text": "one"}]
    session = await towards(stub, NOT_MET, MET, responses=[*rounds, *rounds])
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


async def test_it_counts_towards_what_may_be_queued(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "slow", "delay": "600s"}), "hi")
    await session.comes("status.running")
    await session.send(outcome(CRITERIA))
    for number in range(4):
        await session.send(f"message {number}")
    refusal = await refused(session.send("too many"))
    assert (refusal.reason, refusal.metadata["limit"]) == ("LIMIT_EXCEEDED", "queued_messages")
    await session.archive()


async def test_its_turns_are_folded_as_others_are(stub: Stub) -> None:
    full = {"text": "one", "usage": {"input_tokens": 850, "output_tokens": 10}}
    responses = [full, {"text": "what was done"}, {"text": "two"}]
    session = await towards(stub, NOT_MET, MET, responses=responses, compaction={"window_tokens": "1000"})
    events = await session.comes("status.completed")
    assert (await session.lines())[4:] == [
        *turn(4, "status.running", "agent.context_compacted", "agent.message", "outcome.evaluated 2 met"),
        "0 status.completed",
    ]
    assert texts(events) == ["one", "two"]
