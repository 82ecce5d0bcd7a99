"""A server that is asked to stop lets go of everything in good order."""

import asyncio
import sqlite3
from contextlib import closing

import grpc
import pytest

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import stream_pb2
from support.calls import Refusal, message, refusal, scripted
from support.driven import drive, texts
from support.server import Server, Stub
from support.stubborn import Stubborn, eventually

pytestmark = pytest.mark.long

TURN = ["1 status.running", "1 agent.message", "1 status.idle end_turn"]


async def test_a_server_that_stops_lets_the_running_turn_finish_and_tells_followers_to_come_back(
    server: Server, stub: Stub
) -> None:
    session = await drive(stub, scripted({"text": "a", "delay": "0.5s"}, {"text": "b"}), "1", "2")
    await session.comes("status.running")
    call = stub.StreamEvents(pb.StreamEventsRequest(session_id=session.session_id, from_seq=0))
    replies = aiter(call)
    assert (await anext(replies)).HasField("opened")
    assert await server.terminate() == 0
    got = [reply async for reply in replies]
    ended = got[-1].ended
    assert (ended.reason, ended.final) == (stream_pb2.STREAM_END_REASON_DRAINING, False)
    assert texts([event for reply in got for event in reply.batch.events]) == ["a"]
    assert ended.last_seq == got[-2].batch.through_seq == 5
    await server.start()
    await Stubborn(stub).comes(session.session_id, "status.idle end_turn", from_seq=5)
    assert texts(await session.log()) == ["a", "b"]


async def test_a_turn_that_outlasts_the_grace_is_cut_off_and_runs_again_at_the_next_server(
    server: Server, stub: Stub
) -> None:
    await server.terminate()
    await server.start("--limit", "drain_grace=0.1")
    session = await drive(stub, scripted({"text": "a", "delay": "2s"}), "1")
    await session.comes("status.running")
    assert await server.terminate() == 0
    await server.start()
    await Stubborn(stub).comes(session.session_id, "status.idle end_turn")
    assert await session.lines() == ["1 user.message", *TURN]


async def test_a_server_that_stops_refuses_what_it_does_not_log(server: Server, stub: Stub) -> None:
    await server.terminate()
    await server.start("--limit", "drain_grace=1", "--limit", "queued_messages=1000000")
    client = Stubborn(stub)
    session = await drive(stub, scripted({"text": "a", "delay": "600s"}), "1")
    await session.comes("status.running")
    for _ in range(20):
        client.keep(session.session_id, await session.send("more"), message("more"))
    stopped = asyncio.create_task(server.terminate())
    said: Refusal | None = None
    while said is None:
        try:
            client.keep(session.session_id, await session.send("more"), message("more"))
        except grpc.aio.AioRpcError as error:
            said = refusal(error)
    assert (said.code, said.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    assert said.retry_after
    assert await stopped == 0
    await server.start()
    events = await client.log(session.session_id)
    client.check(session.session_id, events)
    assert len(events) == 2 + len(client.acknowledged[session.session_id])


async def test_a_deletion_that_was_cut_off_is_finished_by_the_next_server(server: Server, stub: Stub) -> None:
    await server.terminate()
    await server.start(MANAGEDAGENTS_TEST_FAILPOINT="after_commit:purge")
    session = await drive(stub, scripted({"text": "a"}), "1")
    await session.comes("status.idle end_turn")
    await session.delete()
    assert await server.wait() < 0
    await server.start()
    await eventually(lambda: is_empty(server))


def is_empty(server: Server) -> bool:
    with closing(sqlite3.connect(f"file:{server.db}?mode=ro", uri=True)) as db:
        return all(
            db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
            for table in ("events", "sessions", "verbatim")
        )
