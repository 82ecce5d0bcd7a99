"""What a provider sends, bounded while it comes: nobody else keeps a server that never ends from filling the memory.
Imports httpx2: only with the first request."""

from collections.abc import AsyncIterator

import httpx2

_SENT_A_BYTE = 64
"""Bytes that may be sent for each that is kept of an answer: every few characters come in an event of their own."""
_SENT_A_BYTE_IN_LINE = 8
"""The same for one line. The last event of some providers tells the answer once more, and the request."""

_REFUSAL_BYTES = 1024 * 1024
"""Of the body of a refusal, whose first words are told."""

_EVENT_LINES = 1024
"""Lines without an empty one: the libraries take time that grows with the square of it. An event has two or three."""


class TooLarge(OSError):
    """The message says what is."""


def bounded(kept: int, status: int, body: httpx2.AsyncByteStream) -> httpx2.AsyncByteStream:
    """By what is kept of an answer at most, in bytes."""
    if 200 <= status < 300:
        return Bounded(body, kept * _SENT_A_BYTE, kept * _SENT_A_BYTE_IN_LINE)
    return Beginning(body)


class Bounded(httpx2.AsyncByteStream):
    """Gives out whole lines, as many at a time as came: what the libraries would put together piece by piece, in time
    that grows with the square of the pieces. Raises TooLarge."""

    def __init__(self, inner: httpx2.AsyncByteStream, most: int, most_of_line: int) -> None:
        self._inner = inner
        self._most = most
        self._most_of_line = most_of_line

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left, lines = self._most, 0
        begun: list[bytes] = []
        begun_bytes = 0
        async for piece in self._inner:
            left -= len(piece)
            if left < 0:
                raise TooLarge(f"the model's answer is too large: more than {self._most:,} bytes were sent")
            end = piece.rfind(b"\n") + 1
            if end:
                block = b"".join((*begun, piece[:end]))
                lines = _lines_of_event(block, lines)
                if lines > _EVENT_LINES:
                    raise TooLarge(f"the model's answer is too large: an event of more than {_EVENT_LINES:,} lines")
                yield block
                begun, begun_bytes = [], 0
            begun.append(piece[end:])
            begun_bytes += len(piece) - end
            if begun_bytes > self._most_of_line:
                raise TooLarge(f"the model's answer is too large: a line of more than {self._most_of_line:,} bytes")
        yield b"".join(begun)

    async def aclose(self) -> None:
        await self._inner.aclose()


class Beginning(httpx2.AsyncByteStream):
    """The beginning of a refusal, whatever follows."""

    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = _REFUSAL_BYTES
        async for piece in self._inner:
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                return

    async def aclose(self) -> None:
        await self._inner.aclose()


def _lines_of_event(block: bytes, before: int) -> int:
    """Lines since the last empty one, after a block of whole lines; `before`: those before the block."""
    marked = b"\n" + block
    empty = max(marked.rfind(b"\n\n"), marked.rfind(b"\n\r\n"))
    return before + block.count(b"\n") if empty < 0 else marked.count(b"\n", empty + 1) - 1
