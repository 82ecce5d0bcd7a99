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
        self._closing: dict[asyncio.Task[None], str] = {}
        """With their sessions."""

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
            self._let_go(key)
        made = self._kept[key] = McpConnection(spec, self._tasks, self._bounds, self._clock)
        return made

    def rest(self, session: str) -> None:
        """Closes all that the session has, in time."""
        for key in [key for key in self._kept if key.session == session]:
            self._let_go(key)

    async def closed(self, session: str) -> None:
        """Returns when nothing runs any more of what the session had and was to be closed."""
        closing = [task for task, whose in self._closing.items() if whose == session]
        if closing:
            await asyncio.wait(closing)

    async def aclose(self) -> None:
        for key in list(self._kept):
            self._let_go(key)
        if self._closing:
            await asyncio.wait(self._closing)

    def _let_go(self, key: McpKey) -> None:
        task = self._tasks.create_task(self._kept.pop(key).close())
        self._closing[task] = key.session
        task.add_done_callback(self._closing.pop)
