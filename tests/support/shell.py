"""A shell that is given one command after another, as a person would, and what it printed."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_DONE = "--done--"
_OF_A_JOB = re.compile(r"bash: line \d+: +\d+ (Killed|Terminated)")
_LONGEST = 50.0


class Shell:
    """Must be made by `shell`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, command: str) -> list[str]:
        """The lines that it printed, on stdout and stderr."""
        await self._give(f"{{ {command}\n}} </dev/null\necho {_DONE}\n")
        lines = []
        while (line := await self._line()) != _DONE:
            lines.append(line)
        return lines

    async def begin(self, command: str, lines: int) -> list[str]:
        """For a command that stays in the background: the first lines that it printed."""
        await self._give(f"{command}\n")
        return [await self._line() for _ in range(lines)]

    async def _give(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        await self._process.stdin.drain()

    async def _line(self) -> str:
        assert self._process.stdout is not None
        while True:
            async with asyncio.timeout(_LONGEST):
                line = (await self._process.stdout.readline()).decode()
            assert line, "the shell is gone"
            if not _OF_A_JOB.match(line):
                return line.removesuffix("\n")


@asynccontextmanager
async def shell(folder: Path, environment: Mapping[str, str]) -> AsyncIterator[Shell]:
    """Gone at the end, with all that it started."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "--norc", "--noprofile"),
        cwd=folder,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield Shell(process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
