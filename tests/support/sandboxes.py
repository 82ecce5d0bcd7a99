"""Sandboxes and places for tests, and what a command in them came to."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from managedagents_server.tools.base import Bounds, Outcome, Place, Tool
from managedagents_server.tools.sandbox import Ended, Mode, Sandbox

QUICK = Bounds(wall_time=20.0, cpu_time=10.0, memory_bytes=256 << 20, processes=32, disk_bytes=64 << 20)

_OWNERS = count(1)


@dataclass(frozen=True, slots=True)
class Said:
    ended: Ended
    output: str


@asynccontextmanager
async def place_in(sandbox: Sandbox, folder: Path | None = None, **how: Any) -> AsyncIterator[Place]:
    """A place of a session of its own. Its folder is one that every user may go to, if none is given."""
    above = Path(tempfile.mkdtemp(prefix="place-")) if folder is None else folder
    if folder is None:
        above.chmod(0o711)
    owner = next(_OWNERS)
    place = Place(above / f"workspace-{owner}", owner, bounds=how.pop("bounds", QUICK), **how)
    yield place
    await sandbox.remove(place)
    if folder is None:
        shutil.rmtree(above)


async def sh(sandbox: Sandbox, place: Place, command: str, *, wall_time: float | None = None) -> Said:
    output = sandbox.cut(place)
    try:
        ended = await sandbox.run(place, ("/bin/bash", "-c", command), output, wall_time=wall_time)
    finally:
        output.close()
    return Said(ended, output.text())


async def usable(mode: Mode) -> Sandbox:
    sandbox = Sandbox(mode)
    if why := await sandbox.missing():
        pytest.fail(why)
    return sandbox


async def asked(tool: Tool, place: Place, **given: object) -> Outcome:
    return await tool.run(given, place)


def words(outcome: Outcome) -> str:
    return "\n".join(content.text.text for content in outcome.content if content.HasField("text"))


def running(sign: str) -> list[str]:
    """The command lines, on the whole machine, that have these words in them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if sign in line:
            found.append(line)
    return found


async def until(holds: Callable[[], bool]) -> None:
    """Of what other processes do, which nobody tells us about."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
