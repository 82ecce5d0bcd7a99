"""A log that cannot be read costs its own session, and nothing else."""

import sqlite3
from contextlib import closing, suppress
from typing import Any

import grpc
import pytest

from managedagents.v1 import event_pb2, session_pb2, status_event_pb2, stream_pb2, user_event_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import message, refused, scripted
from support.driven import Driven, drive, lines, use_ids
from support.server import Server, Stub
from support.stubborn import Stubborn, eventually

pytestmark = pytest.mark.long

CALL = {"tool_calls": [{"name": "ask"}]}
TURN = ["status.running", "agent.message", "status.idle end_turn"]
BROKEN = 3
"""The seq of the event that is made unreadable."""


async def with_a_history(stub: Stub) -> tuple[Driven, str]:
    """A session with a turn behind it that waits for its client in the second one: seq 1 to 7, and the use."""
    session = await drive(stub, scripted({"text": "a"}, CALL, {"text": "b"}, tools=["ask"]), "1")
    await session.comes("status.idle end_turn")
    await session.send("2")
    (use,) = use_ids(await session.comes("agent.custom_tool_use"))
    return session, use


async def damaged(server: Server, *statements: str) -> None:
    """What a bad disk does while the server is down."""
    await server.terminate()
    with closing(sqlite3.connect(server.db)) as db, db:
        for statement in statements:
            db.execute(statement)
    await server.start()


BREAK_EVENT = f"UPDATE events SET frame = zeroblob(length(frame)) WHERE seq = {BROKEN}"
LOSE_CHECKPOINT = "UPDATE sessions SET checkpoint = ''"
BREAK_CHECKPOINT = "UPDATE sessions SET checkpoint = 'no JSON'"
DUE = "UPDATE sessions SET wake_time = 0"
"""The next server looks at the session at once."""
OLD_CHECKPOINT = "UPDATE sessions SET checkpoint = json_set(checkpoint, '$.fold', 0, '$.turn', 99)"


def status_column(server: Server) -> int:
    with closing(sqlite3.connect(f"file:{server.db}?mode=ro", uri=True)) as db:
        (status,) = db.execute("SELECT status FROM sessions").fetchone()
    return int(status)


async def fails(session: Driven) -> list[event_pb2.SessionEvent]:
    """The events after the seventh, to the end of the log."""
    ends: list[stream_pb2.StreamEnded] = []
    events: list[event_pb2.SessionEvent] = []
    call = session.stub.StreamEvents(pb.StreamEventsRequest(session_id=session.session_id, from_seq=7))
    async for reply in call:
        events += reply.batch.events
        if reply.HasField("ended"):
            ends.append(reply.ended)
    assert [(end.reason, end.final) for end in ends] == [(stream_pb2.STREAM_END_REASON_FAILED, True)]
    return events


async def all_of_a_stream(session: Driven) -> list[event_pb2.SessionEvent]:
    """What a stream from the beginning brings, however it ends."""
    seen: list[event_pb2.SessionEvent] = []
    replies = aiter(session.stub.StreamEvents(pb.StreamEventsRequest(session_id=session.session_id, from_seq=0)))
    with suppress(grpc.aio.AioRpcError, StopAsyncIteration):
        while True:
            reply = await anext(replies)
            assert isinstance(reply, pb.StreamEventsResponse), "what came is no message"
            seen += reply.batch.events
    return seen


async def is_failed(session: Driven) -> None:
    assert (await session.status()).state == session_pb2.SESSION_STATUS_FAILED
    said = await refused(session.send("3"))
    assert (said.reason, said.metadata["status"]) == ("SESSION_TERMINAL", "FAILED")


async def lives_on(stub: Stub) -> None:
    """Other sessions run."""
    client = Stubborn(stub)
    agent = await client.call(stub.Create, pb.CreateRequest(definition=scripted({"text": "a"})))
    request = pb.StartSessionRequest(agent_id=agent.agent_id, initial_events=[message("1")])
    session = await client.call(stub.StartSession, request)
    await client.comes(session.session_id, "status.idle end_turn")


async def test_a_session_whose_history_cannot_be_read_fails_and_says_why(server: Server, stub: Stub) -> None:
    session, use = await with_a_history(stub)
    await damaged(server, BREAK_EVENT)
    await Stubborn(stub).send(session.session_id, _answer(use))
    events = await fails(session)
    assert lines(events) == ["5 user.custom_tool_result", "5 error unrecoverable", "0 status.failed"]
    assert events[1].error.next == status_event_pb2.ERROR_NEXT_SESSION_FAILS
    await is_failed(session)
    await lives_on(stub)


