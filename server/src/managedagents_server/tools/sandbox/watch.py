"""Looks at a call from outside while it runs: at what its processes use together, and at the workspace."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from managedagents_server.tools.base import Bounds
from managedagents_server.tools.sandbox import workspace
from managedagents_server.tools.sandbox.errors import SandboxError
from managedagents_server.tools.sandbox.sizes import said
from managedagents_server.tools.sandbox.usage import usage

_PROCESSES = 0.2
"""Seconds between two looks at the processes."""
_DISK = 0.5
"""Seconds between two looks at the workspace."""
_PART = 10
"""Or, in a big one, this many times as long as a look takes."""


class Watch:
    def __init__(self, folder: Path, bounds: Bounds, stop: Callable[[str], None]) -> None:
        """`stop` is told, in words, why the call shall end."""
        self._folder = folder
        # Now: later the session may have removed it.
        self._device = folder.stat().st_dev
        self._bounds = bounds
        self._stop = stop
        self._size = 0
        self._allowed = bounds.disk_bytes

    async def run(self, identified: "asyncio.Task[int]") -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_disk())
            group.create_task(self._watch_processes(identified))

    async def _watch_disk(self) -> None:
        try:
            # In a workspace that is too full already, a call may delete, and all that comes before it. It may not add.
            await self._look()
            self._allowed = max(self._allowed, self._size)
            while True:
                took = await self._look()
                if self._size > self._allowed:
                    self._stop(full(self._bounds))
                await asyncio.sleep(max(_DISK, _PART * took))
        except SandboxError as error:
            self._stop(str(error))

    async def _look(self) -> float:
        started = time.monotonic()
        self._size = await asyncio.to_thread(workspace.measure, self._folder)
        return time.monotonic() - started

    async def _watch_processes(self, identified: "asyncio.Task[int]") -> None:
        # Not awaited itself: it would be cancelled with this.
        await asyncio.wait((identified,))
        root = identified.result()
        bounds = self._bounds
        while root:
            await asyncio.sleep(_PROCESSES)
            used = await asyncio.to_thread(usage, root, self._device, bounds.memory_bytes)
            if used.memory > bounds.memory_bytes:
                self._stop(f"its processes together held more than {said(bounds.memory_bytes)} of memory")
            elif used.cpu_time > bounds.cpu_time:
                self._stop(f"it used more than {bounds.cpu_time:g} s of CPU time")
            elif used.deleted and self._size + used.deleted > self._allowed:
                self._stop(full(bounds))


def full(bounds: Bounds) -> str:
    size = said(bounds.disk_bytes)
    return (
        f"the workspace holds more than {size} (or folders more than {workspace.DEEP} deep, or locked ones); delete "
        "what is not needed"
    )
