"""Following over streams that are cut wherever a stream can be cut."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc
import pytest

from managedagents import Client, FromSeqBeyondHeadError, LogReplacedError, PromiseBrokenError
from managedagents.v1 import event_pb2, stream_pb2
from managedagents.v1 import service_pb2 as pb
from support.fake_service import Context, FakeService, Follower, refuse, serving
from support.stream_messages import Response, batch, ended, opened, progress

Cut = Callable[[Context], Any]


async def unavailable(context: Context) -> None:
    await refuse(context, grpc.StatusCode.UNAVAILABLE)


async def cancelled(context: Context) -> None:
    await refuse(context, grpc.StatusCode.CANCELLED)


async def closed(context: Context) -> None:
    """Ends with OK, and without `ended`."""


def honest(script: Sequence[Response], cut_after: int, cut: Cut) -> Follower:
    """A server with nine events that tells the script from where the client is; the first stream is cut."""
    streams = 0

    async def follow(request: pb.StreamEventsRequest, context: Context) -> AsyncIterator[Response]:
        nonlocal streams
        streams += 1
        for index, message in enumerate(script):
            if streams == 1 and index == cut_after:
                await cut(context)
                return
            sent = Response()
            sent.CopyFrom(message)
            if sent.HasField("batch"):
                del sent.batch.events[:]
                sent.batch.events.extend(e for e in message.batch.events if e.seq > request.from_seq)
                if sent.batch.through_seq <= request.from_seq:
                    continue
            yield sent

    return follow


SCRIPT = [
    opened(),
    batch(1, 1),
    batch(2, 4),
    Response(caught_up=stream_pb2.StreamCaughtUp(head_seq=4)),
    batch(5, 5),
    progress(5),
    batch(6, 9),
    ended(9),
]


@pytest.mark.parametrize("cut", [unavailable, cancelled, closed])
@pytest.mark.parametrize("cut_after", range(len(SCRIPT)))
async def test_a_cut_at_any_position_repeats_nothing_and_skips_nothing(cut_after: int, cut: Cut) -> None:
    service = FakeService(follow=honest(SCRIPT, cut_after, cut))
    async with serving(service) as address, Client.connect(address) as client:
        items = client.follow("ses_1")
        assert [event.seq async for event in items] == list(range(1, 10))
    assert items.ended is not None
    assert items.ended.reason == stream_pb2.STREAM_END_REASON_ARCHIVED
    assert items.through_seq == 9
    assert len(service.asked) == 2
    first, second = service.asked
    assert (first.from_seq, first.HasField("log_id")) == (0, False)
    assert second.HasField("log_id") == (cut_after > 0)


async def test_a_server_that_repeats_events_is_not_believed() -> None:
    async def follow(request: pb.StreamEventsRequest, context: Context) -> AsyncIterator[Response]:
        for message in (opened(), batch(1, 3), batch(2, 4), ended(4)):
            yield message

    async with serving(FakeService(follow=follow)) as address, Client.connect(address) as client:
        assert [event.seq async for event in client.follow("ses_1")] == [1, 2, 3, 4]


async def test_a_hole_raises() -> None:
    async def follow(request: pb.StreamEventsRequest, context: Context) -> AsyncIterator[Response]:
        for message in (opened(), batch(1, 3), batch(5, 6)):
            yield message

    async with serving(FakeService(follow=follow)) as address, Client.connect(address) as client:
        with pytest.raises(PromiseBrokenError):
            assert [event async for event in client.follow("ses_1")]


async def test_where_kinds_are_filtered_the_place_moves_with_the_server() -> None:
    async def follow(request: pb.StreamEventsRequest, context: Context) -> AsyncIterator[Response]:
        yield opened()
        if request.from_seq == 0:
            yield batch(3, 3)
            yield progress(700)
            await refuse(context, grpc.StatusCode.UNAVAILABLE)
        yield ended(700)

    service = FakeService(follow=follow)
    async with serving(service) as address, Client.connect(address) as client:
        items = client.follow("ses_1", kinds=["agent.message"])
        assert [event.seq async for event in items] == [3]
    assert [request.from_seq for request in service.asked] == [0, 700]


async def test_a_live_follow_goes_on_from_the_head_that_it_met() -> None:
    async def follow(request: pb.StreamEventsRequest, context: Context) -> AsyncIterator[Response]:
        yield opened(5)
        if not request.HasField("from_seq"):
            await refuse(context, grpc.StatusCode.UNAVAILABLE)
        yield batch(6, 6)
        yield ended(6)

    service = FakeService(follow=follow)
    async with serving(service) as address, Client.connect(address) as client:
        assert [event.seq async for event in client.follow("ses_1", None)] == [6]
    assert service.asked[1].from_seq == 5


async def test_a_server_that_drains_is_left_and_found_again() -> None:
    streams = 0

    async def follow(request: pb.StreamEventsRequest, context: Context) -> AsyncIterator[Response]:
        nonlocal streams
        streams += 1
        yield opened()
        yield batch(request.from_seq + 1, request.from_seq + 1)
        yield ended(request.from_seq + 1, final=streams == 3)

    async with serving(FakeService(follow=follow)) as address, Client.connect(address) as client:
        assert [event.seq async for event in client.follow("ses_1")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (grpc.StatusCode.FAILED_PRECONDITION, "LOG_REPLACED", LogReplacedError),
        (grpc.StatusCode.OUT_OF_RANGE, "FROM_SEQ_BEYOND_HEAD", FromSeqBeyondHeadError),
    ],
)
async def test_another_history_raises(code: grpc.StatusCode, reason: str, error: type[Exception]) -> None:
    async def follow(request: pb.StreamEventsRequest, context: Context) -> AsyncIterator[Response]:
        if request.from_seq == 0:
            yield opened()
            yield batch(1, 2)
            await refuse(context, grpc.StatusCode.UNAVAILABLE)
        assert request.log_id == "log_1"
        await refuse(context, code, reason)

    async with serving(FakeService(follow=follow)) as address, Client.connect(address) as client:
        items = client.follow("ses_1")
        seen = [(await anext(items)).seq, (await anext(items)).seq]
        with pytest.raises(error):
            await anext(items)
    assert seen == [1, 2]


async def test_a_session_that_was_deleted_while_the_stream_was_cut_has_ended() -> None:
    async def follow(request: pb.StreamEventsRequest, context: Context) -> AsyncIterator[Response]:
        if request.HasField("log_id"):
            await refuse(context, grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")
        yield opened()
        yield batch(1, 2)
        await refuse(context, grpc.StatusCode.UNAVAILABLE)

    async with serving(FakeService(follow=follow)) as address, Client.connect(address) as client:
        items = client.follow("ses_1")
        assert [event.seq async for event in items] == [1, 2]
    assert items.ended is not None
    assert items.ended.reason == stream_pb2.STREAM_END_REASON_DELETED


async def test_what_a_later_proto_has_is_passed_over_and_counted() -> None:
    later = bytes([0xFA, 0x7F, 0x02, 0x0A, 0x00])  # A field 2047, which no message here has.

    async def follow(request: pb.StreamEventsRequest, context: Context) -> AsyncIterator[Response]:
        yield opened()
        yield Response.FromString(later)
        strange = event_pb2.SessionEvent.FromString(event_pb2.SessionEvent(seq=2).SerializeToString() + later)
        for message in (
            batch(1, 1),
            Response(batch=stream_pb2.EventBatch(events=[strange], through_seq=2)),
            batch(3, 3),
        ):
            yield message
        yield ended(3)

    async with serving(FakeService(follow=follow)) as address, Client.connect(address) as client:
        events = client.follow("ses_1")
        assert [event.seq async for event in events] == [1, 3]
    assert events.through_seq == 3
