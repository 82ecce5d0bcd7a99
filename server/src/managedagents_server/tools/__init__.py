"""The hands: what an agent's model may call at the server. base.py says what a session gives a tool and gets of it."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from managedagents.v1 import agent_pb2, session_pb2
from managedagents_server.tools.base import Bounds, Place, Tool
from managedagents_server.tools.bash import Bash
from managedagents_server.tools.code_execution import CodeExecution
from managedagents_server.tools.filesystem import Filesystem
from managedagents_server.tools.mcp import McpConnection, McpFailure
from managedagents_server.tools.mcp.operator_file import Configured, McpServersFault
from managedagents_server.tools.mcp.operator_file import read as read_mcp_servers
from managedagents_server.tools.mcp.servers import Key, Keys, McpServers
from managedagents_server.tools.sandbox import Mode, Sandbox
from managedagents_server.tools.skills import SkillError, Skills
from managedagents_server.tools.web.engines import Keyless, SearXNG
from managedagents_server.tools.web.fetch import WebFetch
from managedagents_server.tools.web.search import WebSearch
from managedagents_server.words.addresses import Addresses
from managedagents_server.words.clock import Clock, SystemClock
from managedagents_server.words.errors import InvalidRequest, ToolUnusable, Violation
from managedagents_server.words.limits import Limits
from managedagents_server.words.mcp_names import may_be_of

__all__ = ["Key", "McpServersFault", "Mode", "SkillError", "Tools", "read_mcp_servers"]

_SANDBOXED = frozenset({"bash", "filesystem", "code_execution"})


class Tools:
    """All that is built in and where it works, and the ways to MCP servers. To be entered before a session uses it."""

    def __init__(
        self,
        sandbox: Mode,
        workspaces: Path,
        addresses: Addresses,
        searxng: str | None,
        skills: Path | None,
        limits: Limits,
        *,
        mcp_servers: Mapping[str, Configured] | None = None,
        keys: Keys = lambda _: None,
        clock: Clock | None = None,
    ) -> None:
        """`workspaces`: a folder for the sessions' folders; made when the first of them is needed.
        `searxng`: the address of the search engine; None: public ones. `skills`: a folder of skills; None: there are
        none. `mcp_servers`: the operator's, by name. `keys`: his credentials for MCP servers at a URL."""
        self._sandbox = Sandbox(sandbox)
        self._skills = Skills(skills)
        self._workspaces = workspaces
        self._limits = limits
        self._missing: str | None = None
        self.builtins: dict[str, Tool] = {
            "bash": Bash(self._sandbox),
            "filesystem": Filesystem(self._sandbox),
            "code_execution": CodeExecution(self._sandbox),
            "web_fetch": WebFetch(addresses),
            "web_search": WebSearch(SearXNG(searxng) if searxng else Keyless()),
        }
        """By the field of Tool that declares them, which is also their name."""
        self._mcp = McpServers(self._sandbox, addresses, mcp_servers or {}, keys, clock or SystemClock())

    async def __aenter__(self) -> Self:
        await self._mcp.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._mcp.__aexit__(kind, error, trace)

    async def check(self, definition: agent_pb2.AgentDefinition, part: str) -> None:
        """Whether the tools can run here, and the skills are there; `part`: what of the request the tools stand in.
        Raises ToolUnusable."""
        for index, skill in enumerate(definition.skills):
            field = f"definition.skills[{index}].skill_id"
            if not _can_read(definition):
                raise _unusable(
                    field, "a skill is read by filesystem or bash at the server; give the agent one of them"
                )
            try:
                await asyncio.to_thread(self._skills.check, skill.skill_id)
            except SkillError as fault:
                raise _unusable(field, str(fault)) from None
        _check_names(definition, part)
        for index, server in enumerate(definition.mcp_servers):
            field = f"definition.mcp_servers[{index}]"
            if (wrong := self._mcp.fault(server)) is not None:
                raise _unusable(f"{field}.{wrong.field}", wrong.why)
            if server.HasField("stdio") and (missing := await self._what_is_missing()):
                raise _unusable(f"{field}.stdio", missing)
        if definition.tool_host == agent_pb2.TOOL_HOST_CLIENT:
            return
        for index, tool in enumerate(definition.tools):
            kind = tool.WhichOneof("tool")
            if kind in _SANDBOXED and (missing := await self._what_is_missing()):
                raise _unusable(f"{part}[{index}].{kind}", missing)

    async def _what_is_missing(self) -> str:
        """Looked at until nothing is: what is installed meanwhile counts."""
        if self._missing != "":
            self._missing = await self._sandbox.missing()
        return self._missing

    async def system(self, definition: agent_pb2.AgentDefinition) -> str:
        """The system prompt, with what the model is told of the skills. Raises SkillError."""
        ids = [skill.skill_id for skill in definition.skills]
        if not ids:
            return definition.system
        told = await asyncio.to_thread(self._told, ids)
        return f"{definition.system}\n\n{told}" if definition.system else told

    def _told(self, ids: list[str]) -> str:
        # Without a sandbox the folders are where they are.
        seen = None if self._sandbox.mode is Mode.BUBBLEWRAP else self._skills.folders(ids)
        return self._skills.prompt(ids, None if seen is None else {name: str(path) for name, path in seen.items()})

    async def place(
        self, definition: agent_pb2.AgentDefinition, session_id: str, session: int, environment: bytes | None
    ) -> Place:
        """`environment`: a serialized EnvironmentConfig. None: there is none. Raises SkillError."""
        ids = [skill.skill_id for skill in definition.skills]
        folders = await asyncio.to_thread(self._skills.folders, ids) if ids else {}
        given = session_pb2.EnvironmentConfig.FromString(environment or b"")
        asked, most = given.limits, self._limits
        bounds = Bounds(
            wall_time=asked.wall_time.ToNanoseconds() / 1e9 or most.tool_wall_time,
            cpu_time=asked.cpu_time.ToNanoseconds() / 1e9 or most.tool_cpu_time,
            memory_bytes=asked.memory_bytes or most.tool_memory_bytes,
            processes=asked.processes or most.tool_processes,
            file_bytes=asked.file_bytes or most.tool_file_bytes,
            disk_bytes=asked.disk_bytes or most.workspace_bytes,
        )
        return Place(
            workspace=self._workspaces / session_id,
            owner=session,
            env=dict(given.env),
            working_dir=given.working_dir,
            network=given.network,
            bounds=bounds,
            skills=folders,
        )

    async def mcp(
        self, definition: agent_pb2.AgentDefinition, session_id: str, session: int, environment: bytes | None
    ) -> Mapping[str, McpConnection | McpFailure]:
        """The session's connections to its agent's MCP servers, by their names; opens none yet. Raises SkillError."""
        if not definition.mcp_servers:
            return {}
        place = await self.place(definition, session_id, session, environment)
        return self._mcp.connections(definition.mcp_servers, session_id, place)

    def rest(self, session_id: str) -> None:
        """Ends what goes on running for a session between its calls. It begins anew with the next need."""
        self._mcp.rest(session_id)

    async def remove(self, session_id: str) -> None:
        """The workspace of a session of which no call runs any more, where it has one."""
        self.rest(session_id)
        await self._mcp.closed(session_id)
        await self._sandbox.remove(Place(self._workspaces / session_id, owner=1))


def _can_read(definition: agent_pb2.AgentDefinition) -> bool:
    kinds = {tool.WhichOneof("tool") for tool in definition.tools}
    return definition.tool_host != agent_pb2.TOOL_HOST_CLIENT and bool(kinds & {"bash", "filesystem"})


def _check_names(definition: agent_pb2.AgentDefinition, part: str) -> None:
    """A custom tool that might hide one of an MCP server, whose tools nobody knows yet. Raises InvalidRequest."""
    for index, tool in enumerate(definition.tools):
        for server in definition.mcp_servers:
            if tool.HasField("custom") and may_be_of(tool.custom.name, server.name):
                raise InvalidRequest.of(
                    Violation(
                        f"{part}[{index}].custom.name",
                        f"must not begin as the tools of the MCP server {server.name} do",
                    )
                )


def _unusable(field: str, why: str) -> ToolUnusable:
    return ToolUnusable(f"{field}: {why}", field=field)
