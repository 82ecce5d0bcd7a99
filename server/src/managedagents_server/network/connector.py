"""How connections are opened: never to an address that is not allowed. Imports aiohttp: only with the first request."""

import asyncio
import logging
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from managedagents_server.words.addresses import Addresses, not_allowed

logger = logging.getLogger(__name__)

_RESOLVING = 8
"""Names at a time. Some take many seconds, and the threads that all others share are few."""


class Network:
    """Makes connectors to allowed addresses alone. What is not allowed is an AddressNotAllowed at the end of the chain
    of causes."""

    def __init__(self, addresses: Addresses | None, tls: ssl.SSLContext) -> None:
        """None: all are allowed."""
        self._tls = tls
        self._resolver = CheckedResolver(addresses)
        self._sockets = None if addresses is None else _Sockets(addresses)

    def connector(self, kept_for: float) -> aiohttp.TCPConnector:
        """For the event loop that it is called in. `kept_for`: seconds that an idle connection is kept."""
        return aiohttp.TCPConnector(
            ssl=self._tls,
            limit=0,
            # What was checked is what is connected to: nothing is remembered for a next time.
            use_dns_cache=False,
            resolver=self._resolver,
            socket_factory=self._sockets,
            keepalive_timeout=kept_for,
        )

    async def aclose(self) -> None:
        await self._resolver.close()


class CheckedResolver(AbstractResolver):
    """Gives of a name's addresses those that are allowed, so that the name cannot mean one address to the check and
    another to the connection."""

    def __init__(self, addresses: Addresses | None) -> None:
        """None: all are."""
        self._addresses = addresses
        self._threads = ThreadPoolExecutor(_RESOLVING, "resolver")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises AddressNotAllowed, and OSError where the name has no address."""
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                self._threads, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
            )
        except UnicodeError as error:
            raise OSError(f"{host}: {error}") from error
        by_address = {str(entry[4][0]): entry for entry in found}
        allowed = [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=entry[0],
                proto=entry[2],
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address, entry in by_address.items()
            if self._addresses is None or self._addresses.allow(ip_address(address))
        ]
        if not allowed:
            # What a name resolves to inside is told to the operator, not to whoever wrote the name.
            logger.warning("an address is not allowed", extra={"host": host, "addresses": ", ".join(by_address)})
            raise not_allowed(host)
        return allowed

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Sockets:
    """Makes the sockets. An address that stands in a URL itself passes no resolver; nothing passes without a socket."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    def __call__(self, addr_info: "aiohttp.connector.AddrInfoType") -> socket.socket:
        family, kind, proto, _, sockaddr = addr_info
        address = str(sockaddr[0])
        if not self._addresses.allow(ip_address(address)):
            raise not_allowed(address)
        made = socket.socket(family, kind, proto)
        made.setblocking(False)
        return made
