"""The README: its commands are typed into a shell as they stand, and print what stands below them."""

import asyncio
import re
import shlex
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from google.protobuf import json_format

from managedagents.v1 import agent_pb2
from managedagents_server.providers import operator_file
from support import grpcurl_by_buf
from support.shell import Shell, shell

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PORT = "50051"
TRAIT = (
    "Create",
    "StartSession",
    "SendEvent",
    "StreamEvents",
    "Interrupt",
    "Pause",
    "Resume",
    "Status",
    "Archive",
    "DeleteSession",
)

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ID = re.compile(r"\b(?:(?:agt|ses|log)|use_\d+)_[0-9a-z]+")
TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")
FILE = re.compile(r"Save\s+this\s+as `(\S+)`")

# These tell how things stand now: they are asked again until it is as the README says, or for so many seconds.
ASKED_AGAIN = re.compile(r"(managedagents status|rpc Status) ")
PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class Step:
    """A command with the lines that it prints, or a file to write."""

    line: int
    command: str
    printed: list[str]
    file: str = ""


def steps() -> list[Step]:
    found: list[Step] = []
    for block in BLOCK.finditer(README):
        line = README.count("\n", 0, block.start()) + 2
        if block[1] == "python":
            found.append(Step(line, block[2], [], FILE.findall(README[: block.start()])[-1]))
        elif block[1] == "console":
            found += commands(block[2].splitlines(), line)
    return found


def commands(lines: list[str], line: int) -> list[Step]:
    found: list[Step] = []
    for number, text in enumerate(lines, line):
        if text.startswith("$ "):
            found.append(Step(number, text[2:], []))
        elif text.startswith("> ") and not found[-1].printed:
            last = found.pop()
            found.append(Step(last.line, f"{last.command}\n{text[2:]}", []))
        else:
            found[-1].printed.append(text)
    return found


def normal(lines: list[str]) -> list[str]:
    """Without what differs from run to run."""
    return [TIME.sub("TIME", ID.sub(lambda found: found[0].rpartition("_")[0], line)) for line in lines]


class Reader:
    """Somebody who reads the README with the shell at hand."""

    def __init__(self, typed_into: Shell, folder: Path, port: str) -> None:
        self._shell = typed_into
        self._folder = folder
        self._here = {PORT: port}
        """What stands in the README, and what it is here: the port, and the ids as they are seen."""

    async def follow(self, step: Step) -> None:
        if step.file:
            (self._folder / step.file).write_text(self._as_here(step.command))
            return
        expected = [self._as_here(line) for line in step.printed]
        printed = await self._type(self._as_here(step.command), expected)
        assert normal(printed) == normal(expected), f"README.md, line {step.line}: {step.command}"
        for there, here in zip(step.printed, printed, strict=True):
            self._here.update(zip(ID.findall(there), ID.findall(here), strict=True))

    async def _type(self, command: str, expected: list[str]) -> list[str]:
        if command.endswith("&"):
            return await self._shell.begin(command, len(expected))
        clock = asyncio.get_running_loop().time
        until = clock() + PATIENCE
        printed = await self._shell.run(command)
        while normal(printed) != normal(expected) and ASKED_AGAIN.match(command) and clock() < until:
            printed = await self._shell.run(command)
        return printed

    def _as_here(self, text: str) -> str:
        for there, here in self._here.items():
            text = text.replace(there, here)
        return text


def lay_out(folder: Path) -> None:
    """What the commands expect to find around them; the grpcurl that is built, or else one that asks buf."""
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "clients").symlink_to(ROOT / "clients")
    tools = folder / ".cache/bin"
    tools.mkdir(parents=True)
    grpcurl = tools / "grpcurl"
    built = ROOT / ".cache/bin/grpcurl"
    if built.exists():
        grpcurl.symlink_to(built)
    else:
        grpcurl.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(grpcurl_by_buf.__file__)])} "$@"\n')
        grpcurl.chmod(0o755)


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return str(taken.getsockname()[1])


