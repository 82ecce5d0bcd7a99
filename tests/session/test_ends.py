"""Archive and delete, in every state that a session can be in."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import session_pb2, stream_pb2, user_event_pb2
from support.calls import answer, message, refused, scripted
from support.driven import Driven, drive, use_ids
from support.server import Stub

CALL = {"tool_calls": [{"name": "ask"}]}


async def never_used(stub: Stub) -> Driven:
    return await drive(stub, scripted({"text": "a"}))


async def idle(stub: Stub) -> Driven:
    session = await drive(stub, scripted({"text": "a"}), "1")
    await session.comes("status.idle end_turn")
    return session


async def streaming(stub: Stub) -> Driven:
    session = await drive(stub, scripted({"text": "a", "delay": "600s"}), "1", "2")
    await session.comes("status.running")
    return session


async def parked(stub: Stub) -> Driven:
    session = await drive(stub, scripted(CALL, tools=["ask"]), "1")
    await session.comes("agent.custom_tool_use")
    return session


async def requires_action(stub: Stub) -> Driven:
    session = await drive(stub, scripted(CALL, tools=["ask"], custom_tool_timeout="0.05s"), "1")
    await session.comes("status.idle requires_action")
    return session


async def backing_off(stub: Stub) -> Driven:
    session = await drive(stub, scripted({"error": {"code": 429, "retry_after": "100s"}}), "1")
    await session.comes("status.rescheduling")
    return session


async def paused(stub: Stub) -> Driven:
    session = await drive(stub, scripted({"text": "a"}))
    await session.pause()
    await session.send("1")
    return session


STATES = [never_used, idle, streaming, parked, requires_action, backing_off, paused]
every_state = pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
State = Callable[[Stub], Awaitable[Driven]]


def writes(session: Driven) -> list[Awaitable[Any]]:
    """Every call that would change the session, but DeleteSession."""
    interrupt = user_event_pb2.UserEvent(user_interrupt=user_event_pb2.UserInterrupt())
    return [
        session.send(message("hello?")),
        session.send(interrupt),
        session.send(answer("use_3_00000")),
        session.interrupt(),
        session.pause(),
        session.resume(),
        session.archive(),
    ]


@every_state
async def test_archive_stops_everything_and_keeps_the_log_readable(stub: Stub, state: State) -> None:
    session = await state(stub)
    before = await session.lines()
    call = stub.StreamEvents(pb.StreamEventsRequest(session_id=session.session_id, from_seq=len(before)))
    seq = (await session.archive()).seq
    ended = [reply.ended async for reply in call if reply.HasField("ended")]
    assert ended == [stream_pb2.StreamEnded(reason=stream_pb2.STREAM_END_REASON_ARCHIVED, last_seq=seq, final=True)]
    status = await session.status()
    assert status.status == status.state == session_pb2.SESSION_STATUS_ARCHIVED
    assert not status.pending_actions
    for call_ in writes(session):
        said = await refused(call_)
        assert (said.code, said.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SESSION_TERMINAL")
        assert said.metadata["status"] == "ARCHIVED"
    assert await session.lines() == [*before, "0 status.archived"]


@every_state
async def test_a_deleted_session_is_not_found_and_its_streams_end(stub: Stub, state: State) -> None:
    session = await state(stub)
    head = (await session.status()).head_seq
    replies = aiter(stub.StreamEvents(pb.StreamEventsRequest(session_id=session.session_id, from_seq=head)))
    assert (await anext(replies)).HasField("opened")
    await session.delete()
    ended = [reply.ended async for reply in replies if reply.HasField("ended")]
    assert ended == [stream_pb2.StreamEnded(reason=stream_pb2.STREAM_END_REASON_DELETED, last_seq=head, final=True)]
    reads = [session.status(), session.log(), session.comes("anything"), session.delete()]
    for call_ in [*reads, *writes(session)]:
        said = await refused(call_)
        assert (said.code, said.reason) == (grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")


async def test_an_archived_session_can_be_deleted(stub: Stub) -> None:
    session = await idle(stub)
    await session.archive()
    await session.delete()
    assert (await refused(session.status())).code == grpc.StatusCode.NOT_FOUND


async def test_an_archived_session_takes_no_answer_that_would_have_been_too_late_anyway(stub: Stub) -> None:
    session = await drive(stub, scripted(CALL, tools=["ask"]), "1")
    (use,) = use_ids(await session.comes("agent.custom_tool_use"))
    await session.answer(use)
    await session.comes("user.custom_tool_result")
    await session.archive()
    assert (await refused(session.answer(use))).reason == "SESSION_TERMINAL"
