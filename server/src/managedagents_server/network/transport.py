"""How httpx2, which the libraries of vendors and of MCP speak, gets to the network: by aiohttp. It reads what came in
one go, in C, where httpx2's own transport takes a tenth of a millisecond of the event loop for each piece of a stream.
Imports both: only with the first request."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import aiohttp
import httpx2
import yarl

_CONNECT = 5.0
"""Seconds until a connection stands."""

_BESIDE = 0.01
"""Seconds."""

Bounding = Callable[[int, httpx2.AsyncByteStream], httpx2.AsyncByteStream]
"""What is passed on of the body of an answer with that HTTP status."""

# In this order: the first class that fits decides.
_RAISED: tuple[tuple[type[Exception], type[httpx2.TransportError]], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx2.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx2.ReadTimeout),
    (aiohttp.ClientConnectorError, httpx2.ConnectError),
    (aiohttp.ServerDisconnectedError, httpx2.RemoteProtocolError),
    (aiohttp.ClientPayloadError, httpx2.RemoteProtocolError),
    (aiohttp.ClientOSError, httpx2.ReadError),
    (aiohttp.ClientError, httpx2.RemoteProtocolError),
    # While it is read, a broken connection comes as it is.
    (ConnectionError, httpx2.ReadError),
)


class Transport(httpx2.AsyncBaseTransport):
    """Follows no redirects, keeps no cookies, and asks for nothing compressed."""

    def __init__(
        self,
        connector: Callable[[], aiohttp.TCPConnector],
        *,
        shared: bool,
        bounding: Bounding,
        silence: Callable[[httpx2.Request], float | None] = lambda _: None,
    ) -> None:
        """`connector` is called in the event loop, with a request. `shared`: requests share connections; else each has
        one of its own. `silence`: for how many seconds nothing need come of an answer; None: for ever."""
        self._connector = connector
        self._shared = shared
        self._bounding = bounding
        self._silence = silence
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
                    timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT, sock_read=self._silence(request)),
                )
        except BaseException:
            self._done_with(session)
            raise
        # Nothing compressed was asked for: a little of it may be gigabytes.
        headers = [(name, value) for name, value in response.raw_headers if name.lower() != b"content-encoding"]
        body = _Body(response, lambda: self._done_with(session))
        return httpx2.Response(response.status, headers=headers, stream=self._bounding(response.status, body))

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is not None:
            return self._session
        session = aiohttp.ClientSession(
            connector=self._connector(),
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
