"""What the MCP servers of a session offer, as they say it before each request: they may change it at any time."""

import asyncio
from dataclasses import dataclass, field

from managedagents.v1 import status_event_pb2
from managedagents_server.session import events
from managedagents_server.session.around import Around
from managedagents_server.session.session import Session
from managedagents_server.session.toolbox import Mcp
from managedagents_server.tools.mcp import McpConnection, McpFailure, McpTool


@dataclass(slots=True)
class Offered:
    """By one server, when it was last heard of."""

    tools: tuple[McpTool, ...] = ()
    entries: list[Mcp] = field(default_factory=list)
    failure: str = ""
    """Why it cannot be used now. Empty: it can."""
    told_in: int = 0
    """The turn in which the log was last told so."""


async def refresh(session: Session, around: Around) -> None:
    """The session's toolbox has the tools of its servers after this. Those of one that cannot be used now are the last
    that are known of it: a call of them tries it again. Raises SkillError."""
    definition = session.definition
    if not definition.mcp_servers:
        return
    connections = await around.tools.mcp(definition, session.session_id, session.key, session.environment)
    async with asyncio.TaskGroup() as tasks:
        for name, connection in connections.items():
            tasks.create_task(_hear(session, name, connection))
    entries = [entry for name in connections for entry in session.offered[name].entries]
    session.toolbox = session.agent.toolbox.with_mcp(entries)


async def _hear(session: Session, name: str, connection: McpConnection | McpFailure) -> None:
    offered = session.offered.setdefault(name, Offered())
    try:
        if isinstance(connection, McpFailure):
            raise connection
        tools = await connection.list_tools()
    except McpFailure as failure:
        offered.failure = str(failure)
        return
    offered.failure = ""
    if tools is not offered.tools or any(entry.connection is not connection for entry in offered.entries):
        # A server may have hundreds, with schemas of many kilobytes.
        offered.entries = await asyncio.to_thread(
            lambda: [Mcp.of(tool, connection, session.definition) for tool in tools]
        )
        offered.tools = tools


def tell(session: Session) -> None:
    """Logs, once a turn, which servers cannot be used: the turn goes on without them."""
    turn = session.state.turn
    untold = [offered for offered in session.offered.values() if offered.failure and offered.told_in != turn]
    for offered in untold:
        offered.told_in = turn
    code, goes_on = status_event_pb2.ERROR_CODE_TOOL_UNAVAILABLE, status_event_pb2.ERROR_NEXT_TURN_GOES_ON
    if untold:
        session.append([events.error(turn, code, offered.failure, goes_on) for offered in untold])


def why_unusable(session: Session, server: str) -> str:
    """Empty: it can be used, as far as is known."""
    offered = session.offered.get(server)
    return offered.failure if offered is not None else ""
