"""An interrupt acts at once in every state, and the session lives on."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from managedagents.v1 import event_pb2, session_pb2, user_event_pb2
from support.calls import scripted
from support.driven import Driven, drive, sessions_of, texts, use_ids
from support.server import Stub, running

LONG = {"text": "a long story", "delay": "600s"}
TURN = ["status.running", "agent.message", "status.idle end_turn"]
ENDED = ["user.interrupt", "status.idle interrupted"]


def turn(seq: int, rest: list[str]) -> list[str]:
    return [f"{seq} {line}" for line in rest]


def dropped(event: event_pb2.SessionEvent) -> list[int]:
    return list(event.status_idle.stop_reason.interrupted.dropped_seqs)


async def lives_on(session: Driven, text: str) -> None:
    """One more message is one more turn."""
    before = await session.lines()
    seq = await session.send("are you there?")
    events = await session.comes("status.idle end_turn")
    assert (await session.lines())[len(before) :] == [f"{seq} user.message", *turn(seq, TURN)]
    assert texts(events)[-1:] == [text]


async def test_an_interrupt_cuts_the_model_off_and_nothing_of_its_answer_is_logged(stub: Stub) -> None:
    session = await drive(stub, scripted(LONG), "tell me")
    await session.comes("status.running")
    answer = await session.interrupt()
    async with asyncio.timeout(10):
        idle = (await session.comes("status.idle"))[-1]
    assert await session.lines() == ["1 user.message", *turn(1, ["status.running", *ENDED])]
    assert (answer.seq, answer.status) == (3, session_pb2.SESSION_STATUS_RUNNING)
    assert dropped(idle) == []
    assert (await session.status()).state == session_pb2.SESSION_STATUS_IDLE


async def test_a_request_that_was_cut_off_gets_the_same_answer_when_it_is_asked_again(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "a"}, {"text": "b", "delay": "0.3s"}, {"text": "c"}), "1", "2")
    await session.comes("status.idle end_turn")
    await session.comes("status.running")
    await session.interrupt()
    await session.comes("status.idle interrupted")
    await lives_on(session, "b")
    await lives_on(session, "c")


@pytest.mark.parametrize("late", [False, True], ids=["parked", "requires_action"])
async def test_an_interrupt_closes_the_uses_that_wait(stub: Stub, late: bool) -> None:
    calls = {"tool_calls": [{"name": "deploy"}, {"name": "deploy"}]}
    definition = scripted(calls, {"text": "done"}, tools=["deploy"], custom_tool_timeout="0.05s" if late else "300s")
    session = await drive(stub, definition, "deploy")
    uses = use_ids(await session.comes("status.idle" if late else "agent.custom_tool_use"))
    uses += [] if late else use_ids(await session.comes("agent.custom_tool_use"))
    await session.interrupt()
    *_, first, second, _ = await session.comes("status.idle interrupted")
    waited = ["status.running", "agent.custom_tool_use", "agent.custom_tool_use"]
    given_up = ["error tool_timeout", "status.idle requires_action"] if late else []
    closed = ["user.interrupt", *["agent.tool_result interrupted"] * 2, "status.idle interrupted"]
    assert await session.lines() == ["1 user.message", *turn(1, [*waited, *given_up, *closed])]
    assert [first.agent_tool_result.tool_use_id, second.agent_tool_result.tool_use_id] == uses
    assert first.agent_tool_result.is_error
    assert not (await session.status()).pending_actions
    await lives_on(session, "done")


async def test_a_use_that_was_answered_before_the_interrupt_keeps_its_answer(stub: Stub) -> None:
    calls = {"tool_calls": [{"name": "deploy"}, {"name": "deploy"}]}
    session = await drive(stub, scripted(calls, {"text": "done"}, tools=["deploy"]), "deploy")
    await session.comes("agent.custom_tool_use")
    (second,) = use_ids(await session.comes("agent.custom_tool_use"))
    await session.answer(second)
    await session.interrupt()
    await session.comes("status.idle interrupted")
    after = ["user.custom_tool_result", "user.interrupt", "agent.tool_result interrupted", "status.idle interrupted"]
    assert (await session.lines())[4:] == turn(1, after)
    await lives_on(session, "done")


async def test_an_interrupt_ends_a_backoff(stub: Stub) -> None:
    failing = {"error": {"code": 503, "retry_after": "100s", "times": 1}}
    session = await drive(stub, scripted(failing, {"text": "done"}), "hi")
    await session.comes("status.rescheduling")
    answer = await session.interrupt()
    await session.comes("status.idle interrupted")
    assert answer.status == session_pb2.SESSION_STATUS_RESCHEDULING
    rest = ["status.running", "status.rescheduling 1 model_unavailable", *ENDED]
    assert await session.lines() == ["1 user.message", *turn(1, rest)]
    await lives_on(session, "done")


@pytest.mark.parametrize("messages", [(), ("hi",)], ids=["never used", "idle"])
async def test_an_interrupt_at_rest_is_a_turn_of_its_own(stub: Stub, messages: tuple[str, ...]) -> None:
    session = await drive(stub, scripted({"text": "done"}), *messages)
    for _ in messages:
        await session.comes("status.idle end_turn")
    for _ in range(2):
        before = await session.lines()
        seq = (await session.interrupt()).seq
        idle = (await session.comes("status.idle interrupted"))[-1]
        assert (await session.lines())[len(before) :] == turn(seq, ENDED)
        assert idle.status_idle.usage.requests == 0
    await lives_on(session, "done")


@pytest.mark.parametrize("by_event", [False, True], ids=["Interrupt", "SendEvent"])
@pytest.mark.parametrize("drop", [False, True], ids=["keeps", "drops"])
async def test_what_is_queued_runs_next_unless_it_is_dropped(stub: Stub, drop: bool, by_event: bool) -> None:
    session = await drive(stub, scripted({"text": "a", "delay": "0.2s"}), "1")
    await session.comes("status.running")
    queued = [await session.send("2"), await session.send("3")]
    if by_event:
        interrupt = user_event_pb2.UserEvent(user_interrupt=user_event_pb2.UserInterrupt(drop_queued=drop))
        seq = await session.send(interrupt)
    else:
        seq = (await session.interrupt(drop_queued=drop)).seq
    idle = (await session.comes("status.idle interrupted"))[-1]
    last = await session.send("4")
    run = [last] if drop else [*queued, last]
    for _ in run:
        await session.comes("status.idle end_turn")
    log = await session.log()
    assert log[seq - 1].user_interrupt.drop_queued is drop
    assert (log[seq - 1].turn, idle.turn) == (1, 1)
    assert dropped(idle) == (queued if drop else [])
    assert [event.turn for event in log if event.HasField("status_running")] == [1, *run]
    assert (await session.status()).queued_messages == 0


async def test_an_interrupt_passes_a_full_queue_and_empties_it(stub: Stub) -> None:
    session = await drive(stub, scripted(LONG), "1")
    await session.comes("status.running")
    queued = [await session.send("more") for _ in range(5)]
    await session.interrupt(drop_queued=True)
    idle = (await session.comes("status.idle interrupted"))[-1]
    assert dropped(idle) == queued
    assert (await session.status()).queued_messages == 0


async def test_an_interrupt_while_paused_ends_the_turn_and_leaves_the_flag(stub: Stub) -> None:
    session = await drive(stub, scripted(LONG), "1")
    await session.comes("status.running")
    await session.pause()
    queued = await session.send("2")
    answer = await session.interrupt()
    await session.comes("status.idle interrupted")
    assert answer.status == session_pb2.SESSION_STATUS_PAUSED
    status = await session.status()
    assert (status.paused, status.state, status.turn) == (True, session_pb2.SESSION_STATUS_IDLE, 0)
    assert await session.lines() == [
        "1 user.message",
        "1 status.running",
        "0 status.paused",
        f"{queued} user.message",
        *turn(1, ENDED),
    ]
    await session.resume()
    await session.comes("status.running")
    await session.archive()


async def test_an_interrupt_of_a_paused_session_at_rest_drops_what_waits(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "done"}))
    await session.pause()
    queued = [await session.send("1"), await session.send("2")]
    seq = (await session.interrupt(drop_queued=True)).seq
    idle = (await session.comes("status.idle interrupted"))[-1]
    assert (idle.turn, dropped(idle)) == (seq, queued)
    await session.resume()
    await lives_on(session, "done")


async def test_an_interrupt_of_a_turn_that_waits_for_its_slot_is_finished_at_once(tmp_path: Path) -> None:
    async with running(tmp_path / "log.db", "--limit", "max_concurrent_turns=1") as server, server.channel() as channel:
        busy = await drive(Stub(channel), scripted(LONG), "hold the only slot")
        await busy.comes("status.running")
        (waiting,) = await sessions_of(Stub(channel), scripted({"text": "done"}), 1, "wait")
        seq = (await waiting.interrupt()).seq
        await waiting.comes("status.idle interrupted")
        assert await waiting.lines() == ["1 user.message", *turn(seq, ENDED)]
        await busy.interrupt()
        await waiting.comes("status.idle end_turn")
        assert (await waiting.lines())[3:] == turn(1, TURN)


async def test_interrupts_that_come_together_end_the_turn_once_each_has_its_place_in_the_log(stub: Stub) -> None:
    session = await drive(stub, scripted(LONG, {"text": "done"}), "1")
    await session.comes("status.running")
    await asyncio.gather(*(session.interrupt() for _ in range(8)))
    await session.comes("status.idle interrupted")
    log: list[Any] = await session.log()
    turns = [event.turn for event in log if event.HasField("user_interrupt")]
    while len(ends := [event.turn for event in log if event.HasField("status_idle")]) < len(set(turns)):
        await session.comes("status.idle interrupted")
        log = await session.log()
    assert len(turns) == 8
    assert sorted(ends) == sorted(set(turns))


async def test_of_interrupts_that_come_together_the_one_that_drops_lists_what_it_dropped(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "done"}))
    await session.pause()
    queued = [await session.send("1"), await session.send("2")]
    answers = await asyncio.gather(session.interrupt(), session.interrupt(drop_queued=True), session.interrupt())
    for _ in answers:
        await session.comes("status.idle interrupted")
    ends = {event.turn: dropped(event) for event in await session.log() if event.HasField("status_idle")}
    assert ends == {answers[0].seq: [], answers[1].seq: queued, answers[2].seq: []}
