"""The servers of scenarios: how each is started, and what is done to it by hand."""

import asyncio
import sys
from pathlib import Path

from conformance.lines import Json, dump
from support.server import Server

PROGRAM = (sys.executable, str(Path(__file__).parent / "program.py"))
_TO_ITS_SERVER = {"kill", "terminate", "stop", "start_again", "by_hand"}


def flags(scenario: Json) -> tuple[str, ...]:
    """How its server is started."""
    given = scenario.get("server", {})
    return (*given.get("flags", ()), *(f"--limit={name}={value}" for name, value in given.get("limits", {}).items()))


def has_its_own(scenario: Json) -> bool:
    """Whether it does to its server what other scenarios should not feel."""
    return any(verb in _TO_ITS_SERVER for step in scenario["steps"] for verb in step)


def server_of(scenario: Json, db: Path) -> Server:
    return Server(db, flags(scenario), wrapper=PROGRAM)


async def by_hand(server: Server, given: Json) -> None:
    """Raises AssertionError where it cannot be done."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *(sys.executable, "-m", "managedagents_server"),
        *("--by-hand", dump(given), "--db", str(server.db), "--address", server.address),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
