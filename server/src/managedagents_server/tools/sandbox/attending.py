"""One call from its start to its end: whatever comes first ends it, and then all of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from managedagents_server.tools.sandbox.child import Child
from managedagents_server.tools.sandbox.pump import Pump
from managedagents_server.tools.sandbox.waiting import settled
from managedagents_server.tools.sandbox.watch import Watch


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended."""

    exit_code: int | None
    """Of the command, from 128 for one that a signal ended. None: it was ended, or never began."""
    stopped: str = ""
    """Why it was ended, in words."""
    timed_out: bool = False
    too_full: str = ""
    """What is wrong with the workspace now, in words."""


class Attending:
    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._stopped = ""
        self._timed_out = False

    def stop(self, why: str) -> None:
        self._stopped = self._stopped or why
        self._over.set()

    async def attend(self, child: Child, pump: Pump, watch: Watch, wall_time: float) -> Ended:
        async with asyncio.TaskGroup() as group:
            identified = group.create_task(child.identify())
            pumped = group.create_task(self._pumped(pump))
            others = (group.create_task(watch.run(identified)), group.create_task(self._gone(child.over)))
            try:
                async with asyncio.timeout(wall_time):
                    await self._over.wait()
            except TimeoutError:
                self._timed_out = not self._over.is_set()
                self.stop(f"it ran longer than {wall_time:g} s")
            finally:
                exit_code = await settled(self._end(child, identified, pump, pumped))
                for other in others:
                    other.cancel()
        # What was ended came to no end of its own, even if it was faster.
        return Ended(None if self._stopped else exit_code, self._stopped, self._timed_out)

    async def _end(
        self, child: Child, identified: "asyncio.Task[int]", pump: Pump, pumped: "asyncio.Task[None]"
    ) -> int | None:
        exit_code = await child.end(identified)
        pump.finish()
        await asyncio.wait((pumped,))
        return exit_code

    async def _pumped(self, pump: Pump) -> None:
        if why := await pump.run():
            self.stop(why)

    async def _gone(self, over: Callable[[], Awaitable[None]]) -> None:
        await over()
        self._over.set()
