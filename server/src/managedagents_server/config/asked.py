"""What a process may be started for."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from managedagents_server.config.environment import Variables
from managedagents_server.words.limits import Limits

PROGRAM = "managedagents-server"
VERSION = version(PROGRAM)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. Port 0: a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Nobody outside this machine reaches it. A name other than localhost counts as reachable."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files."""

    cert: Path
    key: Path
    client_ca: Path | None
    """Clients must show a certificate that this authority signed. None: they need none."""


@dataclass(frozen=True, slots=True)
class Serve:
    listen: Address
    db: Path
    synchronous: Literal["FULL", "NORMAL"]
    tls: Tls | None
    tokens: Path | None
    """None: everybody who reaches the address may call."""
    providers_file: Path | None
    credentials: Mapping[str, str] = field(repr=False)
    """Keys by the name of their credential: those that the environment brings."""
    variables: Variables
    """Where the providers' file finds the keys that it names by a variable."""
    allowed: tuple[Network, ...]
    """Addresses that are not public and may still stand in a definition."""
    secret_key: str = field(repr=False)
    """What inline keys are sealed with. Empty: it stands in the file."""
    secret_key_file: Path
    sandbox: Literal["bubblewrap", "none"]
    workspaces: Path
    """A folder for the files of sessions."""
    searxng: str | None
    """The address of a SearXNG server that web_search asks. None: it asks public engines."""
    skills: Path | None
    """A folder of skills. None: there are none."""
    mcp_servers: Path | None
    """A file of MCP servers that agents may name. None: there are none."""
    log_level: str
    log_format: Literal["json", "text"] | None
    """None: text on a terminal, json elsewhere."""
    limits: Limits
    clock_ahead: float
    """Seconds that the wall clock is moved on, for tests."""
    failpoint: str
    """Where a crash test kills the process. Empty: nowhere."""


@dataclass(frozen=True, slots=True)
class Backup:
    db: Path
    to: Path


@dataclass(frozen=True, slots=True)
class Restore:
    db: Path
    source: Path


Command = Serve | Backup | Restore
