"""A provider that tells the key that it was sent with: in each of its errors and in its headers, as real ones may."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from support.wires import Vendor, faults
from support.wires.server import JSON, SSE, Received, Reply, WireServer
from support.wires.told import Say, Told, answer, error

Line = Callable[[Vendor, Received], Reply]

_MESSAGE = re.compile(rb'("message": ?")')


class Telltale(WireServer):
    """The lines are used in the order of the requests; after them every request is answered well."""

    def __init__(self, vendor: Vendor, lines: Sequence[Line] = ()) -> None:
        super().__init__(vendor.path)
        self.vendor = vendor
        self._lines = lines

    def reply(self, received: Received) -> Reply:
        number = len(self.requests) - 1
        line = self._lines[number] if number < len(self._lines) else as_told(answer(Say("fine")))
        reply = line(self.vendor, received)
        key = self.vendor.key(received)
        return replace(reply, headers={**reply.headers, "x-your-key": key, "set-cookie": f"key={key}"})


def as_told(told: Told) -> Line:
    """In the vendor's words, with the key before each of its messages."""

    def line(vendor: Vendor, received: Received) -> Reply:
        reply = vendor.reply(told, 1, received)
        key = vendor.key(received).encode()
        steps = [
            _MESSAGE.sub(lambda found: found[1] + b"With " + key + b": ", step) if isinstance(step, bytes) else step
            for step in reply.steps
        ]
        return replace(reply, steps=tuple(steps))

    return line


def _plain(vendor: Vendor, received: Received) -> Reply:
    page = f"<html>no access with {received.headers}, {vendor.key(received)!r}</html>"
    return Reply((page.encode(),), 502, {"content-type": "text/html"})


def _other_json(vendor: Vendor, received: Received) -> Reply:
    detail = [{"loc": ["header", vendor.key(received)], "input": {"key": vendor.key(received)}}]
    return Reply((json.dumps({"detail": detail}).encode(),), 422, JSON)


def _no_json(vendor: Vendor, received: Received) -> Reply:
    return Reply((b"data: {" + vendor.key(received).encode() + b"\n\n",), 200, SSE)


def redirects(to: str) -> Line:
    def line(vendor: Vendor, received: Received) -> Reply:
        return Reply((b"",), 307, {"location": f"{to}?key={vendor.key(received)}"})

    return line


LINES: Sequence[Line] = (
    as_told(error("authentication")),
    as_told(error("bad_request")),
    as_told(error("permission")),
    as_told(error("unknown_model")),
    as_told(error("server_error")),
    as_told(error("rate_limited", retry_after=0)),
    as_told(answer(Say("Hel", "lo"), fault=faults.error_in_stream())),
    as_told(answer(Say("Hel", "lo"), fault=faults.fails_in_stream("bad_request"))),
    as_told(answer(Say("Hel", "lo"), fault=faults.malformed())),
    as_told(answer(Say("Hel", "lo"), fault=faults.cut())),
    _plain,
    _other_json,
    _no_json,
)
