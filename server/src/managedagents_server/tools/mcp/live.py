"""One open connection to a server, from the start of its process or its first request to its end.

The library's connection must be entered and left by one task, and may end by cancelling what stands within it: so one
task owns it and does nothing else, and those who call through it are never within it. Imports the library.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Literal

import mcp_types
from mcp import Client, MCPError
from mcp.client import ClientSession, IncomingMessage
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from managedagents_server.tools.base import Outcome, failed
from managedagents_server.tools.mcp import faults, results
from managedagents_server.tools.mcp.bounds import McpBounds
from managedagents_server.tools.mcp.changes import told_of_changes
from managedagents_server.tools.mcp.heard import Heard, Streams
from managedagents_server.tools.mcp.http import Refusals, http
from managedagents_server.tools.mcp.spec import McpServerSpec, Stdio
from managedagents_server.tools.mcp.stdio import LastWords, stdio
from managedagents_server.words.clock import Clock

logger = logging.getLogger(__name__)

_NEWER = frozenset({mcp_types.UNSUPPORTED_PROTOCOL_VERSION, mcp_types.METHOD_NOT_FOUND})
"""Answers to the old handshake of servers that know only the protocol from 2026-07-28 on."""
_MESSAGE = 500
"""Characters of a progress message that are passed on."""

OnProgress = Callable[[float, float | None, str | None], None]


class Live:
    def __init__(self, spec: McpServerSpec, bounds: McpBounds, clock: Clock, on_change: Callable[[], None]) -> None:
        """`on_change`: the server says that its tools are others now."""
        self._spec = spec
        self._bounds = bounds
        self._clock = clock
        self._on_change = on_change
        self._session: ClientSession | None = None
        self._ready = asyncio.Event()
        self._end = asyncio.Event()
        self._last_words = LastWords()
        self._refusals = Refusals(self._forgotten, self._doubted)
        self._reason = "it closed the connection"
        self._heard_at = 0.0
        self._is_asked_to_end = False
        self.answered = False
        """A request, since it stands."""
        self.suspect = False
        """It left a request without an answer: it is tried before it is used again."""
        self.over_at = 0.0
        """Monotonic time, once `run` has returned."""

    @property
    def stood(self) -> bool:
        return self._session is not None

    @property
    def over(self) -> bool:
        return self._end.is_set()

    @property
    def reason(self) -> str:
        """Why it ended, or never stood."""
        last = str(self._last_words)[-faults.LONGEST :]
        return self._spec.hiding(f"{self._reason}; its last words: {last}" if last else self._reason)

    async def run(self) -> None:
        """Opens it, and returns when it has ended: by itself, or after `end`."""
        try:
            if not await self._stands("legacy"):
                await self._stands("auto")
        except Exception as error:
            # Whatever it is, it is the end of this connection and of nothing else.
            if not (self.over and faults.is_closed(error)) and not (self.stood and self._is_asked_to_end):
                words = faults.words(error, self._bounds)
                if not words:
                    logger.exception("a connection to an MCP server failed", extra={"mcp_server": self._spec.name})
                status = f" (HTTP {self._refusals.status})" if self._refusals.status else ""
                self._reason = (words or "the connection failed") + status
        finally:
            self._end.set()
            self.over_at = self._clock.monotonic()
            self._ready.set()

    def end(self, reason: str = "") -> None:
        """`reason`: for those who wait for it. Empty: the one that it has."""
        self._is_asked_to_end = True
        self._reason = reason or self._reason
        self._end.set()

    async def ready(self) -> bool:
        """Whether it stands, as soon as that is known."""
        await self._ready.wait()
        return self.stood and not self.over

    async def healthy(self) -> bool:
        """Whether it may be used. One that was silent for long, or left a request without an answer, is asked."""
        if not await self.ready():
            return False
        if not self.suspect and self._clock.monotonic() - self._heard_at < self._bounds.idle:
            return True
        refused = self._refusals.seen
        try:
            async with asyncio.timeout(self._bounds.ping):
                await self._ping()
        except TimeoutError:
            self._reason = "it does not answer"
            return False
        except faults.ANSWERED as error:
            # Any answer will do, but this one may be the library's own, or not for this connection.
            if faults.is_closed(error) or self._refusals.seen > refused:
                return False
        self.suspect = False
        return not self.over

    async def page(self, cursor: str | None) -> tuple[list[mcp_types.Tool], str | None]:
        """Of the list of tools. Raises what is in `faults.ANSWERED`."""
        capabilities = self._standing().server_capabilities
        if capabilities is None or capabilities.tools is None:
            return [], None
        page = await self._standing().list_tools(params=mcp_types.PaginatedRequestParams(cursor=cursor))
        self.answered = True
        return page.tools, page.next_cursor

    async def call(
        self, tool: str, arguments: Mapping[str, Any], on_progress: OnProgress, takes: Collection[str]
    ) -> Outcome:
        """Cancelling it tells the server so. Not the library's `call_tool`: that checks results against schemas which
        the server wrote, in the event loop, and a regular expression there may take hours."""

        async def told(progress: float, total: float | None, message: str | None) -> None:
            on_progress(progress, total, message[:_MESSAGE] if message else None)

        params = mcp_types.CallToolRequestParams(name=tool, arguments=dict(arguments))
        try:
            result = await self._standing().send_request(
                mcp_types.CallToolRequest(params=params), mcp_types.CallToolResult, progress_callback=told
            )
        except faults.ANSWERED as error:
            return self._failed(error)
        self.answered = True
        return results.outcome(result, takes, self._bounds.result_bytes)

    def _failed(self, error: Exception) -> Outcome:
        server = self._spec.name
        if self.over:
            return failed(
                f"The MCP server {server} was lost during the call: {self.reason}. Nobody knows whether the call took "
                "effect. The next call opens a new connection."
            )
        words = self._spec.hiding(faults.words(error, self._bounds))
        if isinstance(error, MCPError) and error.code == mcp_types.HEADER_MISMATCH:
            self._on_change()
        if faults.is_closed(error):
            self.suspect = True
            return failed(
                f"The MCP server {server} did not end the call: {words}. Nobody knows whether the call took effect."
            )
        self.answered = True
        return failed(f"The MCP server {server} failed the call: {words}")

    def _standing(self) -> ClientSession:
        """It can still be asked when it is over, and then says so."""
        assert self._session is not None
        return self._session

    async def _ping(self) -> None:
        version_spoken = self._standing().protocol_version
        if version_spoken in MODERN_PROTOCOL_VERSIONS:
            await self._standing().send_discover(version_spoken)
        else:
            await self._standing().send_ping()

    async def _stands(self, mode: Literal["legacy", "auto"]) -> bool:
        """Returns when it has ended. False: it never stood, for it wants to be spoken to in a newer way."""
        try:
            async with (
                asyncio.timeout(self._bounds.connect) as limit,
                Client(
                    self._transport(),
                    mode=mode,
                    cache=None,
                    message_handler=self._hear,
                    client_info=mcp_types.Implementation(name="managedagents", version=version("managedagents-server")),
                ) as client,
            ):
                limit.reschedule(None)
                self._session = client.session
                self._heard()
                self._ready.set()
                async with told_of_changes(client, self._on_change):
                    await self._end.wait()
                limit.reschedule(asyncio.get_running_loop().time() + self._bounds.close)
        except Exception as error:
            is_newer = any(isinstance(leaf, MCPError) and leaf.code in _NEWER for leaf in faults.leaves(error))
            if mode == "legacy" and is_newer and not self.stood:
                self._end.clear()
                return False
            raise
        return True

    @asynccontextmanager
    async def _transport(self) -> AsyncIterator[Streams]:
        reached = self._spec.reached
        opened = (
            stdio(reached, self._bounds, self._last_words)
            if isinstance(reached, Stdio)
            else http(reached, self._bounds, self._refusals)
        )
        async with opened as (incoming, outgoing):
            yield Heard(incoming, self._heard, self._end.set), outgoing

    def _heard(self) -> None:
        self._heard_at = self._clock.monotonic()

    def _forgotten(self) -> None:
        self._reason = "it does not know this connection any more"
        self._end.set()

    def _doubted(self) -> None:
        self.suspect = True

    async def _hear(self, message: IncomingMessage) -> None:
        if isinstance(message, mcp_types.ToolListChangedNotification):
            self._on_change()
        elif isinstance(message, Exception):
            # After this nobody knows which request the rest of what it says answers.
            self._reason = faults.words(message, self._bounds)
            self._end.set()
