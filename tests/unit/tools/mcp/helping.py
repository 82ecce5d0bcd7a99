"""Servers and a clock for tests of connections."""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from managedagents_server.tools.base import Outcome
from managedagents_server.tools.mcp import Command, Launcher, McpConnection, McpServerSpec, Stdio
from managedagents_server.tools.mcp.process import started
from managedagents_server.tools.mcp.spec import Running
from managedagents_server.words.clock import SystemClock

RAW_SERVER = Path(__file__).parent / "raw_server.py"

Raw = Callable[..., McpConnection]


class MovedClock(SystemClock):
    """The machine's, ahead by what the test adds."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.moved


def raw_spec(*arguments: str, **env: str) -> McpServerSpec:
    return McpServerSpec("raw", Stdio(sys.executable, (str(RAW_SERVER), *arguments), env))


def changed(change: Callable[[Command], Command]) -> Launcher:
    """Starts what the function makes of a command."""

    def launch(command: Command, *, line_bytes: int, ends_within: float) -> AbstractAsyncContextManager[Running]:
        return started(change(command), line_bytes=line_bytes, ends_within=ends_within)

    return launch


def words(outcome: Outcome) -> str:
    return "\n".join(block.text.text for block in outcome.content)
