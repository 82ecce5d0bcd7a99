"""The README of the Python client: its code is run as it stands."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from support.server import running

pytestmark = pytest.mark.long

README = Path(__file__).parents[2] / "clients/python/README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(), flags=re.MULTILINE | re.DOTALL)
PRINTED = (
    "end_turn It is 19 degrees in Oslo.\n",
    "1 user.message\n2 status.running\n3 agent.message\n4 status.idle\n",
    "SESSION_NOT_FOUND\n",
)


def test_every_example_is_known_here() -> None:
    assert len(BLOCKS) == len(PRINTED)
    assert "127.0.0.1:50051" in BLOCKS[0]


def test_the_first_example_is_short() -> None:
    assert len([line for line in BLOCKS[0].splitlines() if line.strip()]) < 25


@pytest.mark.parametrize("number", range(len(PRINTED)))
async def test_an_example_prints_what_it_says(number: int, tmp_path: Path) -> None:
    async with running(tmp_path / "log.db") as server:
        code = BLOCKS[number].replace("127.0.0.1:50051", server.address)
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
    assert process.returncode == 0
    assert out.decode().endswith(PRINTED[number])
