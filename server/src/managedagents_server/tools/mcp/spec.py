"""How an MCP server is named, reached and started. Says nothing of the protocol and imports none of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

_SECRET = 8
"""Characters. What is shorter is a flag or a number, and hiding it would only garble words."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is started, with exactly this environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    """None: where this server runs."""


Launcher = Callable[[Command], Command]
"""Turns what a server's owner wants to run into what is run, say in a sandbox."""


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
    transport: "Callable[[], httpx2.AsyncBaseTransport] | None" = field(default=None, compare=False)
    """Makes the way to the network, where not every address is allowed. Closed with the connection."""


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
