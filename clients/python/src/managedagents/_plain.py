"""A message from plain Python values, and back.

Fields are named as in the proto or in lowerCamelCase. Where a field holds JSON as text (`input_schema_json`,
`input_json`, …), the value may be written inline under the name without `_json`, and is turned into the text. An enum's
value may be written without what the names of all its values begin with, and in any case: `openai-compatible`.
"""

import difflib
import json
import re
import reprlib
from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor, json_format
from google.protobuf.message import Message

from managedagents._errors import FieldViolation

_Field = descriptor.FieldDescriptor
_WANTED = {
    _Field.CPPTYPE_STRING: "text (quote it)",
    _Field.CPPTYPE_BOOL: "true or false",
    _Field.CPPTYPE_DOUBLE: "number",
}
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SECRET = "api_key"
"""Is not shown in an error."""
_INT32 = range(-(2**31), 2**31)


def fill(message: Message, values: Any) -> list[FieldViolation]:
    """Set the message's fields from plain values. Returns all that is wrong; what is right is set."""
    filling = _Filling()
    filling.fill(message, values, "")
    return filling.problems


class _Filling:
    """Gathers problems. `path`: where in the whole something stands."""

    def __init__(self) -> None:
        self.problems: list[FieldViolation] = []

    def fill(self, message: Message, values: Any, path: str) -> None:
        kind: Any = message.DESCRIPTOR
        if isinstance(values, list) and len(kind.fields) == 1 and kind.fields[0].is_repeated:
            # Nothing but a list: it may be written without its one field.
            self._set(message, kind.fields[0], values, path)
            return
        if not isinstance(values, Mapping):
            self._wrong(path, f"{_kind_of(values)} stands where the fields of {kind.name} belong")
            return
        names = {name: field for field in kind.fields for name in (field.name, field.json_name)}
        seen: dict[str, str] = {}
        for key, value in values.items():
            here = f"{path}.{key}" if path else str(key)
            field = names.get(key) or names.get(f"{key}_json") or names.get(f"{key}Json")
            if field is None:
                self._wrong(here, f"unknown field; {_others(kind, str(key))}")
                continue
            # The members of a oneof shut each other out, and so do two spellings of one field.
            place = field.containing_oneof.name if field.containing_oneof else field.name
            if place in seen:
                self._wrong(here, f"cannot stand beside `{seen[place]}`")
                continue
            seen[place] = str(key)
            self._set(message, field, value if key in names else self._as_json(value, here), here)

    def _set(self, message: Message, field: _Field, value: Any, path: str) -> None:
        kind = field.message_type
        if value is None and kind is not None and not kind.fields:
            # `- bash:` in YAML.
            value = {}
        if kind is not None and kind.GetOptions().map_entry:
            self._set_map(message, field, kind.fields_by_name["value"], value, path)
        elif field.is_repeated:
            if not isinstance(value, list | tuple):
                self._wrong(path, f"{_kind_of(value)} stands where a list belongs")
                return
            for index, item in enumerate(value):
                self._set_one(message, field, item, f"{path}[{index}]")
        else:
            self._set_one(message, field, value, path)

    def _set_map(self, message: Message, field: _Field, of: _Field, value: Any, path: str) -> None:
        if not isinstance(value, Mapping):
            self._wrong(path, f"{_kind_of(value)} stands where a mapping belongs")
            return
        for key, item in value.items():
            if isinstance(key, str):
                self._parse(message, field, of, item, f"{path}.{key}", key)
            else:
                self._wrong(f"{path}.{key}", f"the key {key!r} is no text (quote it)")

    def _set_one(self, message: Message, field: _Field, value: Any, path: str) -> None:
        if field.message_type is None or field.message_type.full_name.startswith("google.protobuf."):
            self._parse(message, field, field, value, path)
            return
        inner = getattr(message, field.name)
        if field.is_repeated:
            inner = inner.add()
        else:
            inner.SetInParent()
        self.fill(inner, value, path)

    def _parse(
        self, message: Message, field: _Field, of: _Field, value: Any, path: str, key: str | None = None
    ) -> None:
        """Set a field to a scalar, or add one to its list or, under `key`, to its map. `of`: what the scalar is."""
        scalar = _full_name(of, value)
        values: Any = {key: scalar} if key is not None else [scalar] if field.is_repeated else scalar
        # Into a message of its own first: what ParseDict is given replaces a list or a mapping that is there.
        alone = type(message)()
        try:
            if _may_be(of, scalar):
                json_format.ParseDict({field.json_name: values}, alone)
                message.MergeFrom(alone)
                return
        except (json_format.ParseError, OverflowError):
            # Said below, in words for people.
            pass
        shown = "this" if field.name == _SECRET else _kind_of(value) if value is None else reprlib.repr(value)
        self._wrong(path, f"{shown} is no {_wanted(of)}")

    def _as_json(self, value: Any, path: str) -> str:
        try:
            return json.dumps(value, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            self._wrong(path, "holds a value that JSON does not have")
            return ""

    def _wrong(self, path: str, why: str) -> None:
        self.problems.append(FieldViolation(path, why))


def values_of(message: Message) -> dict[str, Any]:
    """What is set in a message, as `fill` takes it and as people write it: JSON inline, enums by their short names."""
    values: dict[str, Any] = {}
    for field, value in message.ListFields():
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            of = kind.fields_by_name["value"]
            values[field.name] = {key: _value_of(of, item) for key, item in sorted(value.items())}
        elif field.is_repeated:
            values[field.name] = [_value_of(field, item) for item in value]
        else:
            inline = _inline(value) if field.name.endswith("_json") else None
            name = field.name if inline is None else field.name.removesuffix("_json")
            values[name] = _value_of(field, value) if inline is None else inline
    return values


def _value_of(field: _Field, value: Any) -> Any:
    if field.message_type is not None:
        if field.message_type.full_name.startswith("google.protobuf."):
            return json_format.MessageToDict(value)
        return values_of(value)
    if field.enum_type is not None and value in field.enum_type.values_by_number:
        return short_name(field.enum_type, value)
    return value


def _inline(text: str) -> Any:
    """The value that a JSON text means. None: none that would become the same text again, but for its spaces."""
    try:
        value = json.loads(text)
        same = {
            json.dumps(value, ensure_ascii=False, allow_nan=False, separators=marks) for marks in (None, (",", ":"))
        }
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) and text in same else None


