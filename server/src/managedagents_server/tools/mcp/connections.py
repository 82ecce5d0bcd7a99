"""All connections to MCP servers: each is one session's own, and none outlives this."""

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from managedagents_server.tools.mcp.bounds import McpBounds
from managedagents_server.tools.mcp.connection import McpConnection
from managedagents_server.tools.mcp.spec import McpServerSpec
from managedagents_server.words.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class McpKey:
    """A server keeps a state for each connection: two sessions never share one."""

    session: str
    server: str


class McpConnections:
    """To be entered before it is used. Leaving it ends all connections; so does a cancellation of who entered."""

    def __init__(self, bounds: McpBounds | None = None, clock: Clock | None = None) -> None:
        self._bounds = bounds or McpBounds()
        self._clock = clock or SystemClock()
        self._tasks = asyncio.TaskGroup()
        self._kept: dict[McpKey, McpConnection] = {}

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.aclose()
        finally:
            await self._tasks.__aexit__(kind, error, trace)

    def connection(self, key: McpKey, spec: McpServerSpec) -> McpConnection:
        """Opens nothing yet. Where the key had another server, say one with an older token, that one is closed."""
        kept = self._kept.get(key)
        if kept is not None and kept.spec == spec:
            return kept
        if kept is not None:
            self._tasks.create_task(kept.close())
        made = self._kept[key] = McpConnection(spec, self._tasks, self._bounds, self._clock)
        return made

    async def close(self, key: McpKey) -> None:
        """Returns when nothing of it runs any more. The next need opens another one."""
        if (kept := self._kept.pop(key, None)) is not None:
            await kept.close()

    async def rest(self, session: str) -> None:
        """Closes all that the session has."""
        await self._close([key for key in self._kept if key.session == session])

    async def aclose(self) -> None:
        await self._close(list(self._kept))

    async def _close(self, keys: list[McpKey]) -> None:
        async with asyncio.TaskGroup() as closing:
            for key in keys:
                closing.create_task(self.close(key))
