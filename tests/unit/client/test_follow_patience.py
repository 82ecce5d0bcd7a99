"""How long a follow waits, how it stops, and what becomes of half an answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import grpc
import pytest

from managedagents import Client, NoAnswerError
from managedagents.v1 import service_pb2 as pb
from support.fake_service import Context, FakeService, refuse, serving
from support.stream_messages import Response, batch, delta, ended, opened


async def test_a_silent_stream_is_given_up_for_a_new_one() -> None:
    streams = 0

    async def follow(request: pb.StreamEventsRequest, context: Context) -> AsyncIterator[Response]:
        nonlocal streams
        streams += 1
        yield opened()
        if streams == 1:
            yield batch(1, 2)
            await asyncio.Event().wait()
        yield batch(3, 3)
        yield ended(3)

    service = FakeService(follow=follow)
    async with serving(service) as address, Client.connect(address, heartbeat_timeout=0.3) as client:
        assert [event.seq async for event in client.follow("ses_1")] == [1, 2, 3]
    assert service.asked[1].from_seq == 2


async def test_half_an_answer_is_discarded_when_its_stream_is_cut() -> None:
    async def follow(request: pb.StreamEventsRequest, context: Context) -> AsyncIterator[Response]:
        yield opened()
        if not request.HasField("log_id"):
            yield batch(1, 1)
            yield delta("Hel", 0)
            await refuse(context, grpc.StatusCode.UNAVAILABLE)
        yield delta("Hello", 0)
        yield batch(2, 2, response_id="rsp_1")
        yield ended(2)

    async with serving(FakeService(follow=follow)) as address, Client.connect(address) as client:
        items = [item async for item in client.follow("ses_1", deltas=True)]
    assert [type(item).__name__ for item in items] == [
        "SessionEvent",
        "StreamDelta",
        "StreamDeltaDiscarded",
        "StreamDelta",
        "SessionEvent",
    ]


async def test_a_told_answer_is_not_discarded_when_its_stream_is_cut() -> None:
    async def follow(request: pb.StreamEventsRequest, context: Context) -> AsyncIterator[Response]:
        yield opened()
        if not request.HasField("log_id"):
            yield delta("Hello", 0)
            yield batch(1, 1, response_id="rsp_1")
            await refuse(context, grpc.StatusCode.UNAVAILABLE)
        yield ended(1)

    async with serving(FakeService(follow=follow)) as address, Client.connect(address) as client:
        items = [item async for item in client.follow("ses_1", deltas=True)]
    assert [type(item).__name__ for item in items] == ["StreamDelta", "SessionEvent"]


async def test_leaving_the_block_cancels_the_call_at_once() -> None:
    gone = asyncio.Event()

    async def follow(request: pb.StreamEventsRequest, context: Context) -> AsyncIterator[Response]:
        try:
            yield opened()
            yield batch(1, 1)
            await asyncio.Event().wait()
        finally:
            gone.set()

    async with serving(FakeService(follow=follow)) as address, Client.connect(address) as client:
        async with client.follow("ses_1") as items:
            assert (await anext(items)).seq == 1
        async with asyncio.timeout(5):
            await gone.wait()


async def test_cancelling_the_reader_cancels_the_call() -> None:
    reading, gone = asyncio.Event(), asyncio.Event()

    async def follow(request: pb.StreamEventsRequest, context: Context) -> AsyncIterator[Response]:
        try:
            yield opened()
            reading.set()
            await asyncio.Event().wait()
        finally:
            gone.set()

    async with serving(FakeService(follow=follow)) as address, Client.connect(address) as client:
        reader = asyncio.create_task(anext(client.follow("ses_1")))
        await reading.wait()
        reader.cancel()
        with suppress(asyncio.CancelledError):
            await reader
        async with asyncio.timeout(5):
            await gone.wait()


async def test_patience_with_a_server_that_is_gone_ends() -> None:
    async def follow(request: pb.StreamEventsRequest, context: Context) -> AsyncIterator[Response]:
        yield opened()
        yield batch(1, 1)
        await asyncio.Event().wait()

    async with serving(FakeService(follow=follow)) as address:
        client = Client.connect(address, patience=0.5)
        items = client.follow("ses_1")
        assert (await anext(items)).seq == 1
    with pytest.raises(NoAnswerError):
        await anext(items)
    await client.close()


async def test_a_reader_that_took_its_time_has_the_whole_patience_left() -> None:
    proceed = asyncio.Event()

    async def follow(request: pb.StreamEventsRequest, context: Context) -> AsyncIterator[Response]:
        yield opened()
        if request.from_seq == 0:
            yield batch(1, 1)
            await proceed.wait()
            await refuse(context, grpc.StatusCode.UNAVAILABLE)
        yield batch(2, 2)
        yield ended(2)

    async with serving(FakeService(follow=follow)) as address, Client.connect(address, patience=0.4) as client:
        items = client.follow("ses_1")
        assert (await anext(items)).seq == 1
        await asyncio.sleep(0.6)  # longer than the patience: that it passes is what is tested
        proceed.set()
        assert (await anext(items)).seq == 2
