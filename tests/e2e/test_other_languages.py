"""A client in another language than Python, with nothing from us but the protos."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from support import node
from support.server import running

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).parent / "node"
INSTALLED = ROOT / ".cache/node"


@pytest.fixture
async def program() -> str:
    """Node, with what the client needs installed beside a copy of it."""
    found = await asyncio.to_thread(node.installed, SOURCE, INSTALLED)
    shutil.copy(SOURCE / "client.mjs", INSTALLED / "client.mjs")
    return found


async def test_a_client_in_javascript_follows_and_answers_over_a_server_that_is_killed_twice(
    program: str, tmp_path: Path
) -> None:
    async with running(tmp_path / "log.db") as server:
        pipe = asyncio.subprocess.PIPE
        client = await asyncio.create_subprocess_exec(
            *(program, "client.mjs", server.address, str(ROOT / "proto")), cwd=INSTALLED, stdin=pipe, stdout=pipe
        )
        assert client.stdin is not None
        assert client.stdout is not None
        told: list[str] = []

        async def until(line: str) -> None:
            while line not in told:
                told.append(await told_next())

        async def told_next() -> str:
            assert client.stdout is not None
            async with asyncio.timeout(30):
                line = await client.stdout.readline()
            assert line, f"the client is gone: {told}"
            return line.decode().rstrip("\n")

        try:
            await until('deploy {"service": "web"}?')
            await server.kill()
            await server.start()
            client.stdin.write(b"version 8\n")
            await until("5 user.custom_tool_result")
            await server.kill()
            await server.start()
            rest, _ = await asyncio.wait_for(client.communicate(), 30)
            told += rest.decode().splitlines()
        finally:
            if client.returncode is None:
                client.kill()
                await client.wait()
    assert client.returncode == 0
    assert told == [
        "1 user.message",
        "2 status.running",
        "3 agent.message",
        "On it.",
        "4 agent.custom_tool_use",
        'deploy {"service": "web"}?',
        "5 user.custom_tool_result",
        "6 agent.message",
        "Version 8 of web is live.",
        "7 status.idle",
        "8 status.archived",
    ]


@pytest.mark.parametrize("source", [SOURCE, ROOT / "tests/mocks"], ids=["client", "mocks"])
def test_a_lock_has_hashes_and_names_no_registry(source: Path) -> None:
    packages = json.loads((source / "package-lock.json").read_text())["packages"]
    assert all("integrity" in package for name, package in packages.items() if name)
    assert not any("resolved" in package for package in packages.values())
