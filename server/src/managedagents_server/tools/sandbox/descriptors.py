"""The file descriptors that a call is handed."""

import os
from contextlib import ExitStack
from typing import Self


class Descriptors:
    """Ours, all of them closed with this."""

    def __init__(self) -> None:
        self.handed: list[int] = []
        """Those that the process gets, under the same numbers."""
        self._open = ExitStack()
        self._lasting: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for descriptor in self.taken():
            os.close(descriptor)
        self._open.close()

    def content(self, data: bytes) -> int:
        """One to read these bytes from. A pipe would need somebody who fills it."""
        writable = os.memfd_create("content", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(writable), "wb") as file:
                file.write(data)
            return self._own(os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC))
        finally:
            os.close(writable)

    def pipe(self, uid: int | None) -> tuple[int, int]:
        """Its two ends. The one to read from does not block and is not closed here."""
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        self._own(theirs)
        os.set_blocking(ours, False)
        if uid is not None:
            # Whoever opens /dev/stdout anew is asked whether it is his.
            os.fchown(theirs, uid, uid)
        return ours, theirs

    def pipe_to(self, uid: int | None) -> tuple[int, int]:
        """The same the other way: ours is the one to write to."""
        theirs, ours = os.pipe2(os.O_CLOEXEC)
        self._own(theirs)
        os.set_blocking(ours, False)
        if uid is not None:
            os.fchown(theirs, uid, uid)
        return ours, theirs

    def hand(self, descriptor: int) -> int:
        self.handed.append(descriptor)
        return descriptor

    def last(self, descriptor: int) -> int:
        """It is needed for longer: by whom the process is ended."""
        self._lasting.append(descriptor)
        return descriptor

    def taken(self) -> list[int]:
        """Those; the caller closes them."""
        taken, self._lasting = self._lasting, []
        return taken

    def _own(self, descriptor: int) -> int:
        self._open.callback(os.close, descriptor)
        return descriptor
