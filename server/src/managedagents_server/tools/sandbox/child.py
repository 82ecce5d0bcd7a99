"""The processes of one call: started, ended, and known to be gone.

With bubblewrap, the first process of the sandbox is the one that matters: the kernel lets it end only after all others
in there have ended. Without, it is the keeper, which does the same by hand."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from managedagents_server.tools.sandbox.descriptors import Descriptors
from managedagents_server.tools.sandbox.errors import SandboxError
from managedagents_server.tools.sandbox.waiting import readable

_ANSWERS = 10.0
"""Seconds in which bubblewrap has made a sandbox. It waits for nothing but the kernel."""


@dataclass(frozen=True, slots=True)
class Launch:
    argv: Sequence[str]
    stdin: int
    output: int
    errors: int
    """Where it writes to."""
    status: int
    """From where we read what bubblewrap or the keeper say."""
    env: Mapping[str, str]
    sandboxed: bool
    """By bubblewrap: it says which process is the first one of the sandbox."""


class Child:
    def __init__(self, launch: Launch, descriptors: Descriptors) -> None:
        try:
            # Nothing of ours is inherited: no environment, no folder, no terminal. It must be started by this thread:
            # it ends with the one that started it.
            self._process = subprocess.Popen(
                launch.argv,
                stdin=launch.stdin,
                stdout=launch.output,
                stderr=launch.errors,
                pass_fds=descriptors.handed,
                env=launch.env,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxError(f"{launch.argv[0]} cannot be started: {error.strerror}") from error
        try:
            self._pidfd = os.pidfd_open(self._process.pid)
        except OSError as error:
            # Nobody would see its end.
            self._process.kill()
            self._process.wait()
            raise SandboxError(f"{launch.argv[0]} cannot be watched: {error.strerror}") from error
        self._gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._pidfd, self._gone.set)
        self._status = launch.status
        self._lasting = descriptors.taken()
        self._sandboxed = launch.sandboxed
        self._said = bytearray()
        self._first_pidfd: int | None = None

    async def over(self) -> None:
        await self._gone.wait()
        # It stays readable, and would call forever.
        asyncio.get_running_loop().remove_reader(self._pidfd)

    async def identify(self) -> int:
        """The process that all others of the call are below of. 0: it has ended already, or never was."""
        if not self._sandboxed:
            return self._process.pid
        while b"\n" not in self._said:
            await readable(self._status)
            data = os.read(self._status, 65536)
            if not data:
                return 0
            self._said += data
        pid: int = _read(bytes(self._said).splitlines()[:1])["child-pid"]
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return 0
        except OSError:
            # Nobody could end it later.
            _kill(self._pidfd, signal.SIGKILL)
            return 0
        if not _is_first(pid):
            # It has ended, and its number is another one's.
            os.close(pidfd)
            return 0
        self._first_pidfd = pidfd
        return pid

    async def end(self, identified: "asyncio.Task[int]") -> int | None:
        """Ends what has not ended yet. The exit code of the command; None: it did not come to one."""
        if self._sandboxed:
            await asyncio.wait((identified,), timeout=_ANSWERS)
            if self._first_pidfd is not None:
                _kill(self._first_pidfd, signal.SIGKILL)
                await readable(self._first_pidfd)
            elif not identified.done():
                identified.cancel()
                _kill(self._pidfd, signal.SIGKILL)
        else:
            _kill(self._pidfd, signal.SIGTERM)
        await self.over()
        self._process.wait()
        with suppress(BlockingIOError):
            while data := os.read(self._status, 65536):
                self._said += data
        return _read(bytes(self._said).splitlines()).get("exit-code")

    def close(self) -> None:
        if self._first_pidfd is not None:
            # Where this server is the machine's first process, orphans become its own, and stay until they are asked
            # for.
            with suppress(ChildProcessError):
                os.waitid(os.P_PIDFD, self._first_pidfd, os.WEXITED | os.WNOHANG)
        for descriptor in (self._pidfd, self._first_pidfd, self._status, *self._lasting):
            if descriptor is not None:
                os.close(descriptor)


def _read(lines: Sequence[bytes]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for line in lines:
        said |= json.loads(line)
    return said


def _is_first(pid: int) -> bool:
    """Of processes that see themselves only."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except OSError:
        return False
    for line in status.splitlines():
        if line.startswith("NSpid:"):
            return len(line.split()) > 2 and line.split()[-1] == "1"
    return False


def _kill(pidfd: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)
