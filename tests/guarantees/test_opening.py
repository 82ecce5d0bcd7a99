"""How a stream opens, and why it is refused."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import session_pb2
from support import promises
from support.calls import Refusal, refusal, refused, resting_session, scripted, send, start
from support.recording import Message, following, is_
from support.server import Stub, running


async def refused_stream(stub: Stub, session_id: str, **request: Any) -> Refusal:
    async def first() -> Message:
        call = stub.StreamEvents(pb.StreamEventsRequest(session_id=session_id, **request))
        return await anext(aiter(call))

    return await refused(first())


async def test_opened_tells_the_head_the_status_and_the_history(stub: Stub) -> None:
    session_id = await resting_session(stub)
    async with following(stub, session_id) as follower:
        await follower.first(is_("caught_up"))
    opened = follower.messages[0].opened
    assert (opened.head_seq, opened.status) == (4, session_pb2.SESSION_STATUS_IDLE)
    assert opened.log_id
    assert follower.messages[-1].caught_up.head_seq == 4
    assert promises.seqs(follower.messages) == [1, 2, 3, 4]


async def test_without_from_seq_only_what_comes_is_told(stub: Stub) -> None:
    session_id = await resting_session(stub)
    async with following(stub, session_id, from_seq=None) as follower:
        seq = await send(stub, session_id, "again")
        await follower.event(lambda event: event.HasField("status_idle"))
    assert seq == 5
    assert promises.seqs(follower.messages) == [5, 6, 7, 8]


async def test_an_empty_log_can_be_followed(stub: Stub) -> None:
    session_id = await start(stub, scripted({"text": "ok"}))
    async with following(stub, session_id) as follower:
        assert (await follower.first(is_("caught_up"))).caught_up.head_seq == 0
        await send(stub, session_id, "go")
        await follower.event(lambda event: event.HasField("status_idle"))
    assert promises.seqs(follower.messages) == [1, 2, 3, 4]


async def test_beyond_the_head_is_out_of_range_with_the_head(stub: Stub) -> None:
    said = await refused_stream(stub, await resting_session(stub), from_seq=5)
    assert said == Refusal(
        grpc.StatusCode.OUT_OF_RANGE, "FROM_SEQ_BEYOND_HEAD", {"head_seq": "4"}, [], retry_after=None
    )


async def test_another_history_is_refused_before_its_seqs_are_looked_at(stub: Stub) -> None:
    session_id = await resting_session(stub)
    async with following(stub, session_id) as follower:
        log_id = follower.messages[0].opened.log_id
    for from_seq in (0, 4, 1000):
        said = await refused_stream(stub, session_id, from_seq=from_seq, log_id="log_of_yesterday")
        assert (said.code, said.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "LOG_REPLACED")
        assert said.metadata == {"log_id": log_id}
    async with following(stub, session_id, from_seq=4, log_id=log_id) as follower:
        assert follower.messages[0].opened.log_id == log_id


async def test_every_unknown_kind_is_named(stub: Stub) -> None:
    kinds = ["agent.message", "agent.massage", "status_idle", ""]
    said = await refused_stream(stub, await resting_session(stub), kinds=kinds)
    assert (said.code, said.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert said.fields == ["kinds[1]", "kinds[2]", "kinds[3]"]


@pytest.mark.parametrize("session_id", ["ses_nobody", "x" * 5000])
async def test_an_unknown_session_is_not_found(stub: Stub, session_id: str) -> None:
    said = await refused_stream(stub, session_id)
    assert (said.code, said.reason) == (grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")


async def test_one_stream_too_many_is_told_to_come_back(tmp_path: Path) -> None:
    async with running(tmp_path / "log.db", "--limit", "streams=2") as server, server.channel() as channel:
        stub = Stub(channel)
        session_id = await start(stub, scripted({"text": "ok"}))
        async with following(stub, session_id) as one:
            async with following(stub, session_id):
                said = await refused_stream(stub, session_id)
                assert (said.code, said.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED")
                assert said.metadata == {"limit": "streams", "value": "2"}
                assert said.retry_after is not None
            await one.first(is_("caught_up"))
            # The place of the one that left is free as soon as the server has noticed.
            while (left := await tried(stub, session_id)) is not None:
                assert left.reason == "LIMIT_EXCEEDED"


async def tried(stub: Stub, session_id: str) -> Refusal | None:
    """Opens a stream and leaves it; None: it was opened."""
    call = stub.StreamEvents(pb.StreamEventsRequest(session_id=session_id))
    try:
        await anext(aiter(call))
    except grpc.aio.AioRpcError as error:
        return refusal(error)
    call.cancel()
    return None
