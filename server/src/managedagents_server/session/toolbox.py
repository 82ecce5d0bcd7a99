"""What an agent's model may call, by name: whose tool it is, who runs it and whether it may. Recorded here once, never
guessed from a name."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from managedagents.v1 import agent_event_pb2, agent_pb2
from managedagents_server.providers.base import ToolSpec
from managedagents_server.tools.base import Tool
from managedagents_server.tools.inputs import BadInput, Schema
from managedagents_server.tools.mcp import McpConnection, McpTool

_ANY_OBJECT = '{"type":"object"}'

_DECISIONS = {
    agent_pb2.PERMISSION_MODE_AUTO_APPROVE: agent_event_pb2.PERMISSION_DECISION_ALLOW,
    agent_pb2.PERMISSION_MODE_PROMPT: agent_event_pb2.PERMISSION_DECISION_ASK,
    agent_pb2.PERMISSION_MODE_DENY: agent_event_pb2.PERMISSION_DECISION_DENY,
}


@dataclass(frozen=True, slots=True)
class Custom:
    """The client answers it, and decides on it."""

    spec: ToolSpec


@dataclass(frozen=True, slots=True)
class Builtin:
    spec: ToolSpec
    tool: Tool
    schema: Schema
    decision: agent_event_pb2.PermissionDecision.ValueType
    at_client: bool


@dataclass(frozen=True, slots=True)
class Mcp:
    """A tool of an MCP server, as the session's connection lists it now."""

    spec: ToolSpec
    tool: McpTool
    connection: McpConnection
    schema: Schema
    decision: agent_event_pb2.PermissionDecision.ValueType

    @classmethod
    def of(cls, tool: McpTool, connection: McpConnection, definition: agent_pb2.AgentDefinition) -> "Mcp":
        declared = tool.declaration
        return cls(
            ToolSpec(declared.name, declared.description, tool.shown_schema_json),
            tool,
            connection,
            # The server checks inputs against its own schema, too; a pattern in that might take hours here.
            Schema(tool.shown_schema_json, patterns=False),
            _of_mcp(definition, tool.server, declared.name),
        )


Entry = Custom | Builtin | Mcp


class Toolbox:
    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries
        self.specs: Sequence[ToolSpec] = [entry.spec for entry in entries.values()]
        """In the order of the definition: the same bytes go out with every request."""

    @classmethod
    def of(cls, definition: agent_pb2.AgentDefinition, builtins: Mapping[str, Tool]) -> "Toolbox":
        """`builtins`: by the field of Tool that declares them."""
        at_client = definition.tool_host == agent_pb2.TOOL_HOST_CLIENT
        entries: dict[str, Entry] = {}
        for tool in definition.tools:
            kind = tool.WhichOneof("tool")
            if kind is None:
                continue
            if kind == "custom":
                custom = tool.custom
                schema = custom.input_schema_json or _ANY_OBJECT
                entries[custom.name] = Custom(ToolSpec(custom.name, custom.description, schema))
                continue
            declared = builtins[kind].declaration
            entries[declared.name] = Builtin(
                ToolSpec(declared.name, declared.description, declared.input_schema_json),
                builtins[kind],
                Schema(declared.input_schema_json),
                decision(definition.permission_policy, declared.name),
                at_client,
            )
        return cls(entries)

    def with_mcp(self, tools: Collection[Mcp]) -> "Toolbox":
        """A name that the definition itself gives stays what it is."""
        if not tools:
            return self
        more = {tool.spec.name: tool for tool in tools if tool.spec.name not in self._entries}
        return Toolbox({**self._entries, **more})

    def get(self, name: str) -> Entry | None:
        """None: no tool of the agent has this name."""
        return self._entries.get(name)


def why_not(name: str, input_json: str, entry: Entry | None) -> str:
    """Why a call is not to run, in words for the model. Empty: it may."""
    if entry is None:
        return f"There is no tool named {name}."
    if isinstance(entry, Custom):
        return ""
    if entry.decision == agent_event_pb2.PERMISSION_DECISION_DENY:
        return f"The tool {name} may not be used here: its permission policy denies it."
    try:
        entry.schema.read(input_json)
    except BadInput as fault:
        return str(fault)
    return ""


def _of_mcp(
    definition: agent_pb2.AgentDefinition, server: str, name: str
) -> agent_event_pb2.PermissionDecision.ValueType:
    """Where nothing is said, somebody is asked: what a server offers was not there to be judged at Create."""
    approved = any(entry.auto_approve for entry in definition.mcp_servers if entry.name == server)
    mode = definition.permission_policy.tools.get(name)
    if mode is None:
        mode = agent_pb2.PERMISSION_MODE_AUTO_APPROVE if approved else definition.permission_policy.default
    return _DECISIONS.get(mode, agent_event_pb2.PERMISSION_DECISION_ASK)


def decision(policy: agent_pb2.PermissionPolicy, name: str) -> agent_event_pb2.PermissionDecision.ValueType:
    """On a built-in tool. Where the policy does not say, it is allowed."""
    mode = policy.tools.get(name) or policy.default
    return _DECISIONS.get(mode, agent_event_pb2.PERMISSION_DECISION_ALLOW)
