"""A client that outlives its server: it asks again, with the same request id, until there is an answer, and comes back
to a stream with its last seq until the session has ended."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc.aio

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import user_event_pb2
from support.calls import Event, log, refusal
from support.driven import told
from support.server import Server, Stub

T = TypeVar("T")

_GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)
_QUICKLY = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.use_local_subchannel_pool", 1),
]
_AGAIN_AFTER = 0.02


@dataclass(slots=True)
class Stubborn:
    """`acknowledged` are the user events that were answered with a seq, by session."""

    stub: Stub
    name: str = "request"
    acknowledged: dict[str, dict[int, user_event_pb2.UserEvent]] = field(default_factory=dict)
    _number: "itertools.count[int]" = field(default_factory=itertools.count)

    async def call(self, method: Callable[[Any], Awaitable[Any]], request: Any) -> Any:
        """Once, however often it takes."""
        request.request_id = f"{self.name} {next(self._number)}"
        return await self.ask(method, request)

    async def ask(self, method: Callable[[Any], Awaitable[Any]], request: Any) -> Any:
        """As it is, until there is an answer."""
        while True:
            try:
                return await method(request)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _GONE:
                    raise
            await asyncio.sleep(_AGAIN_AFTER)

    async def send(self, session_id: str, event: user_event_pb2.UserEvent) -> int:
        seq: int = (await self.call(self.stub.SendEvent, pb.SendEventRequest(session_id=session_id, event=event))).seq
        return self.keep(session_id, seq, event)

    async def interrupt(self, session_id: str, *, drop_queued: bool = False) -> int:
        request = pb.InterruptRequest(session_id=session_id, drop_queued=drop_queued)
        seq: int = (await self.call(self.stub.Interrupt, request)).seq
        interrupt = user_event_pb2.UserInterrupt(drop_queued=drop_queued)
        return self.keep(session_id, seq, user_event_pb2.UserEvent(user_interrupt=interrupt))

    def keep(self, session_id: str, seq: int, event: user_event_pb2.UserEvent) -> int:
        """Notes what was acknowledged. No seq is given out twice."""
        kept = self.acknowledged.setdefault(session_id, {})
        assert seq not in kept, f"seq {seq} stands for {kept[seq]} and for {event}"
        kept[seq] = event
        return seq

    async def follow(self, session_id: str, from_seq: int = 0) -> AsyncIterator[Event]:
        """Every event, over as many streams as it takes."""
        cursor = from_seq
        while True:
            request = pb.StreamEventsRequest(session_id=session_id, from_seq=cursor)
            try:
                async for reply in self.stub.StreamEvents(request):
                    if reply.ended.final:
                        return
                    for event in reply.batch.events:
                        assert event.seq == cursor + 1, f"seq {event.seq} came after {cursor}"
                        cursor = event.seq
                        yield event
            except grpc.aio.AioRpcError as error:
                if error.code() not in _GONE:
                    raise
            await asyncio.sleep(_AGAIN_AFTER)

    async def comes(self, session_id: str, what: str, from_seq: int = 0) -> list[Event]:
        """The events after `from_seq`, up to the first one that is told so."""
        events: list[Event] = []
        async for event in self.follow(session_id, from_seq):
            events.append(event)
            if f"{told(event)} ".startswith(f"{what} "):
                return events
        raise AssertionError(f"the session ended after {[told(event) for event in events]}")

    async def log(self, session_id: str) -> list[Event]:
        while True:
            try:
                return await log(self.stub, session_id)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _GONE:
                    raise
            await asyncio.sleep(_AGAIN_AFTER)

    def check(self, session_id: str, events: list[Event]) -> None:
        """Every event that was acknowledged stands at its seq, as it was sent."""
        for seq, sent in self.acknowledged.get(session_id, {}).items():
            assert seq <= len(events), f"the acknowledged seq {seq} is lost"
            name = sent.WhichOneof("event") or ""
            assert getattr(events[seq - 1], name) == getattr(sent, name), f"at seq {seq} stands {events[seq - 1]}"
            assert events[seq - 1].WhichOneof("payload") == name


async def unless_refused(call: Awaitable[T], *reasons: str) -> T | None:
    """The answer; None where the call was refused for one of the reasons."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if refusal(error).reason in reasons:
            return None
        raise


@asynccontextmanager
async def stubborn(server: Server, name: str = "request") -> AsyncIterator[Stubborn]:
    async with grpc.aio.insecure_channel(server.address, options=_QUICKLY) as channel:
        yield Stubborn(Stub(channel), name)


@asynccontextmanager
async def raised(server: Server) -> AsyncIterator[list[int]]:
    """Starts the server again whenever it is gone. Gives the exit codes that it went with."""
    codes: list[int] = []

    async def raise_it() -> None:
        while True:
            codes.append(await server.wait())
            await server.start()

    task = asyncio.create_task(raise_it())
    try:
        yield codes
        if task.done():
            await task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def eventually(done: Callable[[], bool]) -> None:
    """For what has no event of its own. The timeout of the test is its limit."""
    while not done():  # noqa: ASYNC110  (there is nothing that could set one)
        await asyncio.sleep(0.01)
