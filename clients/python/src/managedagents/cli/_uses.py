"""Tool uses, as an event logs one and as a session waits for one, in the words of the terminal."""

from dataclasses import dataclass

from managedagents.v1 import agent_event_pb2, event_pb2, session_pb2


@dataclass(frozen=True, slots=True)
class Use:
    """A tool use that an event logs."""

    id: str
    name: str
    """Of an MCP server's tool: SERVER/NAME."""
    input_json: str
    asks: bool
    """It waits for a confirmation."""


def use_of(event: event_pb2.SessionEvent) -> Use | None:
    """None: the event logs something else."""
    if event.HasField("agent_custom_tool_use"):
        custom = event.agent_custom_tool_use
        return Use(custom.custom_tool_use_id, custom.name, custom.input_json, asks=False)
    if event.HasField("agent_tool_use"):
        own = event.agent_tool_use
        return Use(own.tool_use_id, own.name, own.input_json, _asks(own))
    if event.HasField("agent_mcp_tool_use"):
        mcp = event.agent_mcp_tool_use
        return Use(mcp.tool_use_id, f"{mcp.server_name}/{mcp.name}", mcp.input_json, _asks(mcp))
    return None


def name_of(action: session_pb2.PendingAction) -> str:
    """The tool's name, as `Use` has it."""
    return f"{action.server_name}/{action.name}" if action.server_name else action.name


def is_asking(action: session_pb2.PendingAction) -> bool:
    """It waits for a confirmation, not for an answer."""
    return action.kind == session_pb2.PENDING_ACTION_KIND_TOOL_CONFIRMATION


def _asks(use: agent_event_pb2.AgentToolUse | agent_event_pb2.AgentMcpToolUse) -> bool:
    return use.permission == agent_event_pb2.PERMISSION_DECISION_ASK
