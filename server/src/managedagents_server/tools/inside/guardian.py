"""Outlives the server by a moment, to end what a server that was killed had begun.

bubblewrap ends with who started it, except in its first milliseconds: then it is not told, or the one process that it
has made waits for it forever. So each is marked in its environment, which what runs inside of the sandbox does not
have, and whoever bears the mark when the server is gone is ended."""

import os
import signal
import sys
import time

_AGAIN = 0.05
_QUIET = 10
"""Looks in which nobody may be found, one after another, before it is over."""


def main() -> None:
    # Nobody writes. It ends when the server does, however it ends.
    os.read(0, 1)
    mark = sys.argv[1].encode()
    quiet = 0
    while quiet < _QUIET:
        found = _marked(mark)
        for process in found:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        quiet = 0 if found else quiet + 1
        time.sleep(_AGAIN)


def _marked(mark: bytes) -> list[int]:
    with os.scandir("/proc") as entries:
        return [int(entry.name) for entry in entries if entry.name.isdecimal() and mark in _environ(entry.path)]


def _environ(path: str) -> list[bytes]:
    try:
        with open(f"{path}/environ", "rb") as file:  # noqa: PTH123 - many of them
            return file.read().split(b"\0")
    except OSError:
        # Another user's, or it has ended.
        return []
