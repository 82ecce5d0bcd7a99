"""A server that speaks OpenAI's chat completions as they travel: every byte that it gets is kept, every byte that it
sends is told to it.

It runs in a thread with an event loop of its own, so a test talks to it in-process or points a server process at
`base_url`, and one that blocks its own loop cannot block it:

    async with OpenAIWire(say("Hel", "lo")) as wire:
        ...
        assert wire.requests[0].json["model"] == "m"

The replies are used in the order of the requests; the last one repeats.
"""

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}


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
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})


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

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    async def wait_hung_up(self, seconds: float = 5.0) -> None:
        if not await asyncio.to_thread(self.hung_up.wait, seconds):
            raise TimeoutError("the client keeps the connection open")


def sse(data: object) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def chunk(delta: Mapping[str, object], finish: str | None = None, *, model: str = "wire-1") -> bytes:
    return sse(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }
    )


def usage(numbers: Mapping[str, object] = USAGE) -> bytes:
    return sse(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": "wire-1",
            "choices": [],
            "usage": numbers,
        }
    )


DONE = sse(b"[DONE]")


def ending(finish: str = "stop", numbers: Mapping[str, object] | None = USAGE) -> tuple[bytes, ...]:
    return (chunk({}, finish), *([usage(numbers)] if numbers is not None else []), DONE)


def text(*pieces: str) -> tuple[bytes, ...]:
    return tuple(chunk({"content": piece}) for piece in pieces)


def thought(*pieces: str, name: str = "reasoning_content") -> tuple[bytes, ...]:
    return tuple(chunk({name: piece}) for piece in pieces)


def call(name: str, *fragments: str, call_id: str | None = "call_1", index: int = 0) -> tuple[bytes, ...]:
    """A tool call: first its name, then its input in fragments. None: the provider gives no id."""
    head = {"index": index, "type": "function", "function": {"name": name, "arguments": ""}}
    if call_id is not None:
        head["id"] = call_id
    return (
        chunk({"tool_calls": [head]}),
        *(chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}) for piece in fragments),
    )


def say(*pieces: str, finish: str = "stop", numbers: Mapping[str, object] | None = USAGE) -> Reply:
    """A whole answer of text."""
    return Reply((*text(*pieces), *ending(finish, numbers)))


def use(name: str, *fragments: str, call_id: str | None = "call_1") -> Reply:
    """A whole answer of one tool call."""
    return Reply((*call(name, *fragments, call_id=call_id), *ending("tool_calls")))


def refuse(status: int, message: str = "no", *, kind: str | None = None, code: object = None, **headers: str) -> Reply:
    """An error in OpenAI's form. Headers are named with underscores: `retry_after="2"`."""
    body = json.dumps({"error": {"message": message, "type": kind, "code": code, "param": None}}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply((body,), status, {"content-type": "application/json", **named})


def sent(received: Received) -> list[dict[str, Any]]:
    """The messages of a request."""
    messages: list[dict[str, Any]] = received.json["messages"]
    return messages


class OpenAIWire:
    """Usable by `with` and by `async with`."""

    def __init__(self, *replies: Reply) -> None:
        self.replies: list[Reply] = list(replies) or [say("ok")]
        self.requests: list[Received] = []
        self._arrived = threading.Condition()
        self._connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai-wire", daemon=True)
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[None]] = set()
        self.base_url = ""

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
        self.base_url = f"http://127.0.0.1:{port}/v1"

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
            reply = self.replies[min(len(self.requests), len(self.replies)) - 1]
            if not await self._answer(reply, received, reader, writer):
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
        received.hung_up_at = time.monotonic()
        received.hung_up.set()
        return True
