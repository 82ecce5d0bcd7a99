"""A failpoint kills the process at the place and the time that were named, and is nowhere else felt."""

import signal
import subprocess
import sys

import pytest

PLACES = ["one", "two", "one", "two", "one"]


def killed_after(spec: str) -> tuple[int, list[str]]:
    """The exit code of a process that comes by the places, and those that it came by alive."""
    program = f"""
import sys
from managedagents_server.words import failpoints
if sys.argv[1]:
    failpoints.arm(sys.argv[1])
for place in {PLACES}:
    failpoints.hit(place)
    print(place, flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program, spec], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.split()


@pytest.mark.parametrize(
    ("spec", "passed"),
    [("one", 0), ("one@1", 0), ("two", 1), ("one@2", 2), ("two@2", 3), ("one@3", 4)],
)
def test_the_process_dies_at_the_named_time_that_it_comes_by(spec: str, passed: int) -> None:
    assert killed_after(spec) == (-signal.SIGKILL, PLACES[:passed])


@pytest.mark.parametrize("spec", ["", "three", "one@4"])
def test_without_that_time_it_lives(spec: str) -> None:
    assert killed_after(spec) == (0, PLACES)
