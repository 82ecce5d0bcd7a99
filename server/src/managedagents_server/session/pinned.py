"""An agent as one session runs it: one version of it, with what the session overrides."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from managedagents.v1 import agent_pb2, session_pb2
from managedagents_server.session.toolbox import Toolbox
from managedagents_server.tools.base import Tool


@dataclass(frozen=True, slots=True)
class Pinned:
    key: int
    """Short for the agent in the log."""
    agent_id: str
    version: int
    definition: agent_pb2.AgentDefinition
    """In force for the session. An inline key is present in it, and empty."""
    toolbox: Toolbox
    """What the definition lets the model call."""
    own_model: bool = False
    """The model is the session's own, and so is its key."""
    own_bytes: int = 0
    """The size of a definition that is the session's own; 0: it is shared by all sessions of the version."""

    def overridden(self, overrides: session_pb2.SessionOverrides, builtins: Mapping[str, Tool]) -> "Pinned":
        definition = agent_pb2.AgentDefinition()
        definition.CopyFrom(self.definition)
        if overrides.HasField("model"):
            definition.model.CopyFrom(overrides.model)
        if overrides.HasField("system"):
            definition.system = overrides.system
        if overrides.HasField("tools"):
            del definition.tools[:]
            definition.tools.extend(overrides.tools.tools)
        return replace(
            self,
            definition=definition,
            toolbox=Toolbox.of(definition, builtins) if overrides.HasField("tools") else self.toolbox,
            own_model=overrides.HasField("model"),
            own_bytes=definition.ByteSize(),
        )


NOBODY = Pinned(0, "", 0, agent_pb2.AgentDefinition(), Toolbox({}))
"""For a session that is failed without reading more of it than its row."""
