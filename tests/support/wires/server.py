"""A server at the network's edge: every byte that it gets is kept, every byte that it sends is told to it.

It runs in a thread with an event loop of its own, so a test talks to it in-process or points a server process at
`base_url`, and one that blocks its own loop cannot block it. Usable by `with` and by `async with`.
"""

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

SSE = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Pause:
    """Nothing is sent for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Stall:
    """Nothing is sent until the client hangs up."""


@dataclass(frozen=True)
class Cut:
    """The connection is reset."""


Step = bytes | Pause | Stall | Cut


@dataclass(frozen=True)
class Reply:
    """`steps` make the body: bytes are sent as they are, each in a chunk of its own."""

    steps: tuple[Step, ...]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: SSE)


@dataclass
class Received:
    """One request, and what became of its connection."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    """Connections are numbered from 1: requests with the same number came over the same one."""
    hung_up: threading.Event = field(default_factory=threading.Event)
    hung_up_at: float = 0.0
    """On time.monotonic; 0 while the client has not hung up in mid-answer."""
    answered_at: int = 0
    """On time.monotonic_ns, when the last byte of a whole answer went out; 0 before that."""

    def hang_up(self) -> None:
        self.hung_up_at = time.monotonic()
        self.hung_up.set()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    async def wait_hung_up(self, seconds: float = 5.0) -> None:
        if not await asyncio.to_thread(self.hung_up.wait, seconds):
            raise TimeoutError("the client keeps the connection open")


class WireServer:
    """`path` is that of the base URL, below the server's address."""

    def __init__(self, path: str) -> None:
        self.requests: list[Received] = []
        self.base_url = ""
        self._path = path
        self._arrived = threading.Condition()
        self._connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[None]] = set()

    def reply(self, received: Received) -> Reply:
        """What the request that has just been added to `requests` gets."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.__exit__, kind, error, trace)

    async def wait_requests(self, count: int, seconds: float = 5.0) -> None:
        """Until so many requests have arrived, whole."""

        def arrived() -> bool:
            with self._arrived:
                return self._arrived.wait_for(lambda: len(self.requests) >= count, seconds)

        if not await asyncio.to_thread(arrived):
            raise TimeoutError(f"{len(self.requests)} of {count} requests came")

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{port}{self._path}"

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        self._connections += 1
        try:
            await self._serve(reader, writer, self._connections)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # The client went away, or the test is over: either way this connection is done.
            writer.transport.abort()
        finally:
            self._handlers.discard(handler)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            received = Received(head[0].split(" ")[1], headers, body, connection)
            with self._arrived:
                self.requests.append(received)
                self._arrived.notify_all()
            try:
                goes_on = await self._answer(self.reply(received), received, reader, writer)
            except ConnectionError:
                received.hang_up()
                raise
            if not goes_on:
                return

    async def _answer(
        self, reply: Reply, received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """False: the connection is done with."""
        lines = [f"HTTP/1.1 {reply.status} Told", "transfer-encoding: chunked"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        for step in reply.steps:
            match step:
                case bytes():
                    writer.write(b"%x\r\n%b\r\n" % (len(step), step))
                    await writer.drain()
                case Cut():
                    writer.transport.abort()
                    return False
                case Pause(seconds):
                    if await self._hung_up(received, reader, seconds):
                        return False
                case Stall():
                    await self._hung_up(received, reader, None)
                    return False
        received.answered_at = time.monotonic_ns()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _hung_up(self, received: Received, reader: asyncio.StreamReader, seconds: float | None) -> bool:
        """Listens for so long (None: for ever) whether the client hangs up; in mid-answer it has nothing to say."""
        try:
            async with asyncio.timeout(seconds):
                await reader.read(1)
        except TimeoutError:
            return False
        except ConnectionError:
            # A reset is a way to hang up, too.
            pass
        received.hang_up()
        return True
