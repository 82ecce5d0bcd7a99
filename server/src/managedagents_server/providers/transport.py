"""How httpx2, which all the vendors' libraries speak, gets to the network: by aiohttp. It reads what came in one go, in
C, where httpx2's own transport takes a tenth of a millisecond of the event loop for each piece of a stream. Imports
both: only with the first request."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import aiohttp
import httpx2
import yarl

from managedagents_server.providers.bounded import Beginning, Bounded

_CONNECT = 5.0
"""Seconds until a connection stands."""

_BESIDE = 0.01
"""Seconds."""

_SENT_A_BYTE = 64
"""Bytes that may be sent for each that is kept of an answer: every few characters come in an event of their own."""
_SENT_A_BYTE_IN_LINE = 8
"""The same for one line. The last event of some providers tells the answer once more, and the request."""

# In this order: the first class that fits decides.
_RAISED: tuple[tuple[type[Exception], type[httpx2.TransportError]], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx2.ConnectTimeout),
    (aiohttp.ClientConnectorError, httpx2.ConnectError),
    (aiohttp.ServerDisconnectedError, httpx2.RemoteProtocolError),
    (aiohttp.ClientPayloadError, httpx2.RemoteProtocolError),
    (aiohttp.ClientOSError, httpx2.ReadError),
    (aiohttp.ClientError, httpx2.RemoteProtocolError),
    # While it is read, a broken connection comes as it is.
    (ConnectionError, httpx2.ReadError),
)


class Transport(httpx2.AsyncBaseTransport):
    """What comes is bounded, by what is kept of it at most."""

    def __init__(self, connector: Callable[[], aiohttp.TCPConnector], kept: int, *, shared: bool) -> None:
        """`connector` is called in the event loop, with a request. `kept`: bytes. `shared`: requests share connections;
        else each has one of its own."""
        self._connector = connector
        self._kept = kept
        self._shared = shared
        self._session: aiohttp.ClientSession | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        session = self._opened()
        try:
            with _told():
                response = await session.request(
                    request.method,
                    yarl.URL(str(request.url), encoded=True),
                    headers=[(name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers.raw],
                    data=await request.aread(),
                    allow_redirects=False,
                )
        except BaseException:
            self._done_with(session)
            raise
        # Nothing compressed was asked for: a little of it may be gigabytes.
        headers = [(name, value) for name, value in response.raw_headers if name.lower() != b"content-encoding"]
        body = _Body(response, lambda: self._done_with(session))
        bounded: httpx2.AsyncByteStream
        if 200 <= response.status < 300:
            bounded = Bounded(body, self._kept * _SENT_A_BYTE, self._kept * _SENT_A_BYTE_IN_LINE)
        else:
            bounded = Beginning(body)
        return httpx2.Response(response.status, headers=headers, stream=bounded)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is not None:
            return self._session
        session = aiohttp.ClientSession(
            connector=self._connector(),
            # How long a model may be silent is watched over its tokens, not here.
            timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )
        if self._shared:
            self._session = session
        return session

    def _done_with(self, session: aiohttp.ClientSession) -> None:
        if not self._shared:
            task = asyncio.get_running_loop().create_task(_close_beside(session))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
        await asyncio.gather(*self._closing)


class _Body(httpx2.AsyncByteStream):
    """As many bytes at a time as came."""

    def __init__(self, response: aiohttp.ClientResponse, closed: Callable[[], None]) -> None:
        self._response = response
        self._closed: Callable[[], None] | None = closed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content = self._response.content
        with _told():
            while piece := await content.readany():
                yield piece

    async def aclose(self) -> None:
        """One that was not read to its end takes its connection with it, at once."""
        self._response.close()
        if self._closed is not None:
            self._closed()
            self._closed = None


async def _close_beside(session: aiohttp.ClientSession) -> None:
    """To close a connection takes up to half a millisecond: what the answer goes through next, its way to the log,
    comes first."""
    await asyncio.sleep(_BESIDE)
    await session.close()


@contextmanager
def _told() -> Iterator[None]:
    """In httpx2's words, which the libraries know."""
    try:
        yield
    except Exception as error:
        for kind, told in _RAISED:
            if isinstance(error, kind):
                raise told(str(error) or type(error).__name__) from error
        raise
