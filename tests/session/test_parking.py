"""A tool use that the client answers waits in the log, not in a coroutine."""

import asyncio
from typing import Any

import grpc
import pytest

from managedagents.v1 import agent_event_pb2, event_pb2, session_pb2, status_event_pb2
from support.calls import Refusal, refused, scripted
from support.driven import Driven, drive, texts, use_ids
from support.server import Server, Stub

SOON = {"custom_tool_timeout": "0.05s"}
CALLS = ["1 user.message", "1 status.running", *["1 agent.custom_tool_use"] * 3]
GIVEN_UP = [*CALLS, "1 error tool_timeout", "1 status.idle requires_action"]
GOES_ON = ["1 agent.message", "1 status.idle end_turn"]
ANSWERED = "1 user.custom_tool_result"


async def three_uses(stub: Stub, **definition: Any) -> tuple[Driven, list[str]]:
    """A session that waits for three answers, and their ids."""
    calls = [{"name": "deploy", "input_json": f'{{"n": {n}}}', "id": "same"} for n in range(3)]
    session = await drive(
        stub, scripted({"tool_calls": calls}, {"text": "done"}, tools=["deploy"], **definition), "deploy"
    )
    uses: list[str] = []
    while len(uses) < 3:
        uses += use_ids(await session.comes("agent.custom_tool_use"))
    return session, uses


def required(event: event_pb2.SessionEvent) -> list[str]:
    return list(event.status_idle.stop_reason.requires_action.ids)


async def test_a_use_that_waits_for_its_client_keeps_the_session_running(stub: Stub) -> None:
    session, uses = await three_uses(stub)
    assert await session.lines() == CALLS
    status = await session.status()
    assert status.state == status.status == session_pb2.SESSION_STATUS_RUNNING
    assert status.turn == 1
    assert [action.tool_use_id for action in status.pending_actions] == uses
    assert [action.input_json for action in status.pending_actions] == ['{"n": 0}', '{"n": 1}', '{"n": 2}']
    assert [action.seq for action in status.pending_actions] == [3, 4, 5]
    assert {action.kind for action in status.pending_actions} == {session_pb2.PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT}
    assert len(set(uses)) == 3


async def test_a_wait_is_five_minutes_where_nothing_else_is_said(stub: Stub) -> None:
    session, _ = await three_uses(stub)
    use = (await session.log())[2]
    waits = use.agent_custom_tool_use.deadline.ToNanoseconds() - use.create_time.ToNanoseconds()
    assert waits == pytest.approx(300e9, abs=1e9)
    assert use.agent_custom_tool_use.permission == agent_event_pb2.PERMISSION_DECISION_ALLOW


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)], ids=str)
async def test_answers_are_taken_in_any_order_from_any_client_and_the_last_one_goes_on(
    server: Server, stub: Stub, order: tuple[int, ...]
) -> None:
    session, uses = await three_uses(stub)
    async with server.channel() as channel:
        clients = [session, Driven(Stub(channel), session.session_id)]
        for n in order:
            await clients[n % 2].answer(uses[n], f"answer {n}")
    await session.comes("status.idle end_turn")
    assert await session.lines() == [*CALLS, *[ANSWERED] * 3, *GOES_ON]
    given = [event.user_custom_tool_result.custom_tool_use_id for event in (await session.log())[5:8]]
    assert given == [uses[n] for n in order]


async def test_after_the_deadline_the_turn_stays_open_and_says_what_it_waits_for(stub: Stub) -> None:
    session, uses = await three_uses(stub, **SOON)
    *_, error, idle = await session.comes("status.idle")
    assert await session.lines() == GIVEN_UP
    assert required(idle) == uses
    assert error.error.next == status_event_pb2.ERROR_NEXT_WAITS_FOR_ANSWERS
    status = await session.status()
    assert (status.state, status.turn) == (session_pb2.SESSION_STATUS_IDLE, 1)
    assert [action.tool_use_id for action in status.pending_actions] == uses


async def test_each_partial_answer_says_what_remains_and_the_last_one_goes_on(stub: Stub) -> None:
    session, uses = await three_uses(stub, **SOON)
    await session.comes("status.idle")
    await session.answer(uses[1])
    assert required((await session.comes("status.idle"))[-1]) == [uses[0], uses[2]]
    await session.answer(uses[2])
    assert required((await session.comes("status.idle"))[-1]) == [uses[0]]
    await session.answer(uses[0])
    await session.comes("status.idle end_turn")
    partial = [ANSWERED, "1 status.idle requires_action"]
    assert await session.lines() == [*GIVEN_UP, *partial, *partial, ANSWERED, "1 status.running", *GOES_ON]


