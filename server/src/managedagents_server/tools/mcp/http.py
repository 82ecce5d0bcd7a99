"""MCP over HTTP, bounded where the library is not. Imports the library, and httpx2."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache

import httpx2
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from managedagents_server.network.connector import Network
from managedagents_server.network.transport import Transport
from managedagents_server.tools.mcp.bounds import McpBounds
from managedagents_server.tools.mcp.heard import Streams
from managedagents_server.tools.mcp.spec import Http

_CONNECT = 10.0
_SHORT = 10.0
"""Seconds for the answer to what is answered at once: notices, and the end of a session."""
_LONG = 3600.0
"""Seconds of silence after a request: the time of a call is bounded by its caller, who is gone then."""
_KEPT = 60.0
"""Seconds that an idle connection is kept."""
_NOTICE = 64 * 1024
"""Bytes. What is longer is no notice."""
_SESSION = "mcp-session-id"


class TooLong(httpx2.StreamError):
    """The library takes it as the end of one answer, not of the connection."""


class Refusals:
    """What a server said in HTTP's own words, which the library does not pass on."""

    def __init__(self, on_forgotten: Callable[[], None], on_doubt: Callable[[], None]) -> None:
        """`on_forgotten`: it does not know our session any more, and will never again. `on_doubt`: perhaps so; many
        servers have the wrong status for it."""
        self.status = 0
        """The last one that was an error. 0: none was."""
        self.seen = 0
        self._on_forgotten = on_forgotten
        self._on_doubt = on_doubt

    def see(self, request: httpx2.Request, status: int) -> None:
        # A GET is refused by servers that have nothing to say unasked.
        if status < 400 or request.method != "POST":
            return
        self.status = status
        self.seen += 1
        if _SESSION not in request.headers:
            return
        if status == 404:
            self._on_forgotten()
        else:
            self._on_doubt()


class _Watched(httpx2.AsyncBaseTransport):
    def __init__(self, inner: httpx2.AsyncBaseTransport, server: Http, bounds: McpBounds, refusals: Refusals) -> None:
        self._inner = inner
        self._server = server
        self._bounds = bounds
        self._refusals = refusals

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        silence = self._silence(request)
        request.extensions["timeout"] = {"connect": _CONNECT, "read": silence, "write": _SHORT, "pool": _CONNECT}
        # A little that is compressed may be gigabytes.
        request.headers["accept-encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        self._refusals.see(request, response.status_code)
        if not response.headers.get("content-type", "").lower().startswith("text/event-stream"):
            stream = response.stream
            assert isinstance(stream, httpx2.AsyncByteStream)
            response.stream = _Bounded(stream, self._bounds.message_bytes)
        return response

    def _silence(self, request: httpx2.Request) -> float | None:
        """The library sends notices one after the other: one that is not answered holds up all further calls."""
        if request.method == "GET":
            return None
        if request.method == "POST" and not self._server.sse and not _is_notice(request.content):
            return _LONG
        return _SHORT

    async def aclose(self) -> None:
        await self._inner.aclose()


def _is_notice(body: bytes) -> bool:
    return len(body) <= _NOTICE and "id" not in json.loads(body)


class _Bounded(httpx2.AsyncByteStream):
    """Of a stream of events the library bounds each one."""

    def __init__(self, inner: httpx2.AsyncByteStream, most: int) -> None:
        self._inner = inner
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._most
        async for piece in self._inner:
            left -= len(piece)
            if left < 0:
                raise TooLong("the answer is too long")
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()


@asynccontextmanager
async def http(server: Http, bounds: McpBounds, refusals: Refusals) -> AsyncIterator[Streams]:
    async with _transport(server) as inner:
        client = httpx2.AsyncClient(
            transport=_Watched(inner, server, bounds, refusals), headers=dict(server.headers), trust_env=False
        )
        async with _sse(server, client) if server.sse else _streamable(server, client, bounds) as streams:
            yield streams


@asynccontextmanager
async def _transport(server: Http) -> AsyncIterator[Transport]:
    network = Network(server.addresses, await asyncio.to_thread(_tls))
    transport = Transport(
        lambda: network.connector(_KEPT),
        shared=True,
        bounding=lambda _, body: body,
        silence=lambda request: request.extensions["timeout"]["read"],
    )
    try:
        yield transport
    finally:
        await transport.aclose()
        await network.aclose()


@cache
def _tls() -> ssl.SSLContext:
    """Takes some hundredths of a second."""
    return httpx2.create_ssl_context(trust_env=False)


def _sse(server: Http, client: httpx2.AsyncClient) -> AbstractAsyncContextManager[Streams]:
    def made(
        headers: dict[str, str] | None = None,  # noqa: ARG001 - the client has them
        timeout: httpx2.Timeout | None = None,  # noqa: ARG001 - the transport sets it
        auth: httpx2.Auth | None = None,  # noqa: ARG001 - there is none
    ) -> httpx2.AsyncClient:
        return client

    # It opens and closes the client itself.
    return sse_client(server.url, httpx_client_factory=made)


@asynccontextmanager
async def _streamable(server: Http, client: httpx2.AsyncClient, bounds: McpBounds) -> AsyncIterator[Streams]:
    async with (
        client,
        streamable_http_client(server.url, http_client=client, max_sse_event_size=bounds.message_bytes) as streams,
    ):
        yield streams