def short_name(enum: Any, number: int) -> str:
    """An enum value's name in small letters, without the enum's own."""
    name: str = enum.values_by_number[number].name
    return name.removeprefix(_prefix(enum)).lower()


def _prefix(enum: Any) -> str:
    """What the names of all values begin with."""
    name: str = enum.values_by_number[0].name
    return name.removesuffix("UNSPECIFIED")


def _full_name(field: _Field, value: Any) -> Any:
    """The name of an enum's value in full; any other value as it is."""
    if field.enum_type is None or not isinstance(value, str):
        return value
    name = value.upper().replace("-", "_")
    spellings = (name, _prefix(field.enum_type) + name)
    return next((spelling for spelling in spellings if spelling in field.enum_type.values_by_name), value)


def _may_be(field: _Field, value: Any) -> bool:
    """Whether it is of a type that the field may have: ParseDict takes a little more than that."""
    if isinstance(value, bool):
        return field.cpp_type == _Field.CPPTYPE_BOOL
    if field.enum_type is not None and not isinstance(value, str):
        return isinstance(value, int) and value in _INT32
    return value is not None and not isinstance(value, bytes)


def _wanted(field: _Field) -> str:
    kind = field.message_type
    if kind is not None:
        return "Duration (written like 1.5s)" if kind.name == "Duration" else kind.name
    if field.enum_type is not None:
        names = ", ".join(short_name(field.enum_type, value.number) for value in field.enum_type.values[1:])
        return f"{field.enum_type.name} ({names})"
    return _WANTED.get(field.cpp_type, "whole number in range")


def _others(kind: Any, key: str) -> str:
    names = [name for field in kind.fields for name in dict.fromkeys((field.name.removesuffix("_json"), field.name))]
    near = difflib.get_close_matches(_HUMP.sub("_", key).lower(), names, 1)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"{kind.name} has {', '.join(field.name for field in kind.fields) or 'none'}"


def _kind_of(value: Any) -> str:
    kinds = {dict: "a mapping", list: "a list", str: "a text", type(None): "nothing"}
    return kinds.get(type(value), reprlib.repr(value))
