"""The output of a call, bounded in memory however much there is of it."""

import asyncio
import os
from collections.abc import Callable
from typing import Protocol

from managedagents_server.tools.sandbox.sizes import said

KEPT = 16 * 1024
"""Bytes of the beginning, and as many of the end, that the model gets to see."""

# A terminal would act on these; the model is shown that they were there.
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"} | {0x7F: 0x2421}


class Sink(Protocol):
    async def take(self, data: bytes) -> str:
        """Why the call shall end, in words. Empty: it goes on."""
        ...


def legible(data: bytes) -> str:
    """As text, whatever it is."""
    return clean(data.decode("utf-8", "replace"))


def clean(words: str) -> str:
    """Words that came over from the other side. Names of files may have been no text at all."""
    return words.encode("utf-8", "replace").decode().translate(_PICTURES)


class Whole:
    """All of it: for programs of our own, which keep to a bound."""

    def __init__(self, most: int) -> None:
        self.data = bytearray()
        self._most = most

    async def take(self, data: bytes) -> str:
        self.data += data[: self._most - len(self.data) + 1]
        return f"its answer is larger than {said(self._most)}" if len(self.data) > self._most else ""


class Cut:
    """Its beginning and its end. What is longer is kept in a file as well."""

    def __init__(self, new_file: Callable[[], tuple[int, str]], most: int) -> None:
        """`new_file`: opens the file and says how it is called. `most`: bytes after which the call is ended."""
        self._new_file = new_file
        self._most = most
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0
        self._file: int | None = None
        self._kept_at = ""
        self._lost = ""

    async def take(self, data: bytes) -> str:
        data = data[: self._most - self._total + 1]
        self._total += len(data)
        if self._total <= 2 * KEPT:
            self._head += data
            return ""
        if not self._tail:
            data = bytes(self._head) + data
            self._head[:] = data[:KEPT]
            self._tail += data[KEPT:]
            self._open()
        else:
            self._tail += data
        del self._tail[:-KEPT]
        if self._file is not None:
            # A full or slow disk must not hold up the other sessions.
            await asyncio.to_thread(self._write, self._file, data)
        return f"its output is larger than {said(self._most)}" if self._total > self._most else ""

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def text(self) -> str:
        if self._total <= 2 * KEPT:
            return legible(bytes(self._head))
        if self._lost:
            where = f"it could not be kept in a file: {self._lost}"
        else:
            where = f"all of it is in the file {self._kept_at}"
        left_out = self._total - 2 * KEPT
        return (
            f"{legible(bytes(self._head))}\n"
            f"[... {left_out} bytes of the output are left out here; {where} ...]\n"
            f"{legible(bytes(self._tail))}"
        )

    def _open(self) -> None:
        try:
            self._file, self._kept_at = self._new_file()
        except OSError as error:
            # Say that the session made a link of the folder for them.
            self._lost = error.strerror or type(error).__name__

    def _write(self, file: int, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(file, left) :]
        except OSError as error:
            self._lost = error.strerror or type(error).__name__
            self.close()
