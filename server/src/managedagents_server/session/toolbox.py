"""What an agent's model may call, by name: whose tool it is, who runs it and whether it may. Recorded here once, never
guessed from a name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from managedagents.v1 import agent_event_pb2, agent_pb2
from managedagents_server.providers.base import ToolSpec
from managedagents_server.tools.base import Tool
from managedagents_server.tools.inputs import Schema

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


Entry = Custom | Builtin


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

    def get(self, name: str) -> Entry | None:
        """None: no tool of the agent has this name."""
        return self._entries.get(name)


def decision(policy: agent_pb2.PermissionPolicy, name: str) -> agent_event_pb2.PermissionDecision.ValueType:
    """On a built-in tool. Where the policy does not say, it is allowed."""
    mode = policy.tools.get(name) or policy.default
    return _DECISIONS.get(mode, agent_event_pb2.PERMISSION_DECISION_ALLOW)
