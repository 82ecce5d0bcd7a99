"""Servers that other people wrote, each in a process of its own."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

STARTS_WITHIN = 20.0


@asynccontextmanager
async def spawned(command: Sequence[str], listens: str) -> AsyncIterator[str]:
    """Gives its URL, which it prints in a line that begins with `listens`. At the end it is killed: it keeps nothing,
    and asked kindly it might wait for who stalls at its own wish."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(STARTS_WITHIN):
            url = await _url(process.stdout, listens)
        # What nobody reads stops the program some day, and then its end is not seen.
        reading = asyncio.create_task(process.stdout.read())
        yield url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    await reading


async def _url(output: asyncio.StreamReader, listens: str) -> str:
    said = b""
    while line := await output.readline():
        said += line
        if found := re.match(rf"{re.escape(listens)} (http://\S+)", line.decode()):
            return found[1]
    raise AssertionError(f"it did not start: {said.decode()}")
