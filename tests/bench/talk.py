"""A client that talks to one session: it sends, and waits on a stream for the end of the turn."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, cast

import grpc.aio

from managedagents.v1 import service_pb2 as pb
from support.calls import Event, message, scripted, start
from support.server import Server, Stub, running


@asynccontextmanager
async def serving(db: Path, *flags: str) -> AsyncIterator[tuple[Server, grpc.aio.Channel]]:
    """A server, with a channel to it."""
    async with running(db, *flags) as server, server.channel() as channel:
        yield server, channel


class Talk:
    def __init__(self, stub: Stub, session_id: str, stream: Any) -> None:
        self.stub = stub
        self.session_id = session_id
        self._stream = stream
        self._events: list[Event] = []
        self.say = pb.SendEventRequest(session_id=session_id, event=message("What is the weather like in Paris?"))

    @classmethod
    async def follow(cls, stub: Stub, session_id: str) -> Self:
        """Follows from the beginning; returns at the head."""
        stream = stub.StreamEvents(pb.StreamEventsRequest(session_id=session_id, from_seq=0))
        talk = cls(stub, session_id, stream)
        while True:
            reply = cast("pb.StreamEventsResponse", await stream.read())
            if reply.HasField("caught_up"):
                return talk
            talk._events += reply.batch.events

    async def until(self, payload: str) -> Event:
        """The next event of this payload."""
        while True:
            while self._events:
                event = self._events.pop(0)
                if event.WhichOneof("payload") == payload:
                    return event
            reply = await self._stream.read()
            self._events = list(reply.batch.events)

    def leave(self) -> None:
        self._stream.cancel()

    async def turn(self) -> float:
        """Seconds from a message to the end of its turn."""
        begin = time.perf_counter()
        sent = self.stub.SendEvent(self.say)
        await self.until("status_idle")
        seconds = time.perf_counter() - begin
        await sent
        return seconds


async def talks_of(stub: Stub, sessions: int) -> list[Talk]:
    """With so many new sessions of a model that answers at once."""
    definition = scripted({"text": "It is sunny, and 21 degrees."})
    return [await Talk.follow(stub, await start(stub, definition)) for _ in range(sessions)]
