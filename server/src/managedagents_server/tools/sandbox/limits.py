"""The limits that the kernel holds for each process of a call."""

import math
import resource

from managedagents_server.tools.base import Bounds

_OPEN_FILES = 1024


def limits(bounds: Bounds) -> dict[int, tuple[int, int]]:
    """Soft and hard ones. Without that on processes: what it counts depends on the mode.

    Memory is what may be written to, not the address space: programs like Node.js reserve far more of that than they
    ever use. What is shared between processes does not count here; `usage` sees it."""
    cpu = math.ceil(bounds.cpu_time)
    return {
        # The first is told by a signal that says what is wrong, the second just kills.
        resource.RLIMIT_CPU: (cpu, cpu + 1),
        resource.RLIMIT_DATA: (bounds.memory_bytes, bounds.memory_bytes),
        resource.RLIMIT_FSIZE: (bounds.file_bytes, bounds.file_bytes),
        resource.RLIMIT_NOFILE: (_OPEN_FILES, _OPEN_FILES),
        resource.RLIMIT_CORE: (0, 0),
    }


_OPTIONS = {
    resource.RLIMIT_CPU: "cpu",
    resource.RLIMIT_DATA: "data",
    resource.RLIMIT_FSIZE: "fsize",
    resource.RLIMIT_NOFILE: "nofile",
    resource.RLIMIT_CORE: "core",
    resource.RLIMIT_NPROC: "nproc",
}


def prlimit(program: str, bounds: Bounds) -> list[str]:
    """The command that sets them and becomes the one after it. It must run inside of the sandbox: there the kernel
    counts the sandbox's own processes alone, outside all those of the user on the machine."""
    # One more for the process of bubblewrap that takes in orphans.
    held = limits(bounds) | {resource.RLIMIT_NPROC: (bounds.processes + 1, bounds.processes + 1)}
    return [program, *(f"--{_OPTIONS[kind]}={soft}:{hard}" for kind, (soft, hard) in held.items()), "--"]
