"""An agent's definition from plain Python values, or from a YAML or JSON file.

Fields are named as in the proto or in lowerCamelCase. Where a field holds JSON as text (`input_schema_json`,
`input_json`, …), the value may be written inline under the name without `_json`, and is turned into the text.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import descriptor, json_format
from google.protobuf.message import Message

from managedagents._errors import DefinitionError
from managedagents.v1 import agent_pb2

Definition = agent_pb2.AgentDefinition | Mapping[str, Any]
"""A definition as a message, or as plain values."""

_Field = descriptor.FieldDescriptor
_WANTED = {
    _Field.CPPTYPE_STRING: "text (quote it)",
    _Field.CPPTYPE_BOOL: "true or false",
    _Field.CPPTYPE_DOUBLE: "number",
}


def load_definition(path: str | Path) -> agent_pb2.AgentDefinition:
    """The definition in a YAML or JSON file. Raises DefinitionError, and OSError where the file cannot be read."""
    try:
        written = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DefinitionError(f"{path} is no UTF-8 text") from error
    return read_definition(written, str(path))


def read_definition(written: str, where: str) -> agent_pb2.AgentDefinition:
    """The definition in a YAML or JSON text. `where`: what the text is called in an error."""
    try:
        # Every JSON text that people write is YAML, too.
        values = yaml.safe_load(written)
    except yaml.YAMLError as error:
        raise DefinitionError(f"{where} is neither YAML nor JSON: {' '.join(str(error).split())}") from error
    return parse_definition(values)


def parse_definition(values: Definition) -> agent_pb2.AgentDefinition:
    """The definition that plain values mean. Raises DefinitionError with the path of the field that is wrong."""
    if isinstance(values, agent_pb2.AgentDefinition):
        return values
    definition = agent_pb2.AgentDefinition()
    fill(definition, values, "")
    return definition


def fill(message: Message, values: Any, path: str) -> None:
    """Set the message's fields from plain values. `path`: where in the whole the message stands."""
    kind: Any = message.DESCRIPTOR
    if not isinstance(values, Mapping):
        raise DefinitionError(f"{_kind_of(values)} stands where the fields of {kind.name} belong", field=path)
    names = {name: field for field in kind.fields for name in (field.name, field.json_name)}
    seen: dict[str, str] = {}
    for key, value in values.items():
        here = f"{path}.{key}" if path else str(key)
        field, text = names.get(key), value
        if field is None:
            field = names.get(f"{key}_json") or names.get(f"{key}Json")
            text = None if field is None else _as_json(value, here)
        if field is None:
            raise DefinitionError(f"{kind.name} has no such field; it has {_listed(kind)}", field=here)
        # The members of a oneof shut each other out, and so do two spellings of one field.
        place = field.containing_oneof.name if field.containing_oneof else field.name
        if place in seen:
            raise DefinitionError(f"cannot stand beside {seen[place]}", field=here)
        seen[place] = str(key)
        _set(message, field, text, here)


def _set(message: Message, field: _Field, value: Any, path: str) -> None:
    if value is None and field.message_type is not None and not field.message_type.fields:
        # `- bash:` in YAML.
        value = {}
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        _set_map(message, field, value, path)
    elif field.is_repeated:
        if not isinstance(value, list | tuple):
            raise DefinitionError(f"{_kind_of(value)} stands where a list belongs", field=path)
        for index, item in enumerate(value):
            _set_one(message, field, item, f"{path}[{index}]")
    else:
        _set_one(message, field, value, path)


def _set_map(message: Message, field: _Field, value: Any, path: str) -> None:
    if not isinstance(value, Mapping):
        raise DefinitionError(f"{_kind_of(value)} stands where a mapping belongs", field=path)
    for key, item in value.items():
        if not isinstance(key, str):
            raise DefinitionError(f"the key {key!r} is no text (quote it)", field=path)
        _parse({key: item}, item, message, field, f"{path}.{key}")


def _set_one(message: Message, field: _Field, value: Any, path: str) -> None:
    if field.message_type is None or field.message_type.full_name.startswith("google.protobuf."):
        _parse([value] if field.is_repeated else value, value, message, field, path)
        return
    inner = getattr(message, field.name)
    if field.is_repeated:
        inner = inner.add()
    else:
        inner.SetInParent()
    fill(inner, value, path)


def _parse(values: Any, value: Any, message: Message, field: _Field, path: str) -> None:
    # Into a message of its own first: what ParseDict is given replaces a list or a mapping that is there.
    alone = type(message)()
    try:
        json_format.ParseDict({field.json_name: values}, alone)
    except json_format.ParseError as error:
        raise DefinitionError(f"{value!r} is no {_wanted(field)}", field=path) from error
    if value is None:
        raise DefinitionError(f"nothing is no {_wanted(field)}", field=path)
    message.MergeFrom(alone)


def _as_json(value: Any, path: str) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DefinitionError("holds a value that JSON does not have", field=path) from error


def _wanted(field: _Field) -> str:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return _wanted(kind.fields_by_name["value"])
    if kind is not None:
        return "Duration (written like 1.5s)" if kind.name == "Duration" else kind.name
    if field.enum_type is not None:
        return f"{field.enum_type.name} ({', '.join(value.name for value in field.enum_type.values[1:])})"
    return _WANTED.get(field.cpp_type, "whole number in range")


def _listed(kind: Any) -> str:
    return ", ".join(field.name for field in kind.fields) or "none"


def _kind_of(value: Any) -> str:
    return {dict: "a mapping", list: "a list", str: "a text", type(None): "nothing"}.get(type(value), repr(value))
