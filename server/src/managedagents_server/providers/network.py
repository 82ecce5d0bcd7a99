"""How connections to providers are opened: never to an address that is not allowed. Imports httpcore2: only with the
first request."""

import asyncio
import logging
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

import httpcore2

from managedagents_server.words.addresses import Address, Addresses, not_allowed

logger = logging.getLogger(__name__)

_Options = Iterable[httpcore2.SOCKET_OPTION]

_RESOLVING = 8
"""Names at a time. Some take many seconds, and the threads that all others share are few."""


class CheckedNetwork(httpcore2.AsyncNetworkBackend):
    """Resolves a name by itself and connects to what it has checked, so that the name cannot mean one address to the
    check and another to the connection. There are no unix sockets."""

    def __init__(self, addresses: Addresses, inner: httpcore2.AsyncNetworkBackend | None = None) -> None:
        self._addresses = addresses
        self._inner = inner or httpcore2.AnyIOBackend()
        self._resolver = ThreadPoolExecutor(_RESOLVING, "resolver")

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface is httpcore2's
        local_address: str | None = None,
        socket_options: _Options | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Raises AddressNotAllowed, and what httpcore2 raises. `timeout` is for the resolving and one attempt at each
        address, together."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolve(host, port)
                for number, address in enumerate(addresses, 1):
                    share = None if timeout is None else timeout / len(addresses)
                    try:
                        return await self._inner.connect_tcp(str(address), port, share, local_address, socket_options)
                    except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                        if number == len(addresses):
                            raise
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"connecting to {host}") from error
        raise httpcore2.ConnectError(f"{host} has no address")

    async def _resolve(self, host: str, port: int) -> list[Address]:
        """Those of its addresses that are allowed, without repeats."""
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                self._resolver, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            )
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(f"{host}: {error}") from error
        addresses = list(dict.fromkeys(ip_address(str(entry[4][0])) for entry in found))
        allowed = [address for address in addresses if self._addresses.allow(address)]
        if not allowed:
            # What a name resolves to inside is told to the operator, not to whoever wrote the name.
            logger.warning(
                "an address is not allowed", extra={"host": host, "addresses": ", ".join(map(str, addresses))}
            )
            raise not_allowed(host)
        return allowed