@pytest.mark.timeout(180)
async def test_the_tour_prints_what_it_says(tmp_path: Path) -> None:
    lay_out(tmp_path)
    port = free_port()
    async with shell(tmp_path, {"MANAGEDAGENTS_SERVER": f"127.0.0.1:{port}", "HOME": str(tmp_path)}) as typed_into:
        reader = Reader(typed_into, tmp_path, port)
        for step in steps():
            await reader.follow(step)
    said = (tmp_path / "tour.log").read_text()
    assert '"message": "listening"' in said
    assert "Oslo" not in said, "what people and models say is not logged"


def test_the_tour_makes_every_call_of_the_trait() -> None:
    assert {step.command.split()[1] for step in steps() if step.command.startswith("rpc ")} == set(TRAIT)
    assert all(f"**{name}**" in README for name in TRAIT)


def test_every_block_is_of_a_kind_that_is_known_here() -> None:
    assert {block[1] for block in BLOCK.finditer(README)} <= {"console", "python", "sh", "json", "toml", ""}
    assert all(block[2].startswith("$ ") for block in BLOCK.finditer(README) if block[1] == "console")


def blocks(kind: str) -> list[str]:
    return [block[2] for block in BLOCK.finditer(README) if block[1] == kind]


def test_the_models_that_it_tells_to_write_are_such() -> None:
    for block in blocks("json"):
        assert json_format.Parse(block, agent_pb2.Model()).WhichOneof("ref")


def test_the_providers_file_that_it_tells_to_write_is_one(tmp_path: Path) -> None:
    (block,) = blocks("toml")
    (tmp_path / "team-a.key").write_text("a-key\n")
    (tmp_path / "providers.toml").write_text(block)
    settings = operator_file.read(tmp_path / "providers.toml", {}, lambda name: None, {})
    row = settings.table.find("qwen3")
    assert row is not None
    assert settings.credentials[row.credential].fits(row.provider, "https://models.example.com/v1")


def test_the_first_screen_says_what_it_is_and_the_two_commands() -> None:
    first = "\n".join(README.splitlines()[:24])
    assert "gRPC service" in first
    assert re.findall(r"^make ([a-z]+) ", first, re.MULTILINE) == ["demo", "test"]


def test_everything_it_points_at_is_there() -> None:
    headings = {
        re.sub(r"[^a-z ]", "", line.lower()).strip().replace(" ", "-") for line in README.splitlines() if "#" in line
    }
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in headings
        elif not target.startswith("https://"):
            assert (ROOT / target).exists(), target
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make\s([a-z]+)", README.replace("`make` alone", ""))) <= targets


def test_every_flag_and_limit_it_names_is_one() -> None:
    server = ["-m", "managedagents_server"]
    client = ["-c", "from managedagents.cli import main; main()"]
    known = ""
    for of in (
        *(server, [*server, "backup"], [*server, "restore"]),
        *(client, [*client, "start"], [*client, "confirm"], [*client, "log"], [*client, "outcome"]),
        ["-m", "bench"],
    ):
        command = [sys.executable, *of, "--help"]
        known += subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT / "tests").stdout
    assert set(re.findall(r"--[a-z][a-z-]+", README)) <= set(re.findall(r"--[a-z][a-z-]+", known))
    assert set(re.findall(r"--limit ([a-z_]+)=", README)) <= set(re.findall(r"^  ([a-z_]+)=", known, re.MULTILINE))


def test_what_it_says_is_not_built_is_what_is_tested_to_be_refused() -> None:
    tested = (ROOT / "tests/rpc/test_not_built.py").read_text()
    table = README[README.index("| part | refused |") : README.index("Tenants are not built")]
    for name in re.findall(r"`([A-Za-z_.]+)`", table):
        assert re.search(rf"\b{re.escape(name)}\b", tested), name
