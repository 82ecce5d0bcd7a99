"""Servers of pages on this machine: some well behaved, some that say byte for byte what a hostile one would."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def page(body: str | bytes, content_type: str | None = "text/html", **headers: str) -> Handler:
    """The same answer to everybody. Underscores in the names of headers are hyphens."""
    data = body.encode() if isinstance(body, str) else body
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    if content_type is not None:
        said["Content-Type"] = content_type

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=data, headers=said)

    return answer


def redirect(location: str, status: int = 302) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": location, "Connection": "close"})

    return answer


@dataclass(frozen=True, slots=True)
class Pages:
    url: str
    """Without a slash at its end."""
    requests: list[web.Request] = field(default_factory=list)


@asynccontextmanager
async def pages(
    answers: Mapping[str, Handler], host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Pages]:
    """Answers by path; 404 to all others."""

    async def answer(request: web.Request) -> web.StreamResponse:
        served.requests.append(request)
        handler = answers.get(request.path)
        return await handler(request) if handler is not None else web.Response(status=404, text="nothing here")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=tls)
        await site.start()
        found, bound, *_ = runner.addresses[0]
        served = Pages(f"{'http' if tls is None else 'https'}://{found}:{bound}")
        yield served
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """What is written to whoever has sent a request, and nothing else. Gives the URL, and what is set when whoever
    asked has hung up."""
    gone = asyncio.Event()

    serving: set[asyncio.Task[Any] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        # Whoever hangs up may do so before he has asked, or in the middle of the answer.
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            answering = asyncio.ensure_future(answer(writer))
            with suppress(ConnectionError):
                await reader.read()
            answering.cancel()
            await asyncio.wait([answering])
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        gone.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", gone
        await asyncio.gather(*filter(None, serving))
