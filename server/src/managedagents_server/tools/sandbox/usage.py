"""What the processes of one call use together. The limits of the kernel hold for each process alone, and some memory is
held by none of them: only somebody who looks from outside sees the sum."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes and seconds."""

    memory: int
    cpu_time: float
    deleted: int
    """Of files in the workspace that have no name any more but are still open: on the disk, but not to be found."""


def usage(root: int, device: int, memory_bound: int) -> Usage:
    """Of the process `root` and all below it. `device`: the one of the workspace."""
    processes = [root, *_below(root)]
    files = {identity: size for process in processes for identity, size in _nameless(process)}
    # Files without a name that are not on the workspace's disk are in memory: memfds, and what was in /tmp.
    in_memory = sum(size for (on, _), size in files.items() if on != device)
    memory = in_memory + sum(_private(process) for process in processes)
    if memory > memory_bound:
        # What forked processes share was counted for each of them. To share it out is exact, but slow.
        memory = in_memory + sum(_share(process) for process in processes)
    cpu_time = sum(_cpu_time(process) for process in processes)
    return Usage(memory, cpu_time, sum(size for (on, _), size in files.items() if on == device))


def _below(process: int) -> Iterator[int]:
    parents = [process]
    while parents:
        parent = parents.pop()
        for thread in _names(f"/proc/{parent}/task"):
            children = [int(child) for child in _read(f"/proc/{parent}/task/{thread}/children").split()]
            parents += children
            yield from children


def _nameless(process: int) -> Iterator[tuple[tuple[int, int], int]]:
    folder = f"/proc/{process}/fd"
    for name in _names(folder):
        try:
            now = os.stat(f"{folder}/{name}")  # noqa: PTH116 - thousands of them
        except OSError:
            continue
        if stat.S_ISREG(now.st_mode) and now.st_nlink == 0:
            yield (now.st_dev, now.st_ino), now.st_blocks * 512


def _private(process: int) -> int:
    return _summed(f"/proc/{process}/status", ("RssAnon:", "RssShmem:"))


def _share(process: int) -> int:
    return _summed(f"/proc/{process}/smaps_rollup", ("Pss_Anon:", "Pss_Shmem:"))


def _summed(table: str, rows: tuple[str, ...]) -> int:
    return 1024 * sum(int(line.split()[1]) for line in _read(table).splitlines() if line.startswith(rows))


def _cpu_time(process: int) -> float:
    """With that of its children that have ended: those of the call all end up somewhere below `root`."""
    # The name in brackets may hold anything, brackets and spaces included.
    fields = _read(f"/proc/{process}/stat").rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / _TICKS


def _read(path: str) -> str:
    """Empty when the process has ended meanwhile."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - thousands of them
            return file.read()
    except OSError:
        return ""


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - thousands of them
    except OSError:
        return []
