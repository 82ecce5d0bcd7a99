"""An agent's definition from plain Python values, or from a YAML or JSON file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.message import Message

from managedagents._document import Document
from managedagents._errors import DefinitionError
from managedagents._plain import fill
from managedagents.v1 import agent_pb2, session_pb2

Definition = agent_pb2.AgentDefinition | Mapping[str, Any]
"""A definition as a message, or as plain values."""

Overrides = session_pb2.SessionOverrides | Mapping[str, Any]
"""A session's overrides as a message, or as plain values."""

Environment = session_pb2.EnvironmentConfig | Mapping[str, Any]
"""What a session's tools find around them, as a message, or as plain values."""

Filled = TypeVar("Filled", bound=Message)


def load_definition(path: str | Path) -> agent_pb2.AgentDefinition:
    """The definition in a YAML or JSON file. Raises DefinitionError, and OSError where the file cannot be read."""
    return read(Document(Path(path).read_bytes(), str(path)), agent_pb2.AgentDefinition())


def read(document: Document, message: Filled) -> Filled:
    """The message, filled with what the document says. Raises DefinitionError with the places of all that is wrong."""
    problems = [*document.duplicates, *fill(message, document.values)]
    if problems:
        raise DefinitionError.of(document.placed(problems))
    return message


def parse_definition(values: Definition) -> agent_pb2.AgentDefinition:
    """The definition that plain values mean. Raises DefinitionError with the path of each field that is wrong."""
    return _parsed(agent_pb2.AgentDefinition, values)


def parse_overrides(values: Overrides) -> session_pb2.SessionOverrides:
    """The overrides that plain values mean. Raises DefinitionError with the path of each field that is wrong."""
    return _parsed(session_pb2.SessionOverrides, values)


def parse_environment(values: Environment) -> session_pb2.EnvironmentConfig:
    """The environment that plain values mean. Raises DefinitionError with the path of each field that is wrong."""
    return _parsed(session_pb2.EnvironmentConfig, values)


def _parsed(kind: type[Filled], values: Filled | Mapping[str, Any]) -> Filled:
    if isinstance(values, kind):
        return values
    message = kind()
    problems = fill(message, values)
    if problems:
        raise DefinitionError.of(problems)
    return message
