"""What a definition lacks, as far as the definition alone tells. The server looks closer."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.message import Message

from managedagents._errors import FieldViolation
from managedagents.v1 import agent_pb2

# Fields and oneofs that must be set, by message.
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "AgentDefinition": ("name", "model"),
    "Model": ("ref",),
    "ProviderModel": ("provider", "model"),
    "ScriptedModel": ("responses",),
    "ScriptedToolCall": ("name",),
    "Tool": ("tool",),
    "CustomTool": ("name",),
    "McpServer": ("name", "transport"),
    "McpStdio": ("command",),
    "McpHttp": ("url",),
    "Skill": ("skill_id",),
}


def missing(definition: agent_pb2.AgentDefinition) -> list[FieldViolation]:
    """The fields that are required and not there, and the schemas that are no JSON object."""
    return list(_missing(definition, ""))


def _missing(message: Message, path: str) -> Iterator[FieldViolation]:
    kind: Any = message.DESCRIPTOR
    before = f"{path}." if path else ""
    for name in _REQUIRED.get(kind.name, ()):
        if name in kind.oneofs_by_name:
            if message.WhichOneof(name) is None:
                members = ", ".join(field.name for field in kind.oneofs_by_name[name].fields)
                yield FieldViolation(path, f"one of these is required: {members}")
        elif name not in {field.name for field, _ in message.ListFields()}:
            yield FieldViolation(f"{before}{name}", "is required")
    if isinstance(message, agent_pb2.ProviderModel) and _lacks_address(message):
        yield FieldViolation(f"{before}base_url", "is required with this provider")
    for field, value in message.ListFields():
        here = f"{before}{field.name}"
        if field.message_type is None:
            if field.name.endswith("schema_json") and not _is_object(value):
                yield FieldViolation(here, "is no JSON object")
        elif not field.is_repeated:
            yield from _missing(value, here)
        elif not field.message_type.GetOptions().map_entry:
            for index, item in enumerate(value):
                yield from _missing(item, f"{here}[{index}]")


def _lacks_address(model: agent_pb2.ProviderModel) -> bool:
    # A credential may have an address of its own.
    has_address = bool(model.base_url) or model.HasField("credential")
    return model.provider == agent_pb2.PROVIDER_OPENAI_COMPATIBLE and not has_address


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
