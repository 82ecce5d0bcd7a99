"""The MCP servers of agents: what an entry of a definition means, and the connections of sessions to it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from managedagents.v1 import agent_pb2
from managedagents_server.tools.base import Place
from managedagents_server.tools.mcp.connection import McpConnection
from managedagents_server.tools.mcp.connections import McpConnections, McpKey
from managedagents_server.tools.mcp.failure import McpFailure
from managedagents_server.tools.mcp.operator_file import Configured
from managedagents_server.tools.mcp.spec import Command, Http, Launcher, McpServerSpec, Running, Stdio
from managedagents_server.tools.sandbox import Sandbox
from managedagents_server.words.addresses import Addresses, AddressNotAllowed
from managedagents_server.words.clock import Clock
from managedagents_server.words.urls import canonical, host_of


@dataclass(frozen=True, slots=True)
class Key:
    """The operator's, and where alone it is sent."""

    key: str = field(repr=False)
    base_url: str
    """Canonical. Empty: to no MCP server."""

    def fits(self, url: str) -> bool:
        here = canonical(url)
        # What is reached may not be what is written where a path goes up again.
        goes_up = ".." in unquote(urlsplit(url).path).split("/")
        return bool(self.base_url) and not goes_up and (here == self.base_url or here.startswith(f"{self.base_url}/"))


Keys = Callable[[str], Key | None]
"""By the name of a credential, as it stands now. None: there is none of that name."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an entry: its field, and why."""

    field: str
    why: str


class McpServers:
    """To be entered before a session uses it. Leaving it ends all connections."""

    def __init__(
        self, sandbox: Sandbox, addresses: Addresses, configured: Mapping[str, Configured], keys: Keys, clock: Clock
    ) -> None:
        """`addresses`: those that a definition may name by itself. `configured`: by name, the operator's own."""
        self._sandbox = sandbox
        self._addresses = addresses
        self._configured = configured
        self._keys = keys
        self._connections = McpConnections(clock=clock)

    async def __aenter__(self) -> Self:
        await self._connections.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connections.__aexit__(kind, error, trace)

    def fault(self, server: agent_pb2.McpServer) -> Fault | None:
        """Why nobody could reach it here, as far as that is known without trying."""
        match server.WhichOneof("transport"):
            case "configured":
                configured = self._configured.get(server.configured)
                if configured is None:
                    return Fault("configured", f"this server has no MCP server named {server.configured!r}")
                return self._fault_of_key("configured", configured.credential, configured.url)
            case "http":
                try:
                    self._addresses.check_host(host_of(server.http.url))
                except AddressNotAllowed as fault:
                    return Fault("http.url", str(fault))
                return self._fault_of_key("http.credential", server.http.credential, server.http.url)
            case _:
                return None

    def _fault_of_key(self, field: str, name: str, url: str) -> Fault | None:
        if not name:
            return None
        key = self._keys(name)
        if key is None:
            return Fault(field, f"there is no credential {name!r}")
        if not key.fits(url):
            return Fault(field, f"the credential {name!r} is not for this address")
        return None

    def connections(
        self, servers: Sequence[agent_pb2.McpServer], session: str, place: Place
    ) -> dict[str, McpConnection | McpFailure]:
        """Those of a session, by the names that its agent has for the servers. Opens none yet."""
        found: dict[str, McpConnection | McpFailure] = {}
        for server in servers:
            fault = self.fault(server)
            if fault is None:
                spec = McpServerSpec(server.name, self._reached(server, place))
                found[server.name] = self._connections.connection(McpKey(session, server.name), spec)
            else:
                found[server.name] = McpFailure(f"The MCP server {server.name} cannot be used: {fault.why}.")
        return found

    def rest(self, session: str) -> None:
        """Closes the connections of a session, in time. The next need opens others."""
        self._connections.rest(session)

    async def closed(self, session: str) -> None:
        """Returns when nothing runs any more of those that were closed."""
        await self._connections.closed(session)

    def _reached(self, server: agent_pb2.McpServer, place: Place) -> Stdio | Http:
        match server.WhichOneof("transport"):
            case "stdio":
                given = server.stdio
                return Stdio(given.command, tuple(given.args), dict(given.env), launcher=self._launcher(place))
            case "http":
                headers = self._headers(server.http.credential)
                return Http(server.http.url, headers, server.http.sse, addresses=self._addresses)
            case _:
                configured = self._configured[server.configured]
                if configured.url:
                    return Http(configured.url, self._headers(configured.credential), configured.sse)
                return Stdio(configured.command, configured.args, configured.env, configured.cwd)

    def _headers(self, credential: str) -> dict[str, str]:
        key = self._keys(credential) if credential else None
        return {} if key is None else {"authorization": f"Bearer {key.key}"}

    def _launcher(self, place: Place) -> Launcher:
        def launched(command: Command, *, line_bytes: int, ends_within: float) -> AbstractAsyncContextManager[Running]:
            # What the session's own commands find around them is not the server's: its definition says what it gets.
            own = replace(place, env=command.env, working_dir="")
            return self._sandbox.opened(own, command.argv, line_bytes=line_bytes, ends_within=ends_within)

        return launched
