"""Sessions: started, read, stopped, paused, archived, deleted."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from managedagents.v1 import model_pb2, session_pb2, status_event_pb2, user_event_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import answer, kind, log, message, refused, scripted, send, start, until
from support.requests import call
from support.server import Stub

IDLE, RUNNING = session_pb2.SESSION_STATUS_IDLE, session_pb2.SESSION_STATUS_RUNNING
PAUSED, ARCHIVED = session_pb2.SESSION_STATUS_PAUSED, session_pb2.SESSION_STATUS_ARCHIVED
QUEUED = session_pb2.SESSION_STATUS_QUEUED
LATER = {"text": "late", "delay": "600s"}
"""An answer that an interrupt, or the end of the test, cuts off."""


async def status(stub: Stub, session_id: str) -> pb.StatusResponse:
    return await stub.Status(pb.StatusRequest(session_id=session_id))


async def test_a_new_session_is_queued_and_empty(stub: Stub) -> None:
    agent = await stub.Create(pb.CreateRequest(definition=scripted({"text": "ok"})))
    request = pb.StartSessionRequest(agent_id=agent.agent_id, version=1, metadata={"k": "v", "é": ""})
    started = await stub.StartSession(request)
    assert started.session_id.startswith("ses_")
    assert started.head_seq == 0
    assert await log(stub, started.session_id) == []
    session = (await stub.GetSession(pb.GetSessionRequest(session_id=started.session_id))).session
    assert (session.session_id, session.agent_id, session.agent_version) == (started.session_id, agent.agent_id, 1)
    assert (session.status, session.state, session.paused, session.head_seq) == (QUEUED, QUEUED, False, 0)
    assert dict(session.metadata) == {"k": "v", "é": ""}
    assert session.create_time == session.update_time


async def test_the_events_that_a_session_begins_with_are_its_first(stub: Stub) -> None:
    agent = await stub.Create(pb.CreateRequest(definition=scripted({"text": "ok"})))
    first = [message("one"), message("two")]
    started = await stub.StartSession(pb.StartSessionRequest(agent_id=agent.agent_id, initial_events=first))
    assert started.head_seq == 2
    events = await until(stub, started.session_id, lambda event: event.turn == 2 and event.HasField("status_idle"))
    assert [event.user_message for event in events[:2]] == [event.user_message for event in first]
    assert [(kind(event), event.turn) for event in events[2:]] == [
        (name, turn) for turn in (1, 2) for name in ("status.running", "agent.message", "status.idle")
    ]


async def test_a_message_is_answered_with_its_seq_and_begins_a_turn(stub: Stub) -> None:
    usage = {"input_tokens": "5", "output_tokens": "7", "requests": "1"}
    session_id = await start(stub, scripted({"text": "ok", "usage": usage}))
    assert await send(stub, session_id, "go") == 1
    events = await until(stub, session_id, "status.idle")
    assert [kind(event) for event in events] == ["user.message", "status.running", "agent.message", "status.idle"]
    assert {event.turn for event in events} == {1}
    spent = model_pb2.Usage(input_tokens=5, output_tokens=7, requests=1)
    assert events[-1].status_idle == status_event_pb2.StatusIdle(
        stop_reason=status_event_pb2.StopReason(end_turn=status_event_pb2.EndTurn()), usage=spent
    )
    now = await status(stub, session_id)
    assert (now.status, now.state, now.head_seq, now.turn, now.usage) == (IDLE, IDLE, 4, 0, spent)


async def test_status_lists_what_is_waited_for(stub: Stub) -> None:
    calls = [{"name": "look", "input_json": '{"n": 1}'}, {"name": "listen"}]
    definition = scripted({"tool_calls": calls}, {"text": "ok"}, tools=["look", "listen"], custom_tool_timeout="60s")
    session_id = await start(stub, definition, "go", "and more")
    await until(stub, session_id, lambda event: event.agent_custom_tool_use.name == "listen")
    now = await status(stub, session_id)
    assert (now.status, now.turn, now.queued_messages) == (RUNNING, 1, 1)
    first, second = now.pending_actions
    assert (first.name, first.input_json, second.name, second.input_json) == ("look", '{"n": 1}', "listen", "{}")
    assert {action.kind for action in now.pending_actions} == {session_pb2.PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT}
    use = (await log(stub, session_id))[first.seq - 1].agent_custom_tool_use
    assert (use.custom_tool_use_id, use.deadline) == (first.tool_use_id, first.deadline)
    for action in (second, first):
        await send(stub, session_id, answer(action.tool_use_id))
    await until(stub, session_id, lambda event: event.turn == 2 and event.HasField("status_idle"))
    now = await status(stub, session_id)
    assert (now.status, now.turn, now.queued_messages, list(now.pending_actions)) == (IDLE, 0, 0, [])


async def by_method(stub: Stub, session_id: str, drop_queued: bool) -> int:
    return (await stub.Interrupt(pb.InterruptRequest(session_id=session_id, drop_queued=drop_queued))).seq


async def by_event(stub: Stub, session_id: str, drop_queued: bool) -> int:
    event = user_event_pb2.UserEvent(user_interrupt=user_event_pb2.UserInterrupt(drop_queued=drop_queued))
    return await send(stub, session_id, event)


@pytest.mark.parametrize("interrupt", [by_method, by_event])
@pytest.mark.parametrize("drop_queued", [False, True])
async def test_an_interrupt_ends_the_turn_that_runs(
    stub: Stub, interrupt: Callable[[Stub, str, bool], Awaitable[int]], drop_queued: bool
) -> None:
    session_id = await start(stub, scripted(LATER, {"text": "never"}), "one", "two")
    await until(stub, session_id, "status.running")
    seq = await interrupt(stub, session_id, drop_queued)
    events = await until(stub, session_id, "status.idle")
    assert events[seq - 1].user_interrupt.drop_queued is drop_queued
    assert events[-1].turn == events[seq - 1].turn == 1
    assert list(events[-1].status_idle.stop_reason.interrupted.dropped_seqs) == ([2] if drop_queued else [])
    if not drop_queued:
        again = await until(stub, session_id, "status.running", from_seq=events[-1].seq)
        assert again[-1].turn == 2


async def test_an_interrupt_at_rest_is_a_turn_of_its_own(stub: Stub, session_id: str) -> None:
    answered = await stub.Interrupt(pb.InterruptRequest(session_id=session_id))
    assert (answered.seq, answered.status) == (5, IDLE)
    events = await until(stub, session_id, "status.idle", from_seq=4)
    assert [(kind(event), event.turn) for event in events] == [("user.interrupt", 5), ("status.idle", 5)]


async def test_pausing_and_resuming_are_logged_once(stub: Stub, session_id: str) -> None:
    never = await stub.Resume(pb.ResumeRequest(session_id=session_id))
    assert (never.seq, never.status) == (0, IDLE)
    for _ in range(3):
        paused = await stub.Pause(pb.PauseRequest(session_id=session_id))
        assert (paused.seq, paused.status) == (5, PAUSED)
    now = await status(stub, session_id)
    assert (now.status, now.state, now.paused, now.head_seq) == (PAUSED, IDLE, True, 5)
    for _ in range(3):
        resumed = await stub.Resume(pb.ResumeRequest(session_id=session_id))
        assert (resumed.seq, resumed.status) == (6, IDLE)
    assert [kind(event) for event in await log(stub, session_id)][4:] == ["status.paused", "status.resumed"]


async def test_a_paused_session_takes_messages_and_waits(stub: Stub, session_id: str) -> None:
    await stub.Pause(pb.PauseRequest(session_id=session_id))
    await send(stub, session_id, "later")
    now = await status(stub, session_id)
    assert (now.status, now.queued_messages, now.head_seq) == (PAUSED, 1, 6)
    await stub.Resume(pb.ResumeRequest(session_id=session_id))
    events = await until(stub, session_id, "status.idle", from_seq=6)
    assert [kind(event) for event in events] == ["status.resumed", "status.running", "agent.message", "status.idle"]


CHANGES = {
    "SendEvent": {"event": {"user_message": {"content": [{"text": {"text": "hi"}}]}}},
    "Interrupt": {},
    "Pause": {},
    "Resume": {},
    "Archive": {},
}
READS = ("Status", "GetSession", "ListEvents", "StreamEvents")


@pytest.mark.parametrize("at_work", [False, True])
async def test_after_archive_only_reads_and_delete_work(stub: Stub, at_work: bool) -> None:
    session_id = await start(stub, scripted(LATER), *(["go"] if at_work else []))
    if at_work:
        await until(stub, session_id, "status.running")
    archived = await stub.Archive(pb.ArchiveRequest(session_id=session_id))
    before = await log(stub, session_id)
    assert (kind(before[-1]), before[-1].seq) == ("status.archived", archived.seq)
    for method, fields in CHANGES.items():
        refusal = await refused(call(stub, method, {"session_id": session_id, **fields}))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SESSION_TERMINAL"), method
        assert refusal.metadata == {"status": "ARCHIVED"}
    events: tuple[dict[str, Any], ...] = (
        {"user_interrupt": {}},
        {"user_custom_tool_result": {"custom_tool_use_id": "use_1_x"}},
    )
    for event in events:
        refusal = await refused(call(stub, "SendEvent", {"session_id": session_id, "event": event}))
        assert refusal.reason == "SESSION_TERMINAL"
    for method in READS:
        assert await call(stub, method, {"session_id": session_id}) is not None
    assert (await status(stub, session_id)).status == ARCHIVED
    assert await log(stub, session_id) == before
    await stub.DeleteSession(pb.DeleteSessionRequest(session_id=session_id))
    refusal = await refused(status(stub, session_id))
    assert refusal.reason == "SESSION_NOT_FOUND"


async def test_a_deleted_session_is_gone_from_the_list(stub: Stub) -> None:
    session_id = await start(stub, scripted(LATER), "go")
    session = (await stub.GetSession(pb.GetSessionRequest(session_id=session_id))).session
    await stub.DeleteSession(pb.DeleteSessionRequest(session_id=session_id))
    listed = await stub.ListSessions(pb.ListSessionsRequest(agent_id=session.agent_id))
    assert list(listed.sessions) == []
