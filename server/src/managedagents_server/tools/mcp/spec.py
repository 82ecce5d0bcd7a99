"""How an MCP server is named, reached and started. Says nothing of the protocol and imports none of it."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from managedagents_server.words.addresses import Addresses

_SECRET = 8
"""Characters. What is shorter is a flag or a number, and hiding it would only garble words."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is started, with exactly this environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    """None: where this server runs."""


class Running(Protocol):
    """A process that is spoken to."""

    @property
    def stdin(self) -> asyncio.StreamWriter: ...
    @property
    def stdout(self) -> asyncio.StreamReader: ...
    @property
    def stderr(self) -> asyncio.StreamReader: ...
    @property
    def exited(self) -> asyncio.Event:
        """It has, whoever still holds its pipes."""
        ...

    @property
    def stopped(self) -> str:
        """Why it was ended, where it was, in words."""
        ...

    def end_rest(self) -> None:
        """What it left behind when it exited."""
        ...


class Launcher(Protocol):
    def __call__(
        self, command: Command, *, line_bytes: int, ends_within: float
    ) -> AbstractAsyncContextManager[Running]:
        """Starts it, and ends it at the end: first its stdin is closed, and after `ends_within` seconds it is gone.
        `line_bytes`: the longest line that can be read of it. Raises OSError, ValueError and SandboxError
        where it cannot be started."""
        ...


@dataclass(frozen=True, slots=True)
class Stdio:
    """A process that speaks on its stdin and stdout."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """May hold keys: it stands in no message."""
    cwd: str | None = None
    launcher: Launcher | None = field(default=None, compare=False)
    """None: it runs as this server does, with its PATH and HOME, which is for what the operator named himself."""


@dataclass(frozen=True, slots=True)
class Http:
    """A server at a URL."""

    url: str = field(repr=False)
    """May hold a key, as may the headers: neither stands in a message."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sse: bool = False
    """The transport of 2024-11-05, which streamable HTTP replaced."""
    addresses: Addresses | None = field(default=None, compare=False)
    """Those that may be connected to. None: all, which is for what the operator named himself."""


@dataclass(frozen=True, slots=True)
class McpServerSpec:
    """Two that are equal are the same server: its connection is kept."""

    name: str
    """Stands before the names of its tools."""
    reached: Stdio | Http

    def hiding(self, words: str) -> str:
        """The words of a server, or of a library about it, without the keys that it was given."""
        given = self.reached.env if isinstance(self.reached, Stdio) else self.reached.headers
        parts = {part for value in given.values() for part in (value, *value.split()) if len(part) >= _SECRET}
        if isinstance(self.reached, Http):
            parts.add(self.reached.url)
        for part in sorted(parts, key=len, reverse=True):
            words = words.replace(part, "[hidden]")
        return words
