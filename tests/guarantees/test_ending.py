"""How a stream ends: `ended` says why, and whether anything can ever follow."""

import asyncio

import pytest

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import stream_pb2
from support import promises
from support.calls import scripted, send, start, until
from support.recording import following
from support.server import Server, Stub


async def archive(stub: Stub, session_id: str) -> None:
    await stub.Archive(pb.ArchiveRequest(session_id=session_id))


async def delete(stub: Stub, session_id: str) -> None:
    await stub.DeleteSession(pb.DeleteSessionRequest(session_id=session_id))


@pytest.mark.parametrize("kinds", [(), ("agent.message",)], ids=["all kinds", "one kind"])
@pytest.mark.parametrize(
    ("end", "reason", "last_seq"),
    [
        (archive, stream_pb2.STREAM_END_REASON_ARCHIVED, 5),
        (delete, stream_pb2.STREAM_END_REASON_DELETED, 4),
    ],
)
async def test_a_terminal_session_ends_its_streams_for_good(
    stub: Stub, end: object, reason: int, last_seq: int, kinds: tuple[str, ...]
) -> None:
    assert callable(end)
    session_id = await start(stub, scripted({"text": "ok"}), "go")
    await until(stub, session_id, "status.idle")
    async with following(stub, session_id, kinds=kinds) as one, following(stub, session_id, from_seq=None) as live:
        await one.first(lambda message: message.HasField("caught_up"))
        await live.first(lambda message: message.HasField("caught_up"))
        await end(stub, session_id)
        for follower in (one, live):
            messages = await follower.ended()
            promises.framed(messages)
            assert messages[-1].ended == stream_pb2.StreamEnded(
                reason=stream_pb2.StreamEndReason.ValueType(reason), last_seq=last_seq, final=True
            )


@pytest.mark.parametrize("from_seq", [0, 2, 5, None])
async def test_an_archived_session_replays_and_ends(stub: Stub, from_seq: int | None) -> None:
    session_id = await start(stub, scripted({"text": "ok"}), "go")
    await until(stub, session_id, "status.idle")
    await archive(stub, session_id)
    async with following(stub, session_id, from_seq=from_seq) as follower:
        messages = await follower.ended()
    assert promises.seqs(messages) == list(range((5 if from_seq is None else from_seq) + 1, 6))
    assert messages[-1].ended.reason == stream_pb2.STREAM_END_REASON_ARCHIVED
    assert messages[-1].ended.final


async def test_a_server_that_drains_asks_its_followers_to_come_back(server: Server) -> None:
    async with server.channel() as channel:
        stub = Stub(channel)
        session_id = await start(stub, scripted({"text": "ok"}), "go")
        await until(stub, session_id, "status.idle")
        async with (
            following(stub, session_id) as one,
            following(stub, session_id, kinds=["error"]) as other,
        ):
            assert await server.terminate() == 0
            for follower in (one, other):
                messages = await follower.ended()
                promises.framed(messages)
                assert messages[-1].ended == stream_pb2.StreamEnded(
                    reason=stream_pb2.STREAM_END_REASON_DRAINING, last_seq=4, final=False
                )
    await server.start()
    async with server.channel() as channel:
        again = Stub(channel)
        async with following(again, session_id, from_seq=4) as follower:
            await send(again, session_id, "more")
            await follower.event(lambda event: event.HasField("status_idle"))
        assert promises.seqs(follower.messages) == [5, 6, 7, 8]


async def test_a_killed_server_cuts_its_streams_without_an_end(server: Server) -> None:
    async with server.channel() as channel:
        session_id = await start(Stub(channel), scripted({"text": "ok"}))
        async with following(Stub(channel), session_id) as follower:
            await server.kill()
            cut = await asyncio.gather(follower.ended(), return_exceptions=True)
        assert isinstance(cut[0], Exception)
        assert not any(message.HasField("ended") for message in follower.messages)
