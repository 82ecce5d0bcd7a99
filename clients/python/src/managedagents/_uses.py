"""A tool use that the session's client is asked about, and the events that answer it."""

from dataclasses import dataclass
from typing import Literal

from managedagents.v1 import agent_event_pb2, content_pb2, event_pb2, session_pb2, user_event_pb2

Kind = Literal["custom", "built-in", "mcp"]


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool use as its event says it; nothing is guessed from a name."""

    id: str
    name: str
    input_json: str
    """As the model wrote it; may be no JSON at all."""
    kind: Kind
    needs_confirmation: bool
    """It waits for user.tool_confirmation."""
    at_client: bool
    """The client answers it with its result (after the confirmation, where it needs one)."""


def use_of(event: event_pb2.SessionEvent) -> ToolUse | None:
    """The tool use that the event logs. None: it logs something else."""
    if event.HasField("agent_custom_tool_use"):
        custom = event.agent_custom_tool_use
        return ToolUse(custom.custom_tool_use_id, custom.name, custom.input_json, "custom", False, True)
    if event.HasField("agent_tool_use"):
        own = event.agent_tool_use
        at_client = own.runs_at_client and own.permission != agent_event_pb2.PERMISSION_DECISION_DENY
        return ToolUse(own.tool_use_id, own.name, own.input_json, "built-in", _asks(own), at_client)
    if event.HasField("agent_mcp_tool_use"):
        mcp = event.agent_mcp_tool_use
        return ToolUse(mcp.tool_use_id, f"{mcp.server_name}/{mcp.name}", mcp.input_json, "mcp", _asks(mcp), False)
    return None


def use_that_waits(action: session_pb2.PendingAction) -> ToolUse:
    """The tool use that a session waits for, as Status tells it."""
    custom = action.kind == session_pb2.PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT
    asks = action.kind == session_pb2.PENDING_ACTION_KIND_TOOL_CONFIRMATION
    name = action.name
    kind: Kind = "custom" if custom else "built-in"
    if action.server_name:
        name, kind = f"{action.server_name}/{name}", "mcp"
    return ToolUse(action.tool_use_id, name, action.input_json, kind, asks, custom or action.runs_at_client)


def result_event(
    use: ToolUse, content: tuple[content_pb2.Content, ...], is_error: bool = False
) -> user_event_pb2.UserEvent:
    """The event that answers the use with its result."""
    if use.kind == "custom":
        custom = user_event_pb2.UserCustomToolResult(custom_tool_use_id=use.id, content=content, is_error=is_error)
        return user_event_pb2.UserEvent(user_custom_tool_result=custom)
    result = user_event_pb2.UserToolResult(tool_use_id=use.id, content=content, is_error=is_error)
    return user_event_pb2.UserEvent(user_tool_result=result)


def confirmation_event(use_id: str, decision: bool | str) -> user_event_pb2.UserEvent:
    """The event that allows the use, or denies it: False, or a text that the model is told."""
    allow = decision is True
    confirmation = user_event_pb2.UserToolConfirmation(
        tool_use_id=use_id,
        decision=user_event_pb2.TOOL_CONFIRMATION_ALLOW if allow else user_event_pb2.TOOL_CONFIRMATION_DENY,
        deny_message=decision if isinstance(decision, str) else "",
    )
    return user_event_pb2.UserEvent(user_tool_confirmation=confirmation)


def _asks(use: agent_event_pb2.AgentToolUse | agent_event_pb2.AgentMcpToolUse) -> bool:
    return use.permission == agent_event_pb2.PERMISSION_DECISION_ASK
