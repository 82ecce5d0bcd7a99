"""Input schemas of MCP servers, as every provider takes them in a request.

What cannot be said to all providers is left out: a model may be shown less of what is forbidden than the server says,
which checks each input against its own schema, too.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

_SCHEMA_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SCHEMA_MAPS = frozenset({"dependentSchemas", "patternProperties", "properties"})
_SCHEMAS = frozenset(
    {
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
# Definitions are told where they are used. The rest names schemas or is of older drafts, whose meaning changed.
_DROPPED = frozenset(
    {"$anchor", "$comment", "$defs", "$dynamicAnchor", "$dynamicRef", "$id", "$ref", "$schema", "$vocabulary"}
    | {"additionalItems", "definitions", "dependencies", "id"}
)
_NOTES = frozenset({"default", "deprecated", "description", "examples", "readOnly", "title", "writeOnly"})
"""Words that forbid nothing: beside a reference they can be laid over what it means."""

_NOT_AT_THE_TOP = frozenset({"allOf", "anyOf", "const", "else", "enum", "if", "not", "oneOf", "then"})
"""Refused there by OpenAI, Anthropic or both."""

_DEEPEST = 48
_MOST = 256 * 1024
"""Characters of all that is told, roughly: a few references in each other's definitions can mean millions."""
_EACH = 20
"""Of them for a schema with nothing in it."""


def normalised(schema: Mapping[str, Any]) -> dict[str, Any]:
    """An object at the top, with properties; no references; no words that some provider refuses."""
    walked = _Walk(schema).schema(schema, (), 0)
    whole = _top(walked if isinstance(walked, dict) else {})
    _name_required(whole)
    return whole


def resolved(schema: Mapping[str, Any], reference: str) -> object:
    """What a reference within the schema means. None: nothing."""
    if reference != "#" and not reference.startswith("#/"):
        return None
    found: object = schema
    for part in reference.split("/")[1:]:
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found


class _Walk:
    """Through one schema, from its top."""

    def __init__(self, top: Mapping[str, Any]) -> None:
        self._top = top
        self._left = _MOST

    def schema(self, given: object, within: tuple[str, ...], depth: int) -> dict[str, Any] | bool:
        """`within`: the references that led here."""
        self._left -= _EACH
        if isinstance(given, bool):
            return given
        if not isinstance(given, Mapping) or depth > _DEEPEST or self._left < 0:
            return {}
        own = self._keywords(given, within, depth)
        if "$ref" not in given:
            return own
        meant = self._meant(str(given["$ref"]), within, depth)
        if isinstance(meant, dict) and own.keys() <= _NOTES:
            return {**meant, **own}
        return {"allOf": [meant, own]}

    def _meant(self, reference: str, within: tuple[str, ...], depth: int) -> dict[str, Any] | bool:
        target = resolved(self._top, reference)
        if reference not in within:
            return self.schema(target, (*within, reference), depth + 1)
        # Within itself: told once, and below that only what kind of value it is.
        return {key: target[key] for key in ("type", "description") if isinstance(target, Mapping) and key in target}

    def _keywords(self, given: Mapping[str, Any], within: tuple[str, ...], depth: int) -> dict[str, Any]:
        def inner(value: object) -> dict[str, Any] | bool:
            return self.schema(value, within, depth + 1)

        walked: dict[str, Any] = {}
        for key, value in given.items():
            if key not in _SCHEMA_MAPS | _SCHEMA_LISTS | _SCHEMAS | _DROPPED:
                self._left -= len(key) + len(repr(value))
        for key, value in given.items():
            if key not in _DROPPED:
                _put(walked, key, value, inner)
        if isinstance(given.get("items"), list):
            # How drafts before 2020-12 wrote a tuple.
            walked["prefixItems"] = [inner(item) for item in given["items"]]
            walked["items"] = inner(given.get("additionalItems", True))
        if "array" in _types(walked) and walked.get("items", True) is True:
            # OpenAI refuses an array of nothing in particular.
            walked["items"] = {}
        _mend_limits(walked)
        _name_required(walked)
        return walked


def _put(walked: dict[str, Any], key: str, value: Any, inner: Callable[[object], dict[str, Any] | bool]) -> None:
    if key in _SCHEMA_MAPS:
        if isinstance(value, Mapping):
            walked[key] = {name: _as_object(inner(one)) for name, one in value.items()}
    elif key in _SCHEMA_LISTS:
        if isinstance(value, list) and value:
            walked[key] = [_as_object(inner(one)) for one in value]
    elif key in _SCHEMAS:
        walked[key] = inner(value)
    elif key == "const":
        walked.setdefault("enum", [value])
    elif key == "required":
        if isinstance(value, list):
            walked[key] = [name for name in value if isinstance(name, str)]
    else:
        walked[key] = value


def _as_object(schema: dict[str, Any] | bool) -> dict[str, Any]:
    if isinstance(schema, dict):
        return schema
    return {} if schema else {"not": {}}


def _types(schema: Mapping[str, Any]) -> list[Any]:
    said = schema.get("type", [])
    return said if isinstance(said, list) else [said]


def _mend_limits(schema: dict[str, Any]) -> None:
    """Draft 4 had an exclusive limit say whether the other one is."""
    for exclusive, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(said := schema.get(exclusive), bool):
            del schema[exclusive]
            if said and plain in schema:
                schema[exclusive] = schema.pop(plain)


def _name_required(schema: dict[str, Any]) -> None:
    """Gemini refuses a property that is required and not named."""
    if required := schema.get("required"):
        properties = schema.setdefault("properties", {})
        for name in required:
            properties.setdefault(name, {})


def _top(schema: dict[str, Any]) -> dict[str, Any]:
    """An object, with the properties of all that it is composed of: those of alternatives side by side."""
    whole = {key: value for key, value in schema.items() if key not in _NOT_AT_THE_TOP}
    whole["type"] = "object"
    required = list(schema.get("required", []))
    parts = [_top(part) for part in schema.get("allOf", [])]
    required += [name for part in parts for name in part.get("required", [])]
    for key in ("anyOf", "oneOf"):
        if choices := [_top(choice) for choice in schema.get(key, [])]:
            parts.append({"properties": _together(choices, "anyOf")})
            required += _common([choice.get("required", []) for choice in choices])
    whole["properties"] = _together([{"properties": schema.get("properties", {})}, *parts], "allOf")
    if required:
        whole["required"] = list(dict.fromkeys(required))
    return whole


def _common(lists: list[list[str]]) -> list[str]:
    return [name for name in lists[0] if all(name in other for other in lists[1:])]


def _together(parts: list[dict[str, Any]], how: str) -> dict[str, Any]:
    """The properties of all parts. One that several have is what all of them say, or what any of them says."""
    said: dict[str, list[Any]] = {}
    for part in parts:
        for name, schema in part["properties"].items():
            if schema not in said.setdefault(name, []):
                said[name].append(schema)
    return {name: _one(schemas, how) for name, schemas in said.items()}


def _one(schemas: list[Any], how: str) -> Any:
    if {} in schemas:
        if how == "anyOf":
            return {}
        schemas = [schema for schema in schemas if schema != {}] or [{}]
    return schemas[0] if len(schemas) == 1 else {how: schemas}
