"""One page, fetched: redirects followed by hand, so that each is checked like the first URL. Imports aiohttp: only with
the first request."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from itertools import chain, repeat

import aiohttp

from managedagents_server.network.connector import Network
from managedagents_server.tools.web import bodies
from managedagents_server.tools.web.answer import Answer, NotReached
from managedagents_server.tools.web.urls import checked
from managedagents_server.words.addresses import Addresses, AddressNotAllowed

_CONNECT = 10.0
"""Seconds until a connection stands."""
_KEPT_SECONDS = 15.0
"""For which a connection waits for a redirect to the same server."""
_REDIRECTS = 5
_REDIRECTING = frozenset({301, 302, 303, 307, 308})

# Honest: it is a program, and it says which.
_HEADERS = {
    "User-Agent": f"managedagents/{version('managedagents-server')} (reads single pages for a language model)",
    "Accept": "text/html, application/xhtml+xml, text/*;q=0.9, application/json;q=0.9, image/*;q=0.8, */*;q=0.5",
    "Accept-Language": "en, *;q=0.5",
    "Accept-Encoding": bodies.ENCODINGS,
}


async def visit(text: str, addresses: Addresses, tls: ssl.SSLContext, most: int) -> Answer:
    """`most`: bytes that are read of the body. Raises NotReached. Nothing is remembered for another visit: cookies live
    as long as the redirects of one, and a name that takes long to resolve holds up nobody else."""
    url = checked(text, addresses)
    async with _session(addresses, tls) as session:
        for last in chain(repeat(False, _REDIRECTS), (True,)):
            try:
                async with session.get(url, allow_redirects=False) as response:
                    location = response.headers.get("Location")
                    if response.status not in _REDIRECTING or location is None:
                        return await _answer(response, most)
            except (aiohttp.ClientError, bodies.Unreadable, OSError) as error:
                raise NotReached(f"{url}: {_why(error)}") from error
            if last:
                break
            try:
                url = checked(location, addresses, base=url)
            except NotReached as error:
                raise NotReached(f"{url} redirects to {location[:200]!r}: {error}") from error
    raise NotReached(f"{url}: more than {_REDIRECTS} redirects, one after the other")


@asynccontextmanager
async def _session(addresses: Addresses, tls: ssl.SSLContext) -> AsyncIterator[aiohttp.ClientSession]:
    network = Network(addresses, tls)
    try:
        async with aiohttp.ClientSession(
            connector=network.connector(_KEPT_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT),
            headers=_HEADERS,
            auto_decompress=False,
            trust_env=False,
        ) as session:
            yield session
    finally:
        await network.aclose()


async def _answer(response: aiohttp.ClientResponse, most: int) -> Answer:
    declared = response.headers.get("Content-Type", "")
    body = await bodies.read(response, most)
    return Answer(
        url=str(response.url),
        status=response.status,
        reason=(response.reason or "")[:100],
        media_type=declared.partition(";")[0].strip().lower()[:100],
        charset=_charset(declared),
        data=body.data,
        whole=body.whole,
    )


def _charset(declared: str) -> str | None:
    for parameter in declared.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip("\"'").lower()
    return None


def _why(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AddressNotAllowed):
            return str(cause)
        cause = cause.__cause__
    match error:
        case bodies.Unreadable():
            return str(error)
        case aiohttp.ClientConnectorDNSError():
            return "the host name has no address"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return f"no secure connection: {error}"
        case aiohttp.ConnectionTimeoutError():
            return f"no connection within {_CONNECT:.0f} s"
        case aiohttp.ClientConnectorError():
            return f"no connection: {error.os_error.strerror or 'the server does not answer'}"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | OSError():
            return "the server broke the answer off"
    return f"the server's answer cannot be read: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
