"""Bodies of answers, bounded while they come: what is sent may never end, and a little of it may unpack to gigabytes.
Imports aiohttp: only with the first request."""

import zlib
from dataclasses import dataclass

import aiohttp

ENCODINGS = "gzip"
"""What is asked for. Some servers pack whatever they were asked."""

_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
_PIECE = 64 * 1024
"""Bytes that are unpacked in one go, so that none of them holds the event loop for long."""


class Unreadable(Exception):
    """The message tells a model what is wrong with the answer."""


@dataclass(frozen=True, slots=True)
class Body:
    data: bytes
    whole: bool
    """False: it is longer, or it broke off inside what was packed."""


async def read(response: aiohttp.ClientResponse, most: int) -> Body:
    """At most so many bytes, as sent and as unpacked. Raises Unreadable, and what aiohttp raises."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return await _plain(response, most)
    if encoding in _PACKED:
        return await _unpacked(response, most)
    raise Unreadable(f"the page came packed as {encoding[:40]!r}, which was not asked for and is not read")


async def _plain(response: aiohttp.ClientResponse, most: int) -> Body:
    data = bytearray()
    while piece := await response.content.readany():
        data += piece
        if len(data) > most:
            return Body(bytes(data[:most]), whole=False)
    return Body(bytes(data), whole=True)


async def _unpacked(response: aiohttp.ClientResponse, most: int) -> Body:
    # Takes the headers of gzip and of zlib alike.
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    data = bytearray()
    sent = 0
    try:
        while piece := await response.content.readany():
            sent += len(piece)
            # Asked for one byte more than may be kept: without it nobody knows whether there is more.
            while piece and not unpacking.eof and len(data) <= most:
                data += unpacking.decompress(piece, min(_PIECE, most + 1 - len(data)))
                piece = unpacking.unconsumed_tail
            if len(data) > most or sent > most:
                return Body(bytes(data[:most]), whole=False)
            if unpacking.eof:
                return Body(bytes(data), whole=True)
    except zlib.error as error:
        raise Unreadable(f"the page is said to be packed, and cannot be unpacked: {error}") from error
    return Body(bytes(data), whole=sent == 0)
