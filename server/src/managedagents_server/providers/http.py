"""The HTTP that all vendors share. Imports httpx2: only for modules that come with the first request."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial

import httpx2

from managedagents_server.network.connector import Network
from managedagents_server.network.transport import Transport
from managedagents_server.providers.base import Endpoint
from managedagents_server.providers.bounded import bounded
from managedagents_server.words.addresses import Addresses
from managedagents_server.words.limits import Limits

_KEPT_SECONDS = 30.0
"""For which an idle connection to a vendor's public address is kept."""

_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"}
)


@dataclass(slots=True)
class Call:
    """One request to a model."""

    headers: frozenset[str]
    unread: re.Pattern[bytes] | None
    responses: list[httpx2.Response] = field(default_factory=list)

    @property
    def responded(self) -> bool:
        return bool(self.responses)


_CALL: ContextVar[Call | None] = ContextVar("managedagents_provider_call", default=None)


@asynccontextmanager
async def call(headers: frozenset[str], unread: re.Pattern[bytes] | None = None) -> AsyncIterator[Call]:
    """What is sent in here is one request to a model. `headers`: those of its vendor, in small letters, that go out
    beside the usual ones: the libraries add more from variables of the environment, and what they know of this machine.
    `unread`: events of its streams that the library does nothing with, and still takes its time over.

    At the end every response that was begun is closed, and so is its connection: google-genai leaves that of a stream
    that broke off or was not read to its end.
    """
    here = Call(_HEADERS | headers, unread)
    token = _CALL.set(here)
    try:
        yield here
    finally:
        _CALL.reset(token)
        for response in here.responses:
            await response.aclose()


class Connections:
    """The clients, each made when it is first needed."""

    def __init__(self, addresses: Addresses | None, limits: Limits) -> None:
        """`addresses`: those that endpoints may have which the operator did not name himself. None: all."""
        self._limits = limits
        tls = httpx2.create_ssl_context(trust_env=False)
        self._networks = {True: Network(None, tls), False: Network(addresses, tls)}
        self._clients: dict[tuple[bool, bool], httpx2.AsyncClient] = {}

    def client(self, endpoint: Endpoint) -> httpx2.AsyncClient:
        """Connections to a vendor's public address are kept, which saves a handshake a request. Elsewhere each request
        has a connection of its own. Some servers hang up after a streamed answer, and the next request, which in a turn
        with tools follows at once, then runs into the hang-up: llama.cpp's server lost 2 of 100 so. It cannot be told
        from a server that died over the request, so it would be a logged failure and a backoff of seconds.
        """
        kept = not endpoint.base_url
        key = (endpoint.private, kept)
        if key not in self._clients:
            self._clients[key] = self._made(endpoint.private, kept)
        return self._clients[key]

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        for network in self._networks.values():
            await network.aclose()

    def _made(self, private: bool, kept: bool) -> httpx2.AsyncClient:
        network = self._networks[private]
        return httpx2.AsyncClient(
            # How long a model may be silent is watched over its tokens, not by the transport.
            transport=Transport(
                lambda: network.connector(_KEPT_SECONDS),
                shared=kept,
                bounding=partial(bounded, self._limits.response_bytes),
            ),
            trust_env=False,
            event_hooks={"request": [_prepare], "response": [_remember]},
        )


async def _prepare(request: httpx2.Request) -> None:
    here = _CALL.get()
    known = here.headers if here is not None else _HEADERS
    for name in list(request.headers):
        if name.lower() not in known:
            del request.headers[name]
    request.headers["accept-encoding"] = "identity"


async def _remember(response: httpx2.Response) -> None:
    if (here := _CALL.get()) is not None:
        here.responses.append(response)
        if here.unread is not None:
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _Without(here.unread, response.stream)


class _Without(httpx2.AsyncByteStream):
    """What did not come in one piece is left in."""

    def __init__(self, unread: re.Pattern[bytes], inner: httpx2.AsyncByteStream) -> None:
        self._unread = unread
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._inner:
            yield self._unread.sub(b"", piece)

    async def aclose(self) -> None:
        await self._inner.aclose()