async def test_partial_answers_that_come_at_once_are_told_one_by_one(stub: Stub) -> None:
    session, uses = await three_uses(stub, **SOON)
    await session.comes("status.idle")
    await asyncio.gather(session.answer(uses[0]), session.answer(uses[1]))
    while required((await session.comes("status.idle"))[-1]) != [uses[2]]:
        pass
    after = (await session.lines())[len(GIVEN_UP) :]
    assert after == [ANSWERED, "1 status.idle requires_action"] * 2


async def test_one_answer_in_time_and_the_others_late_names_only_the_late_ones(stub: Stub) -> None:
    session, uses = await three_uses(stub, custom_tool_timeout="0.3s")
    await session.answer(uses[0])
    idle = (await session.comes("status.idle"))[-1]
    assert required(idle) == uses[1:]
    assert await session.lines() == [*CALLS, ANSWERED, "1 error tool_timeout", "1 status.idle requires_action"]


async def test_a_message_waits_behind_a_turn_that_waits(stub: Stub) -> None:
    session, uses = await three_uses(stub, **SOON)
    await session.comes("status.idle")
    seq = await session.send("and then?")
    for use in uses[:2]:
        await session.answer(use)
        await session.comes("status.idle requires_action")
    assert (await session.status()).queued_messages == 1
    await session.answer(uses[2])
    await session.comes("status.idle end_turn")
    await session.comes("status.idle end_turn")
    assert (await session.lines())[-6:] == [
        "1 status.running",
        *GOES_ON,
        f"{seq} status.running",
        f"{seq} agent.message",
        f"{seq} status.idle end_turn",
    ]
    assert texts(await session.log()) == ["done", "done"]


async def test_a_second_wait_in_the_same_turn_has_a_deadline_of_its_own(stub: Stub) -> None:
    call = {"tool_calls": [{"name": "deploy"}]}
    session = await drive(stub, scripted(call, call, {"text": "done"}, tools=["deploy"], **SOON), "deploy")
    for _ in range(2):
        (use,) = use_ids(await session.comes("status.idle requires_action"))
        await session.answer(use)
    await session.comes("status.idle end_turn")
    late = [
        "1 agent.custom_tool_use",
        "1 error tool_timeout",
        "1 status.idle requires_action",
        ANSWERED,
        "1 status.running",
    ]
    assert await session.lines() == ["1 user.message", "1 status.running", *late, *late, *GOES_ON]


async def test_of_many_answers_to_one_use_one_stands_and_the_others_are_told_so(stub: Stub) -> None:
    session, uses = await three_uses(stub)
    outcomes = await asyncio.gather(*(session.answer(uses[0]) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(outcome, int) for outcome in outcomes) == 1
    assert sum(_closed(outcome) for outcome in outcomes) == 7
    assert await session.lines() == [*CALLS, ANSWERED]


def _closed(outcome: int | BaseException) -> bool:
    return isinstance(outcome, grpc.aio.AioRpcError) and outcome.code() == grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize("use_id", ["use_3_00000", "use_1_00000", "use_99_00000", "nothing"])
async def test_an_answer_to_a_use_that_never_was_is_not_found_and_leaves_no_trace(stub: Stub, use_id: str) -> None:
    session, _ = await three_uses(stub)
    said = await refused(session.answer(use_id))
    assert (said.code, said.reason) == (grpc.StatusCode.NOT_FOUND, "TOOL_USE_NOT_FOUND")
    assert await session.lines() == CALLS


async def closed_use(session: Driven, use: str) -> Refusal:
    said = await refused(session.answer(use))
    assert (said.code, said.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOOL_USE_CLOSED")
    return said


async def test_an_answer_to_a_closed_use_is_refused_and_leaves_no_trace(stub: Stub) -> None:
    session, uses = await three_uses(stub)
    await session.answer(uses[0])
    await closed_use(session, uses[0])
    await session.interrupt()
    await session.comes("status.idle interrupted")
    head = (await session.status()).head_seq
    for use in uses:
        await closed_use(session, use)
    assert (await session.status()).head_seq == head
