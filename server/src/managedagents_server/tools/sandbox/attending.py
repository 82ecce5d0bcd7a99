"""One call from its start to its end: whatever comes first ends it, and then all of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from managedagents_server.tools.sandbox.child import Child
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


class Output(Protocol):
    """Takes what the call writes."""

    async def run(self) -> str:
        """Until nobody can write any more. Why the call shall end, if it shall."""
        ...

    def finish(self) -> None:
        """All has been written that ever will be."""
        ...


class Attending:
    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._stopped = ""
        self._timed_out = False

    def stop(self, why: str) -> None:
        self._stopped = self._stopped or why
        self._over.set()

    async def attend(self, child: Child, output: Output, watch: Watch, wall_time: float | None) -> Ended:
        """`wall_time`: seconds. None: as long as it likes."""
        async with asyncio.TaskGroup() as group:
            identified = group.create_task(child.identify())
            taken = group.create_task(self._taken(output))
            others = (group.create_task(watch.run(identified)), group.create_task(self._gone(child.over)))
            try:
                async with asyncio.timeout(wall_time):
                    await self._over.wait()
            except TimeoutError:
                self._timed_out = not self._over.is_set()
                self.stop(f"it ran longer than {wall_time:g} s")
            finally:
                exit_code = await settled(self._end(child, identified, output, taken))
                for other in others:
                    other.cancel()
        # What was ended came to no end of its own, even if it was faster.
        return Ended(None if self._stopped else exit_code, self._stopped, self._timed_out)

    async def _end(
        self, child: Child, identified: "asyncio.Task[int]", output: Output, taken: "asyncio.Task[None]"
    ) -> int | None:
        exit_code = await child.end(identified)
        output.finish()
        await asyncio.wait((taken,))
        return exit_code

    async def _taken(self, output: Output) -> None:
        if why := await output.run():
            self.stop(why)

    async def _gone(self, over: Callable[[], Awaitable[None]]) -> None:
        await over()
        self._over.set()