def _answer(use: str) -> user_event_pb2.UserEvent:
    return user_event_pb2.UserEvent(user_custom_tool_result=user_event_pb2.UserCustomToolResult(custom_tool_use_id=use))


async def test_a_session_that_cannot_be_rebuilt_fails_by_itself_at_the_start(server: Server, stub: Stub) -> None:
    session, _ = await with_a_history(stub)
    await damaged(server, BREAK_EVENT, LOSE_CHECKPOINT, DUE)
    await eventually(lambda: status_column(server) == session_pb2.SESSION_STATUS_FAILED)
    assert lines(await fails(session)) == ["0 error unrecoverable", "0 status.failed"]
    await is_failed(session)
    await lives_on(stub)


async def test_a_failed_session_stays_readable_up_to_what_cannot_be_read(server: Server, stub: Stub) -> None:
    session, use = await with_a_history(stub)
    whole = await session.log()
    await damaged(server, BREAK_EVENT)
    await Stubborn(stub).send(session.session_id, _answer(use))
    await fails(session)
    request = pb.ListEventsRequest(session_id=session.session_id, page_size=BROKEN - 1)
    page = await stub.ListEvents(request)
    assert list(page.events) == whole[: BROKEN - 1]
    after = await stub.ListEvents(pb.ListEventsRequest(session_id=session.session_id, from_seq=BROKEN))
    assert list(after.events)[: 7 - BROKEN] == whole[BROKEN:]
    seen = await all_of_a_stream(session)
    assert seen == whole[: BROKEN - 1]


async def test_a_bad_checkpoint_of_one_session_does_not_end_the_server(server: Server, stub: Stub) -> None:
    session, use = await with_a_history(stub)
    await damaged(server, BREAK_CHECKPOINT, DUE)
    await lives_on(stub)
    await session.answer(use)
    await session.comes("status.idle end_turn")


@pytest.mark.parametrize("statement", [LOSE_CHECKPOINT, BREAK_CHECKPOINT, OLD_CHECKPOINT], ids=["lost", "bad", "old"])
async def test_a_checkpoint_is_a_cache_that_is_made_anew(server: Server, stub: Stub, statement: str) -> None:
    session, use = await with_a_history(stub)
    before = await session.status()
    await damaged(server, statement)
    await Stubborn(stub).log(session.session_id)
    assert await session.status() == before
    await session.answer(use)
    await session.comes("status.idle end_turn")
    assert (await session.lines())[7:] == [f"5 {line}" for line in ["user.custom_tool_result", *TURN[1:]]]
    assert server.stderr().count("cannot be read") == 0


LOSE_EVENT = f"DELETE FROM events WHERE seq = {BROKEN}"
LOSE_LAST_EVENT = "DELETE FROM events WHERE seq = 7"


@pytest.mark.parametrize(
    ("damage", "asked", "seqs", "unreadable"),
    [
        pytest.param(BREAK_EVENT, {}, [1, 2], BROKEN, id="broken"),
        pytest.param(BREAK_EVENT, {"kinds": ["user.message", "agent.message"]}, [1], BROKEN, id="broken, some kinds"),
        pytest.param(BREAK_EVENT, {"turn": 1}, [1, 2], BROKEN, id="broken, a turn"),
        pytest.param(LOSE_EVENT, {}, [1, 2], BROKEN, id="lost"),
        pytest.param(LOSE_EVENT, {"turn": BROKEN}, [], BROKEN, id="lost, a turn"),
        pytest.param(LOSE_EVENT, {"kinds": ["user.message"]}, [1], BROKEN, id="lost, some kinds"),
        pytest.param(LOSE_LAST_EVENT, {}, [1, 2, 3, 4, 5, 6], 7, id="lost at the head"),
    ],
)
async def test_a_stream_ends_at_what_cannot_be_read_also_in_a_session_that_nobody_has_woken(
    server: Server, stub: Stub, damage: str, asked: dict[str, Any], seqs: list[int], unreadable: int
) -> None:
    session, _ = await with_a_history(stub)
    await damaged(server, damage)
    seen: list[int] = []
    request = pb.StreamEventsRequest(session_id=session.session_id, from_seq=0, **asked)

    async def read() -> None:
        async for reply in stub.StreamEvents(request):
            seen.extend(event.seq for event in reply.batch.events)
            assert not reply.HasField("caught_up"), "the head was not reached"

    said = await refused(read())
    assert (said.reason, said.metadata) == ("EVENT_UNREADABLE", {"seq": str(unreadable)})
    assert seen == seqs
