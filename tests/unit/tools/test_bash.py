"""The tool `bash` tells the model what happened."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import jsonschema
import pytest

from managedagents_server.tools.base import Place
from managedagents_server.tools.bash import Bash
from managedagents_server.tools.sandbox import Mode, Sandbox
from support.sandboxes import QUICK, asked, place_in, running, until, usable, words


@pytest.fixture
async def sandbox() -> Sandbox:
    return await usable(Mode.BUBBLEWRAP)


@pytest.fixture
def bash(sandbox: Sandbox) -> Bash:
    return Bash(sandbox)


@pytest.fixture
async def place(sandbox: Sandbox) -> AsyncIterator[Place]:
    async with place_in(sandbox) as made:
        yield made


async def test_both_outputs_come_in_order(bash: Bash, place: Place) -> None:
    outcome = await asked(bash, place, command="echo a; echo b >&2; echo c")
    assert words(outcome) == "a\nb\nc"
    assert not outcome.is_error


async def test_no_output_is_said(bash: Bash, place: Place) -> None:
    assert words(await asked(bash, place, command="true")) == "[no output]"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("echo x; exit 3", "x\n[exit status 3]"),
        ("kill -9 $$", "[exit status 137, as of SIGKILL]"),
        ("exit 255", "[exit status 255]"),
    ],
)
async def test_the_exit_status_is_told(bash: Bash, place: Place, command: str, told: str) -> None:
    outcome = await asked(bash, place, command=command)
    assert words(outcome) == told
    assert outcome.is_error
    assert not outcome.timed_out


async def test_a_call_is_a_shell_of_its_own(bash: Bash, place: Place) -> None:
    await asked(bash, place, command="cd /tmp; A=b; touch x ~/y")
    assert (
        words(await asked(bash, place, command='pwd; echo "[$A]"; ls /tmp ~'))
        == "/workspace\n[]\n/tmp:\n\n/workspace:\ny"
    )


@pytest.mark.parametrize(
    ("asked_for", "bound", "said"), [(0.3, 20.0, "0.3 s"), (20, 0.3, "0.3 s"), (None, 0.3, "0.3 s")]
)
async def test_the_sooner_bound_on_time_counts(
    bash: Bash, place: Place, asked_for: float | None, bound: float, said: str
) -> None:
    place = replace(place, bounds=replace(QUICK, wall_time=bound))
    given = {} if asked_for is None else {"timeout": asked_for}
    outcome = await asked(bash, place, command="echo begun; sleep 100", **given)
    assert words(outcome) == f"begun\n[It was ended, with all it had begun: it ran longer than {said}.]"
    assert outcome.is_error
    assert outcome.timed_out


async def test_a_full_workspace_is_told_and_can_be_emptied(bash: Bash, place: Place) -> None:
    place = replace(place, bounds=replace(QUICK, disk_bytes=1 << 20))
    assert "[Beware: the workspace holds more than 1 MiB" in words(
        await asked(bash, place, command="head -c 3M /dev/zero > x")
    )
    assert words(await asked(bash, place, command="rm x")) == "[no output]"


@pytest.mark.parametrize("command", ["echo a\0b", "#" * 130_000])
async def test_what_cannot_be_a_command_is_said(bash: Bash, place: Place, command: str) -> None:
    outcome = await asked(bash, place, command=command)
    assert outcome.is_error
    assert words(outcome).startswith(("A command cannot have a NUL", "The command is longer than"))


async def test_half_a_character_in_a_command_harms_nobody(bash: Bash, place: Place) -> None:
    assert words(await asked(bash, place, command="echo \ud83d ä")) == "? ä"


async def test_a_sandbox_that_cannot_be_made_is_said(bash: Bash, place: Place) -> None:
    outcome = await asked(bash, replace(place, working_dir="../.."), command="true")
    assert outcome.is_error
    assert "leads out of the workspace" in words(outcome)


async def test_cancelling_ends_the_command(bash: Bash, place: Place) -> None:
    call = asyncio.create_task(asked(bash, place, command="touch up; exec -a cancelled-bash sleep 1000"))
    await until((place.workspace / "up").exists)
    started = time.monotonic()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not running("cancelled-bash")
    assert time.monotonic() - started < 2


def test_the_schema_takes_what_the_tool_does(bash: Bash) -> None:
    schema = json.loads(bash.declaration.input_schema_json)
    check = jsonschema.Draft202012Validator(schema)
    assert check.is_valid({"command": "ls", "timeout": 0.5})
    for wrong in ({}, {"command": ""}, {"command": "ls", "timeout": 0}, {"command": "ls", "cwd": "/"}):
        assert not check.is_valid(wrong)
    assert not bash.repeatable({"command": "ls"})
