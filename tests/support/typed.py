"""Pages whose commands are typed into a shell as they stand, and print what stands below them."""

import asyncio
import re
import shlex
import socket
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from support import grpcurl_by_buf
from support.shell import Shell

ROOT = Path(__file__).parents[2]
PORT = "50051"
"""The server's, in every page."""

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ID = re.compile(r"\b(?:(?:agt|ses|log)|use_\d+)_[0-9a-z]+")
TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")
FILE = re.compile(r"Save\s+this\s+as\s+`(\S+)`")

# These tell how things stand now: they are asked again until it is as the page says, or for so many seconds.
ASKED_AGAIN = re.compile(r"(managedagents status|rpc (Status|GetSession|ListSessions)) ")
PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class Step:
    """A command with the lines that it prints, or a file to write."""

    page: str
    line: int
    command: str
    printed: list[str]
    file: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A page in Markdown; `path` is from the top of the repository."""

    path: str

    @property
    def text(self) -> str:
        return (ROOT / self.path).read_text()

    def blocks(self, kind: str) -> list[str]:
        return [block[2] for block in BLOCK.finditer(self.text) if block[1] == kind]

    def kinds(self) -> set[str]:
        return {block[1] for block in BLOCK.finditer(self.text)}

    def steps(self) -> list[Step]:
        """The console blocks, and whatever block the text before it says to save."""
        found: list[Step] = []
        text, end = self.text, 0
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start()) + 2
            files = FILE.findall(text[end : block.start()])
            if block[1] == "console":
                found += self._commands(block[2].splitlines(), line)
            elif files:
                found.append(Step(self.path, line, block[2], [], files[-1]))
            end = block.end()
        return found

    def _commands(self, lines: Sequence[str], line: int) -> list[Step]:
        found: list[Step] = []
        for number, text in enumerate(lines, line):
            if text.startswith("$ "):
                found.append(Step(self.path, number, text[2:], []))
            elif text.startswith("> ") and not found[-1].printed:
                last = found.pop()
                found.append(Step(self.path, last.line, f"{last.command}\n{text[2:]}", []))
            else:
                found[-1].printed.append(text)
        return found


def normal(lines: Iterable[str]) -> list[str]:
    """Without what differs from run to run."""
    return [TIME.sub("TIME", ID.sub(lambda found: found[0].rpartition("_")[0], line)) for line in lines]


class Reader:
    """Somebody who reads pages with the shell at hand."""

    def __init__(self, typed_into: Shell, folder: Path, port: str) -> None:
        self._shell = typed_into
        self._folder = folder
        self._here = {PORT: port}
        """What stands in the pages, and what it is here: the port, and the ids as they are seen."""

    async def follow(self, step: Step) -> None:
        if step.file:
            path = self._folder / step.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._as_here(step.command))
            return
        expected = [self._as_here(line) for line in step.printed]
        printed = await self._type(self._as_here(step.command), expected)
        assert normal(printed) == normal(expected), f"{step.page}, line {step.line}: {step.command}"
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
