"""The streams of a scenario, by the bare stub: the client's follow hides where one ends and the next begins, which is
what is looked at here."""

from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
from google.protobuf.message import Message

from conformance.lines import Json, Names, dump, has
from conformance.requests import Requests
from managedagents._status import error_of
from managedagents.v1 import event_pb2
from support.calls import kind
from support.server import Server, Stub


class Streams:
    """One stream at a time. What it tells goes to `lines`."""

    def __init__(self, lines: list[str], names: Names, requests: Requests) -> None:
        self.last_seq = 0
        """Of the event that was read last; 0: none was."""
        self._lines, self._names, self._requests = lines, names, requests
        self._metadata: tuple[tuple[str, str], ...] = ()
        self._address = ""
        self._channel: grpc.aio.Channel | None = None
        self._stream: Any = None
        self._unread: deque[tuple[str, Message]] = deque()

    async def connect(self, server: Server, token: str | None) -> None:
        await self.close()
        self._address = server.address
        self._channel = server.channel()
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def close(self) -> None:
        self.hang_up()
        if self._channel is not None:
            await self._channel.close()

    @property
    def is_open(self) -> bool:
        return self._stream is not None

    @property
    def _stub(self) -> Stub:
        assert self._channel is not None
        return Stub(self._channel)

    def hang_up(self) -> None:
        if self._stream is not None:
            self._stream.cancel()
        self._stream = None
        self._unread.clear()

    async def follow(self, given: Json) -> None:
        self.hang_up()
        request = self._requests.message("StreamEvents", given)
        self._stream = self._stub.StreamEvents(request, metadata=self._metadata)
        try:
            first = await self._stream.read()
        except grpc.aio.AioRpcError as error:
            self._lines.append(f"follow {self._failure(error)}")
        else:
            self._lines.append(f"follow {self._names.stable(first.opened.log_id, 'logId')}")

    async def wait_for(self, given: Json) -> None:
        if self._stream is None:
            await self.follow({"from_seq": 0})
        wanted = given.get("has", {})
        async for field, item in self._read():
            if isinstance(item, event_pb2.SessionEvent):
                self._lines.append(self._names.event(item))
                if kind(item) == given.get("kind") and has(self._names.payload(item), wanted):
                    return
                continue
            if field not in ("ended", given.get("message")):
                continue  # Nothing of it is named: whether it came is a matter of chance.
            said = self._names.message(item)
            if field == "ended" or has(said, wanted):
                if field == "delta":  # How much of the answer is in it is a matter of chance.
                    said = {name: said[name] for name in ("attempt", "responseId")}
                self._lines.append(f"{field} {dump(said)}")
                return
        self._lines.append("cut")

    async def _read(self) -> AsyncIterator[tuple[str, Message]]:
        """Events one by one, and whole messages of the other kinds, until the stream is over."""
        while True:
            while self._unread:
                field, item = self._unread.popleft()
                if isinstance(item, event_pb2.SessionEvent):
                    self.last_seq = item.seq
                yield field, item
            try:
                message = await self._stream.read()
            except grpc.aio.AioRpcError:
                return
            if message is grpc.aio.EOF:
                return
            field = message.WhichOneof("message")
            if field == "batch":
                self._unread.extend(("event", event) for event in message.batch.events)
            else:
                self._unread.append((field, getattr(message, field)))

    async def replay(self) -> None:
        """From every position what comes is the rest of the log."""
        log = await self._log(self._requests.session_id)
        for start in range(len(log) + 1):
            lines: list[str] = []
            request = self._requests.message("StreamEvents", {"from_seq": start})
            async for reply in self._stub.StreamEvents(request, metadata=self._metadata):
                lines.extend(map(self._names.event, reply.batch.events))
                if reply.HasField("caught_up"):
                    break
            if lines != log[start:]:
                self._lines.append(f"replay differs from {start}")
        self._lines.append(f"replay {len(log)} events")

    async def tell_log(self, session_id: str) -> None:
        """How many events it has, and those that were not told before."""
        name = self._names.stable(session_id)
        try:
            log = await self._log(session_id)
        except grpc.aio.AioRpcError as error:
            self._lines.append(f"log {name} {self._failure(error)}")
            return
        told = set(self._lines)
        self._lines.append(f"log {name} {len(log)} events")
        self._lines.extend(line for line in log if line not in told)

    async def _log(self, session_id: str) -> list[str]:
        lines: list[str] = []
        given = {"session_id": session_id, "page_size": 1000, "page_token": ""}
        while True:
            page = await self._stub.ListEvents(self._requests.message("ListEvents", given), metadata=self._metadata)
            lines.extend(map(self._names.event, page.events))
            given["page_token"] = page.next_page_token
            if not page.next_page_token:
                return lines

    def _failure(self, error: grpc.aio.AioRpcError) -> str:
        return self._names.failure(error_of(error, self._address, answered=True))
