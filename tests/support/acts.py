"""What the runner of each language can do beside scenarios: tests/conformance/README.md."""

import asyncio
import os
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]

Commands = dict[str, list[str]]


async def built() -> Commands:
    """What runs an act, by language."""
    made: Commands = {"python": [sys.executable, "-m", "conformance.acts"]}
    for makefile in sorted(ROOT.glob("clients/*/Makefile")):
        folder = makefile.parent
        process = await asyncio.create_subprocess_exec(
            "make", "--no-print-directory", "-C", str(folder), "acts", stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, folder.name
        made[folder.name] = shlex.split(out.decode().splitlines()[-1])
    return made


@asynccontextmanager
async def acting(command: list[str], *given: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Killed at the end, where it has not ended."""
    pipe = asyncio.subprocess.PIPE
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    process = await asyncio.create_subprocess_exec(*command, *given, stdout=pipe, stderr=pipe, env=environment)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def printed(process: asyncio.subprocess.Process) -> str:
    """What it has yet to print, once it has ended well."""
    out, err = await process.communicate()
    assert process.returncode == 0, out.decode() + err.decode()
    return out.decode()


async def act(command: list[str], *given: str) -> str:
    async with acting(command, *given) as process:
        return await printed(process)


@asynccontextmanager
async def followed_by_all(commands: Commands, address: str, session: str, count: int) -> AsyncIterator[list[str]]:
    """So many followers of each language, of a session that must be over by the end of the block. By then the list has
    what each language's told."""
    told: list[str] = []
    async with AsyncExitStack() as stack:
        given = ("follow", address, session, str(count))
        processes = [await stack.enter_async_context(acting(command, *given)) for command in commands.values()]
        for language, process in zip(commands, processes, strict=True):
            assert process.stdout is not None
            assert await process.stdout.readline() == b"following\n", language
        yield told
        told += [await printed(process) for process in processes]
