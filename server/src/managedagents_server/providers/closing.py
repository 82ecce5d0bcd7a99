"""Connections that are closed beside the way: to close one takes up to a millisecond, and nobody waits for it. Imports
httpcore2: only with the first request."""

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore2

_BESIDE = 0.001
"""Seconds: what the answer goes through next in the event loop, its way to the log, comes first."""


class ClosingNetwork(httpcore2.AsyncNetworkBackend):
    """Opens connections by `inner`, and owns the tasks that close them."""

    def __init__(self, inner: httpcore2.AsyncNetworkBackend) -> None:
        self._inner = inner
        self._closing: set[asyncio.Task[None]] = set()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface is httpcore2's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        return _Stream(await self._inner.connect_tcp(host, port, timeout, local_address, socket_options), self._closing)

    async def closed(self) -> None:
        """Returns when every connection is closed whose closing has begun."""
        await asyncio.gather(*self._closing)


class _Stream(httpcore2.AsyncNetworkStream):
    def __init__(self, inner: httpcore2.AsyncNetworkStream, closing: set[asyncio.Task[None]]) -> None:
        self._inner = inner
        self._closing = closing

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - as above
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as above
        await self._inner.write(buffer, timeout)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as above
    ) -> httpcore2.AsyncNetworkStream:
        return _Stream(await self._inner.start_tls(ssl_context, server_hostname, timeout), self._closing)

    async def aclose(self) -> None:
        task = asyncio.get_running_loop().create_task(self._close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self) -> None:
        await asyncio.sleep(_BESIDE)
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
