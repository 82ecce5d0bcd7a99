"""All that runs sessions, put together: what the front calls."""

import asyncio
from types import TracebackType
from typing import Self

from managedagents_server.log import Log
from managedagents_server.providers import Providers
from managedagents_server.session.agents import Agents
from managedagents_server.session.around import Around
from managedagents_server.session.changes import Changes
from managedagents_server.session.housekeeping import Housekeeping
from managedagents_server.session.keyring import Keyring
from managedagents_server.session.keys import Keys
from managedagents_server.session.loops import Loops
from managedagents_server.session.reads import Reads
from managedagents_server.session.registry import Registry
from managedagents_server.session.starts import Starts
from managedagents_server.tools import Tools
from managedagents_server.words.clock import Clock
from managedagents_server.words.limits import Limits


class Runtime:
    """Runs while it is entered; leaving it stops everything where it stands, which the log allows at any moment."""

    def __init__(
        self, log: Log, providers: Providers, tools: Tools, keyring: Keyring, clock: Clock, limits: Limits
    ) -> None:
        self._around = Around(log, providers, tools, Keys(log, keyring), clock, limits)
        self._tasks = asyncio.TaskGroup()
        self._lasting: list[asyncio.Task[None]] = []
        self._housekeeping = Housekeeping(self._around)
        registry = Registry(self._around)
        self._loops = Loops(self._around, registry, self._housekeeping, self._tasks)
        self.agents = Agents(self._around, self._housekeeping)
        self.starts = Starts(self._around, registry, self._loops)
        self.changes = Changes(self._around, registry, self._loops, self._housekeeping)
        self.reads = Reads(self._around, registry)

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        around = self._around
        around.no_deadline_before = around.clock.wall() + int(around.limits.deadline_grace * 1e9)
        self._lasting = [
            self._tasks.create_task(self._loops.recover(), name="recovery"),
            self._tasks.create_task(self._housekeeping.run(), name="housekeeping"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drain(0.0)
        await self._tasks.__aexit__(kind, error, trace)

    async def drain(self, grace: float) -> None:
        """No new turns; loops stop at their next boundary, or after `grace` seconds wherever they are. After it returns
        nothing runs."""
        self._around.draining = True
        for task in self._lasting:
            task.cancel()
        await self._loops.drain(grace)
