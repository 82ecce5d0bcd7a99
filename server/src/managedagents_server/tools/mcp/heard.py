"""What comes from a server, seen on its way to the library: when it last said anything, and when it says no more.

The library tells the callers that wait when a stream ends, but not who owns the connection. Imports the library.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from mcp.shared.message import SessionMessage

Item = SessionMessage | Exception


class Incoming(Protocol):
    """What the library reads from: it has no public name for it."""

    async def receive(self) -> Item: ...
    async def aclose(self) -> None: ...
    def __aiter__(self) -> "Incoming": ...
    async def __anext__(self) -> Item: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...


class Outgoing(Protocol):
    """And what it writes to."""

    async def send(self, item: SessionMessage, /) -> None: ...
    async def aclose(self) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...


Streams = tuple[Incoming, Outgoing]


class Heard:
    """A stream of messages as the library reads it."""

    def __init__(self, stream: Incoming, on_item: Callable[[], None], on_end: Callable[[], None]) -> None:
        """`on_end` comes before any caller is told that the connection is closed."""
        self._stream = stream
        self._on_item = on_item
        self._on_end = on_end

    @property
    def last_context(self) -> object:
        """That of who sent the last item; the HTTP transports know it, and the library asks for it by this name."""
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> Item:
        ended = True
        try:
            item = await self._stream.receive()
            ended = False
        finally:
            if ended:
                self._on_end()
        self._on_item()
        return item

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        ended = True
        try:
            item = await self._stream.__anext__()
            ended = False
        finally:
            if ended:
                self._on_end()
        self._on_item()
        return item

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
