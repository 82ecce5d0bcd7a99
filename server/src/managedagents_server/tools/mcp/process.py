"""A process that other people wrote, with pipes, that can be ended for good."""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from managedagents_server.tools.mcp.spec import Command, Running

_TERMINATED = 1.0
"""Seconds between asking the process to end and ending it."""
_REAPED = 2.0
"""Seconds for the end of a killed one to be seen; more means that the kernel holds it."""
_LOOKS = 25
"""At the rest of a killed group, a hundredth of a second apart. It is not ours to wait for, and takes one or two; where
nobody reaps orphans it never goes, though nothing of it runs."""


class _Pipes(asyncio.subprocess.SubprocessStreamProtocol):
    """The usual one waits for the pipes to be closed, too, which children of the process may hold open."""

    def __init__(self, line_bytes: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(line_bytes, loop)
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.exited.set()


@dataclass(frozen=True, slots=True)
class _Started:
    process: Process
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader
    exited: asyncio.Event
    stopped: str = ""

    def end_rest(self) -> None:
        """What did not leave its group."""
        _signal(self.process, signal.SIGKILL)


@asynccontextmanager
async def started(command: Command, *, line_bytes: int, ends_within: float) -> AsyncIterator[Running]:
    """Raises OSError and ValueError where it cannot be started. At the end its stdin is closed, and when it has not
    ended within some seconds it is terminated, then killed, with all of its process group. A second cancellation while
    that goes on kills it at once."""
    loop = asyncio.get_running_loop()
    transport, pipes = await loop.subprocess_exec(
        lambda: _Pipes(line_bytes, loop),
        *command.argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(command.env),
        cwd=command.cwd,
        start_new_session=True,
    )
    process = Process(transport, pipes, loop)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        yield _Started(process, process.stdin, process.stdout, process.stderr, pipes.exited)
    finally:
        try:
            await _asked(process, pipes.exited, ends_within)
        finally:
            # Also where its leader is gone: the rest of the group may live.
            _signal(process, signal.SIGKILL)
            try:
                await _happens(pipes.exited, _REAPED)
                await _group_gone(process)
            finally:
                transport.close()


async def _asked(process: Process, exited: asyncio.Event, within: float) -> None:
    assert process.stdin is not None
    process.stdin.close()
    if not await _happens(exited, within):
        _signal(process, signal.SIGTERM)
        await _happens(exited, _TERMINATED)


async def _happens(event: asyncio.Event, within: float) -> bool:
    try:
        async with asyncio.timeout(within):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def _group_gone(process: Process) -> None:
    for _ in range(_LOOKS):
        try:
            os.killpg(process.pid, 0)
        except (ProcessLookupError, PermissionError):
            return
        await asyncio.sleep(0.01)


def _signal(process: Process, which: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, which)
