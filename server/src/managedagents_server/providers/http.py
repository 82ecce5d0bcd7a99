"""The HTTP that all vendors share. Imports httpx2: only for modules that come with the first request."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import httpcore2
import httpx2

from managedagents_server.providers.base import Endpoint
from managedagents_server.providers.bounded import Beginning, Bounded
from managedagents_server.providers.closing import ClosingNetwork
from managedagents_server.words.limits import Limits

Network = Callable[[bool], httpcore2.AsyncNetworkBackend | None]
"""Makes what opens the connections, for endpoints that are private (True) and for all others. None: httpcore2's own."""

_CONNECT = 5.0
"""Seconds until a connection stands."""

_KEPT = 64
_KEPT_SECONDS = 30.0

_SENT_A_BYTE = 64
"""Bytes that may be sent for each that is kept of an answer: every few characters come in an event of their own."""
_SENT_A_BYTE_IN_LINE = 8
"""The same for one line. The last event of some providers tells the answer once more, and the request."""

_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"}
)


@dataclass(slots=True)
class Call:
    """One request to a model."""

    headers: frozenset[str]
    responses: list[httpx2.Response] = field(default_factory=list)

    @property
    def responded(self) -> bool:
        return bool(self.responses)


_CALL: ContextVar[Call | None] = ContextVar("managedagents_provider_call", default=None)


@asynccontextmanager
async def call(headers: frozenset[str]) -> AsyncIterator[Call]:
    """What is sent in here is one request to a model. `headers`: those of its vendor, in small letters, that go out
    beside the usual ones: the libraries add more from variables of the environment, and what they know of this machine.

    At the end every response that was begun is closed, and so is its connection: google-genai leaves that of a stream
    that broke off or was not read to its end.
    """
    here = Call(_HEADERS | headers)
    token = _CALL.set(here)
    try:
        yield here
    finally:
        _CALL.reset(token)
        for response in here.responses:
            await response.aclose()


class Connections:
    """The clients, each made when it is first needed."""

    def __init__(self, network: Network | None, limits: Limits) -> None:
        self._network = network
        self._limits = limits
        self._clients: dict[tuple[bool, bool], httpx2.AsyncClient] = {}
        self._networks: list[ClosingNetwork] = []
        self._tls = httpx2.create_ssl_context(trust_env=False)

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
        for network in self._networks:
            await network.closed()

    def _made(self, private: bool, kept: bool) -> httpx2.AsyncClient:
        chosen = self._network(private) if self._network is not None else None
        network = ClosingNetwork(chosen or httpcore2.AnyIOBackend())
        self._networks.append(network)
        pool = httpcore2.AsyncConnectionPool(
            ssl_context=self._tls,
            max_connections=None,
            max_keepalive_connections=_KEPT if kept else 0,
            keepalive_expiry=_KEPT_SECONDS,
            network_backend=network,
        )
        return httpx2.AsyncClient(
            transport=_Transport(pool, self._tls, self._limits.response_bytes),
            trust_env=False,
            event_hooks={"request": [_prepare], "response": [_remember]},
        )


class _Transport(httpx2.AsyncHTTPTransport):
    """httpx2's own, over a pool whose network we choose: its constructor has no argument for that. What comes is
    bounded, by what is kept of it at most."""

    def __init__(self, pool: httpcore2.AsyncConnectionPool, tls: ssl.SSLContext, kept: int) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = pool
        self._kept = kept

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        # Nothing compressed was asked for: a little of it may be gigabytes.
        response.headers.pop("content-encoding", None)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        if response.is_success:
            most, most_of_line = self._kept * _SENT_A_BYTE, self._kept * _SENT_A_BYTE_IN_LINE
            response.stream = Bounded(response.stream, most, most_of_line)
        else:
            response.stream = Beginning(response.stream)
        return response


async def _prepare(request: httpx2.Request) -> None:
    # How long a model may be silent is watched over its tokens, not here; and not every library leaves the client's
    # own timeout in force.
    request.extensions["timeout"] = httpx2.Timeout(None, connect=_CONNECT).as_dict()
    here = _CALL.get()
    known = here.headers if here is not None else _HEADERS
    for name in list(request.headers):
        if name.lower() not in known:
            del request.headers[name]
    request.headers["accept-encoding"] = "identity"


async def _remember(response: httpx2.Response) -> None:
    if (here := _CALL.get()) is not None:
        here.responses.append(response)
