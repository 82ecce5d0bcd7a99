"""Followers that read in the background and keep what came."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc.aio

from managedagents.v1 import service_pb2 as pb
from support.calls import Event
from support.server import Stub

Message = pb.StreamEventsResponse


class Follower:
    def __init__(self, stub: Stub, request: pb.StreamEventsRequest, timeout: float | None = None) -> None:
        self.messages: list[Message] = []
        self._more = asyncio.Event()
        self._call = stub.StreamEvents(request, timeout=timeout)
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for message in self._call:
                self.messages.append(message)
                self._more.set()
        finally:
            self._more.set()

    async def first(self, wanted: Callable[[Message], bool], after: int = 0) -> Message:
        """The first wanted message behind so many others, as soon as it is there."""
        at = after
        while True:
            self._more.clear()
            while at < len(self.messages):
                if wanted(self.messages[at]):
                    return self.messages[at]
                at += 1
            if self._reading.done():
                self._reading.result()
                raise AssertionError("the stream ended before the message that was waited for")
            await self._more.wait()

    async def event(self, wanted: Callable[[Event], bool]) -> Event:
        """The first wanted event, as soon as it is there."""
        message = await self.first(lambda message: any(map(wanted, message.batch.events)))
        return next(filter(wanted, message.batch.events))

    async def ended(self) -> list[Message]:
        """All messages, when the stream is over. Raises what it failed with."""
        await self._reading
        return self.messages

    async def leave(self) -> None:
        self._call.cancel()
        with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
            await self._reading


@asynccontextmanager
async def following(stub: Stub, session_id: str, **request: Any) -> AsyncIterator[Follower]:
    """From the beginning, unless `request` says otherwise (from_seq=None: live only). Entered when it is open."""
    follower = Follower(stub, pb.StreamEventsRequest(session_id=session_id, **{"from_seq": 0, **request}))
    try:
        await follower.first(is_("opened"))
        yield follower
    finally:
        await follower.leave()


def is_(field: str) -> Callable[[Message], bool]:
    return lambda message: message.WhichOneof("message") == field
