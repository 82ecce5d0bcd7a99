"""What `make demo` runs: the first thing that a newcomer sees."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

TESTS = Path(__file__).parents[1]
STEPS = 14


async def play(folder: Path) -> str:
    """Gives what it printed. Of what it started nothing may be left."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "demo"),
        env={**os.environ, "PYTHONPATH": str(TESTS), "TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, out.decode() + err.decode()
    # All that it started is of its process group.
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    return out.decode()


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


async def test_the_demo_tells_its_whole_story_twice_in_a_row_and_leaves_nothing_behind(tmp_path: Path) -> None:
    for _ in range(2):
        told = await play(tmp_path)
        assert is_empty(tmp_path)
        assert re.findall(r"^(\d+)\. ", told, re.MULTILINE) == [str(number) for number in range(1, STEPS + 1)]
        assert "it is thrown away" in told
        assert re.search(r"Three processes, one session: \d+ events, no gap", told)
        assert 'may it? bash {"command": "wc -l < list.txt"}   we say: yes' in told
        assert re.search(r"everything/get-sum: .*42", told)
        killed, second, third = re.findall(r"process (\d+) (?:is gone|goes on)", told)
        assert len({killed, second, third}) == 3
