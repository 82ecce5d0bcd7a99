"""Stands between the server and a model's server, so that a test can act in the middle of an answer."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx2

Hook = Callable[[bytes], Awaitable[None]]

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


@asynccontextmanager
async def relay(base_url: str, before_answer: Hook) -> AsyncIterator[str]:
    """Gives its own base URL. `before_answer` gets the body of a request when its answer has begun: nothing of that
    has gone on yet. For servers that hang up after each answer."""
    url = httpx2.URL(base_url)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        answer, onward = await asyncio.open_connection(url.host, url.port)
        # Whoever asked may be gone by the time of the answer.
        with suppress(ConnectionError):
            onward.write(head + body)
            first = await answer.read(1)
            await before_answer(body)
            writer.write(first)
            while piece := await answer.read(65536):
                writer.write(piece)
                await writer.drain()
        for end in (onward, writer):
            end.close()
            with suppress(ConnectionError):
                await end.wait_closed()

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield str(url.copy_with(host="127.0.0.1", port=port))
