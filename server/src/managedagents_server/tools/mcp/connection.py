"""The connection of one session to one server: opened at the first need, and opened again when it was lost."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from managedagents_server.tools.base import Outcome, failed, text
from managedagents_server.tools.mcp import failure
from managedagents_server.tools.mcp.backoff import Backoff
from managedagents_server.tools.mcp.bounds import McpBounds
from managedagents_server.tools.mcp.failure import McpFailure
from managedagents_server.tools.mcp.media import IMAGES
from managedagents_server.tools.mcp.spec import McpServerSpec
from managedagents_server.tools.mcp.tool import McpTool
from managedagents_server.words.clock import Clock

if TYPE_CHECKING:
    from managedagents_server.tools.mcp.live import Live

OnProgress = Callable[[float, float | None, str | None], None]
"""How far a call is, of how much (None: unknown), and what the server says of it. Must not block."""


def _library() -> ModuleType:
    """Takes half a second the first time."""
    import_module("managedagents_server.tools.mcp.listing")
    return import_module("managedagents_server.tools.mcp.live")


def _unheard(progress: float, total: float | None, message: str | None) -> None:
    del progress, total, message


class McpConnection:
    """Calls may run at the same time. One that comes while the connection is opened waits for it."""

    def __init__(self, spec: McpServerSpec, tasks: asyncio.TaskGroup, bounds: McpBounds, clock: Clock) -> None:
        """`tasks` is where the tasks run that own the connection."""
        self.spec = spec
        self._tasks = tasks
        self._bounds = bounds
        self._clock = clock
        self._backoff = Backoff(bounds)
        self._reason = ""
        self._opening = asyncio.Lock()
        self._live: Live | None = None
        self._owner: asyncio.Task[None] | None = None
        self._is_closed = False
        self._listing = asyncio.Lock()
        self._tools: tuple[McpTool, ...] | None = None
        self._listed_at = 0.0
        self._changes = 0

    async def list_tools(self) -> tuple[McpTool, ...]:
        """Of the server as it is now: asked again after it was lost, and after it said that they changed. Raises
        McpFailure."""
        async with self._listing:
            if self._tools is not None and self._clock.monotonic() - self._listed_at < self._bounds.listing_kept:
                live = self._live
                if live is not None and not live.over:
                    return self._tools
            return await self._list(await self._usable())

    async def call(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        within: float,
        on_progress: OnProgress = _unheard,
        takes: Collection[str] = IMAGES,
    ) -> Outcome:
        """`tool`: as the server calls it. `within`: seconds from when the connection stands, and anew from each word of
        progress, up to a bound. `takes`: media types that the model can be shown. Cancelling it tells the server, and
        leaves the connection as it is."""
        try:
            live = await self._usable()
        except McpFailure as fault:
            return failed(str(fault))
        try:
            async with asyncio.timeout(within) as limit:
                loop = asyncio.get_running_loop()
                last = loop.time() + max(within, self._bounds.call)

                def heard(progress: float, total: float | None, message: str | None) -> None:
                    if not limit.expired():
                        limit.reschedule(min(loop.time() + within, last))
                    on_progress(progress, total, message)

                return await live.call(tool, arguments, heard, takes)
        except TimeoutError:
            live.suspect = True
            words = (
                f"The MCP server {self.spec.name} did not answer the call within {within:g} s, nor tell how far it "
                "is, and was told to stop."
            )
            return Outcome([text(words)], is_error=True, timed_out=True)

    async def close(self) -> None:
        """Ends it, and all that it started, for good."""
        self._is_closed = True
        await self._ended("its session came to rest")

    async def _usable(self) -> "Live":
        """Opens it where it must. Raises McpFailure."""
        async with self._opening:
            if self._live is not None and not self._is_closed:
                if await self._live.healthy():
                    return self._live
                await self._lose(self._live)
            left = self._backoff.left(self._clock.monotonic())
            if left > 0:
                raise failure.unreachable(self.spec.name, self._reason, left)
            module = await asyncio.to_thread(_library)
            if self._is_closed:
                raise McpFailure(f"The connection to the MCP server {self.spec.name} was closed.")
            live: Live = module.Live(self.spec, self._bounds, self._clock, self._forget_tools)
            self._live = live
            self._owner = self._tasks.create_task(live.run())
            if await live.ready():
                return live
            await self._lose(live)
            raise failure.unreachable(self.spec.name, self._reason, self._backoff.left(self._clock.monotonic()))

    async def _lose(self, live: "Live") -> None:
        await self._ended()
        self._backoff.lost(live.over_at, stood=live.stood, answered=live.answered)
        self._reason = live.reason
        self._live = None
        self._forget_tools()

    async def _ended(self, reason: str = "") -> None:
        if self._live is None or self._owner is None:
            return
        self._live.end(reason)
        if not self._live.stood:
            # It waits for the server, not for us.
            self._owner.cancel()
        await asyncio.wait([self._owner])

    def _forget_tools(self) -> None:
        self._tools = None
        self._changes += 1

    async def _list(self, live: "Live") -> tuple[McpTool, ...]:
        from managedagents_server.tools.mcp import faults
        from managedagents_server.tools.mcp.listing import listed

        changes = self._changes
        try:
            async with asyncio.timeout(self._bounds.listing):
                tools = await listed(live, self.spec.name, self._bounds)
        except TimeoutError:
            live.suspect = True
            reason = f"it did not list its tools within {self._bounds.listing:g} s"
            raise failure.unreachable(self.spec.name, reason, 0.0) from None
        except faults.ANSWERED as error:
            live.suspect = True
            reason = live.reason if live.over else self.spec.hiding(faults.words(error, self._bounds))
            raise failure.unreachable(self.spec.name, reason, 0.0) from error
        if changes == self._changes:
            self._tools = tools
            self._listed_at = self._clock.monotonic()
        return tools
