"""What a call may use, and that all of it ends."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from managedagents_server.tools.base import Place
from managedagents_server.tools.sandbox import Mode, Sandbox
from support.sandboxes import QUICK, place_in, running, sh, until, usable

pytestmark = pytest.mark.long


@pytest.fixture(params=list(Mode))
async def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return await usable(request.param)


@pytest.fixture
async def place(sandbox: Sandbox) -> AsyncIterator[Place]:
    async with place_in(sandbox) as made:
        yield made


@pytest.fixture
def sign() -> str:
    """Words by which a test finds its processes."""
    return uuid4().hex


def descriptors() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def lasting(sign: str) -> str:
    """A command that begins processes which nothing but the end of the call ends: one in the background, one in a
    session of its own whose parents are gone, one that hears no signals, and one that is stopped."""
    loop = f"exec -a {sign} sleep 1000"
    return (
        f"bash -c '{loop}' & setsid bash -c '({loop}) & exit' & bash -c 'trap \"\" TERM HUP INT; {loop}' & "
        f"bash -c 'kill -STOP $$; {loop}' & until [ $(pgrep -fc '^{sign}') -ge 3 ]; do sleep 0.02; done; touch begun"
    )


async def test_a_call_that_returns_leaves_no_process_behind(sandbox: Sandbox, place: Place, sign: str) -> None:
    said = await sh(sandbox, place, f"{lasting(sign)}; exit 3")
    assert said.ended.exit_code == 3
    assert (place.workspace / "begun").exists()
    assert not running(sign)


async def test_a_call_that_takes_too_long_is_ended_with_all_it_began(sandbox: Sandbox, place: Place, sign: str) -> None:
    said = await sh(sandbox, place, f"echo before; {lasting(sign)}; sleep 1000", wall_time=1.0)
    assert said.ended.timed_out
    assert said.ended.exit_code is None
    assert "longer than 1 s" in said.ended.stopped
    assert said.output == "before\n"
    assert (place.workspace / "begun").exists()
    assert not running(sign)


async def test_a_cancelled_call_has_ended_when_the_cancelling_returns(
    sandbox: Sandbox, place: Place, sign: str
) -> None:
    call = asyncio.create_task(sh(sandbox, place, f"{lasting(sign)}; sleep 1000"))
    await until((place.workspace / "begun").exists)
    assert running(sign)
    call.cancel()
    # More than once, as when a server that is stopping loses patience.
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not running(sign)


async def test_a_call_can_be_cancelled_at_any_moment(sandbox: Sandbox, place: Place, sign: str) -> None:
    for delay in range(20):
        call = asyncio.create_task(sh(sandbox, place, f"exec -a {sign} sleep 1000"))
        await asyncio.sleep(delay / 400)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not running(sign)


async def test_a_call_leaves_no_descriptor_open_in_the_server(sandbox: Sandbox, place: Place) -> None:
    await sh(sandbox, place, "true")
    before = descriptors()
    for command, wall_time in (
        ("true", None),
        ("exit 1", None),
        ("sleep 100", 0.05),
        ("head -c 100000 /dev/zero", None),
    ):
        await sh(sandbox, place, command, wall_time=wall_time)
    assert descriptors() == before


def server_with_a_call(sandbox: Sandbox, place: Place, command: str) -> list[str]:
    """The command line of a program that makes one call, and would not end before it."""
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from managedagents_server.tools.base import Place\n"
        "from managedagents_server.tools.sandbox import Mode, Sandbox\n"
        "from support.sandboxes import sh\n"
        f"place = Place(Path({str(place.workspace)!r}), {place.owner})\n"
        "print('begun', flush=True)\n"
        f"asyncio.run(sh(Sandbox(Mode({sandbox.mode.value!r})), place, {command!r}))\n"
    )
    return [sys.executable, "-c", program]


async def test_a_server_that_is_killed_takes_its_calls_along(sandbox: Sandbox, place: Place, sign: str) -> None:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    command = server_with_a_call(sandbox, place, f"touch up; {lasting(sign)}; sleep 1000 # {sign}")
    server = await asyncio.create_subprocess_exec(*command, env=env)
    await until(lambda: (place.workspace / "begun").exists() and bool(running(sign)))
    server.kill()
    await server.wait()
    await until(lambda: not running(sign))


async def test_a_server_may_be_killed_at_any_moment_of_a_call(sandbox: Sandbox, place: Place, sign: str) -> None:
    """bubblewrap begins with some milliseconds in which it would stay behind."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    command = server_with_a_call(sandbox, place, f"sleep 1000 # {sign}")
    for delay in range(24):
        server = await asyncio.create_subprocess_exec(*command, env=env, stdout=asyncio.subprocess.PIPE)
        assert server.stdout is not None
        await server.stdout.readline()
        await asyncio.sleep(0.01 + delay / 1000)
        server.kill()
        await server.communicate()
        await until(lambda: not running(sign))


async def test_a_fork_bomb_harms_nobody(sandbox: Sandbox, place: Place, sign: str) -> None:
    place = replace(place, bounds=replace(QUICK, processes=12))
    bomb = f"import os\nwhile True:\n try: os.fork()\n except OSError: pass\n# {sign}"
    started = time.monotonic()
    async with place_in(sandbox, bounds=place.bounds) as other:
        call = asyncio.create_task(
            sh(sandbox, place, f"touch up; exec {sandbox.python(place)} -I -S -c '{bomb}'", wall_time=0.8)
        )
        await until((place.workspace / "up").exists)
        said = await sh(sandbox, other, "for i in 1 2 3; do (sleep 0.1; echo alive) & done; wait")
        assert said.output == "alive\n" * 3
        # And the first process of the sandbox, and the one outside that waits for it. Where a user's processes are
        # counted on the whole machine, those that end meanwhile make room for others.
        counted_alone = sandbox.mode is Mode.BUBBLEWRAP or os.geteuid() == 0
        assert len(running(sign)) <= (14 if counted_alone else 40)
        assert (await call).ended.timed_out
    assert not running(sign)
    assert time.monotonic() - started < 6


