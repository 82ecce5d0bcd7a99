"""An outcome is worked towards until a grader says that it is met, or until its iterations are used up."""

import grpc
import pytest

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import session_pb2
from support.calls import message, outcome, refused, scripted
from support.driven import Driven, drive, texts
from support.outcomes import A_WHILE, CRITERIA, MET, NOT_MET, SLOW, WORK, begin, lives_on, towards, turn
from support.server import Stub


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


async def test_the_tool_rounds_of_each_iteration_are_its_own(stub: Stub) -> None:
    call = {"tool_calls": [{"name": "nobody"}]}
    rounds = [call, call, {"text": "one"}]
    session = await towards(stub, NOT_MET, MET, responses=[*rounds, *rounds])
    await session.comes("status.completed")


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
