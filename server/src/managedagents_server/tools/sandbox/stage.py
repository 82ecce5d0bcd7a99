"""For a server that runs as root, whose sessions' users may not go where the folders are that a sandbox is made of,
such as below /root: a view of the machine in which these lie where everybody may go.

It belongs to one call: it is made by a thread that ends at once, and held by nothing but a descriptor."""

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from managedagents_server.tools.sandbox.errors import SandboxError

_PLACE = "/mnt"
"""Any folder that every machine has. What is in it is out of sight in this view."""

_NEW_MOUNTS = 0x0002_0000
_BIND, _RECURSIVE, _SLAVE = 0x1000, 0x4000, 0x8_0000


@dataclass(frozen=True, slots=True)
class Stage:
    view: int
    """A descriptor of the view. To be closed."""
    laid: Sequence[Path]
    """Where the folders are in it, in the order they were given."""


def staged(folders: Sequence[Path]) -> Stage:
    done: list[Stage | OSError] = []

    def make() -> None:
        try:
            done.append(_made(folders))
        except OSError as error:
            done.append(error)

    # Only this thread gets to see it. It is too short to be worth a wait that lets others run.
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    (result,) = done
    if isinstance(result, OSError):
        raise SandboxError(
            f"the session's user cannot go to all of {', '.join(map(str, folders))}, and they cannot be laid elsewhere "
            f"for him: {result.strerror}"
        ) from result
    return result


def _made(folders: Sequence[Path]) -> Stage:
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare, _NEW_MOUNTS)
    # Nothing of what follows comes back to the machine.
    _mount(libc, "none", "/", _RECURSIVE | _SLAVE)
    handles: list[int] = []
    laid: list[Path] = []
    try:
        # Before the place is covered: they may be below it.
        handles.extend(os.open(folder, os.O_PATH | os.O_CLOEXEC) for folder in folders)
        _mount(libc, "tmpfs", _PLACE, 0, "tmpfs", "mode=0755,size=64k")
        for number, handle in enumerate(handles):
            place = Path(_PLACE, str(number))
            place.mkdir(0o755)
            _mount(libc, f"/proc/self/fd/{handle}", str(place), _BIND | _RECURSIVE)
            laid.append(place)
    finally:
        for handle in handles:
            os.close(handle)
    return Stage(os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC), laid)


def _mount(libc: ctypes.CDLL, source: str, place: str, flags: int, kind: str = "", options: str = "") -> None:
    _check(libc.mount, source.encode(), place.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())


def _check(call: Callable[..., int], *given: object) -> None:
    if call(*given) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