async def test_a_call_has_as_many_processes_as_its_bounds_say(sandbox: Sandbox, place: Place) -> None:
    place = replace(place, bounds=replace(QUICK, processes=10))
    code = (
        "import os, time\nmade = 0\n"
        "try:\n while made < 100:\n  if os.fork() == 0: time.sleep(100)\n  made += 1\n"
        "except OSError: print(made)"
    )
    said = await sh(sandbox, place, f"exec {sandbox.python(place)} -I -S -c '{code}'")
    # The one that makes them, and in the sandbox the one of bubblewrap, count. Without a sandbox the kernel counts all
    # that an ordinary user runs: what of it ends meanwhile leaves room for more.
    shared = sandbox.mode is Mode.NONE and os.geteuid() != 0
    assert 7 <= int(said.output) <= (20 if shared else 10)


async def test_a_program_that_wants_too_much_memory_does_not_get_it(sandbox: Sandbox, place: Place) -> None:
    said = await sh(sandbox, place, f"{sandbox.python(place)} -I -S -c 'print(len(bytearray(500 << 20)))'")
    assert "MemoryError" in said.output
    assert said.ended.exit_code == 1


HOGS = {
    "many processes": "x = bytearray(100 << 20)",
    "shared memory": "import mmap\nx = mmap.mmap(-1, 100 << 20)\nx.write(bytes(100 << 20))",
    "files without a name": "import os\nx = os.memfd_create('x')\nfor _ in range(10): os.write(x, bytes(10 << 20))",
}


@pytest.mark.parametrize("how", HOGS)
async def test_a_call_has_no_more_memory_than_its_bounds_say(sandbox: Sandbox, place: Place, how: str) -> None:
    code = f"{HOGS[how]}\nimport time; time.sleep(100)"
    said = await sh(sandbox, place, f'for i in 1 2 3 4; do {sandbox.python(place)} -I -S -c "{code}" & done; wait')
    assert "256 MiB of memory" in said.ended.stopped
    assert not said.ended.timed_out


async def test_a_program_that_computes_for_too_long_is_ended(sandbox: Sandbox, place: Place) -> None:
    place = replace(place, bounds=replace(QUICK, cpu_time=1.0))
    said = await sh(sandbox, place, "while :; do :; done")
    assert said.ended.exit_code == 128 + signal.SIGXCPU or "1 s of CPU time" in said.ended.stopped


async def test_many_programs_together_have_the_cpu_time_of_one(sandbox: Sandbox, place: Place) -> None:
    place = replace(place, bounds=replace(QUICK, cpu_time=1.0))
    said = await sh(sandbox, place, "while :; do timeout 0.2 bash -c 'while :; do :; done'; done")
    assert "1 s of CPU time" in said.ended.stopped


async def test_a_file_is_no_larger_than_the_bounds_say(sandbox: Sandbox, place: Place) -> None:
    place = replace(place, bounds=replace(QUICK, file_bytes=1 << 20))
    said = await sh(sandbox, place, "head -c 5M /dev/zero > big; stat -c %s big")
    assert "1048576" in said.output


async def test_a_call_that_fills_the_workspace_is_ended(sandbox: Sandbox, place: Place) -> None:
    place = replace(place, bounds=replace(QUICK, disk_bytes=8 << 20))
    said = await sh(sandbox, place, "i=0; while :; do : $((i += 1)); head -c 1M /dev/zero > f$i; sleep 0.02; done")
    assert "the workspace holds more than 8 MiB" in said.ended.stopped
    assert said.ended.too_full
    files = list(place.workspace.glob("f*"))
    assert 5 < len(files) < 200


async def test_files_without_a_name_fill_the_workspace_too(sandbox: Sandbox, place: Place) -> None:
    place = replace(place, bounds=replace(QUICK, disk_bytes=8 << 20))
    said = await sh(sandbox, place, "exec 5> x; rm x; head -c 20M /dev/zero >&5; sleep 100")
    assert "the workspace holds more than 8 MiB" in said.ended.stopped
    assert not said.ended.too_full


async def test_empty_files_fill_the_workspace_too(sandbox: Sandbox, place: Place) -> None:
    place = replace(place, bounds=replace(QUICK, disk_bytes=4 << 20))
    said = await sh(sandbox, place, "seq 2000 | xargs touch")
    assert said.ended.too_full


async def test_in_a_full_workspace_a_call_may_delete_but_not_add(sandbox: Sandbox, place: Place) -> None:
    await sh(sandbox, place, "head -c 20M /dev/zero > big")
    place = replace(place, bounds=replace(QUICK, disk_bytes=8 << 20))
    said = await sh(sandbox, place, "sleep 0.3; head -c 5M /dev/zero > more; sleep 100")
    assert "the workspace holds more" in said.ended.stopped
    said = await sh(sandbox, place, "rm big more; sleep 0.6; echo done")
    assert said.output == "done\n"
    assert not said.ended.too_full


async def test_a_call_that_closes_its_output_is_waited_for(sandbox: Sandbox, place: Place) -> None:
    said = await sh(sandbox, place, "exec >&- 2>&-; sleep 0.1; exit 4")
    assert said.ended.exit_code == 4
