"""The command `managedagents` as a process."""

import asyncio
import os
import sys
from dataclasses import dataclass

# Whoever starts the tests in the background of a script has SIGINT ignored, and all that they start inherits that.
_HEARS_SIGINT = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
_PROGRAM = f"{_HEARS_SIGINT}; from managedagents.cli import main; main(prog_name='managedagents')"


@dataclass(frozen=True, slots=True)
class Told:
    code: int
    out: str
    err: str


class Command:
    """The command, set to the server at an address."""

    def __init__(self, address: str, **environment: str) -> None:
        self.line = (sys.executable, "-c", _PROGRAM)
        self.environment = {**os.environ, "MANAGEDAGENTS_SERVER": address, **environment}

    async def begin(self, *arguments: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *self.line, *arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=self.environment
        )

    async def __call__(self, *arguments: str, stdin: str = "") -> Told:
        process = await self.begin(*arguments)
        out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return Told(process.returncode, out.decode(), err.decode())

    async def id_of(self, *arguments: str) -> str:
        told = await self(*arguments)
        assert told.code == 0, told.err
        return told.out.strip()
