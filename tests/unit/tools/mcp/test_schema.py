"""Schemas of servers, as all providers take them."""

from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest

from managedagents_server.tools.mcp import normalised


def _of(schema: Any, **more: Any) -> Any:
    """What becomes of a property's schema."""
    return normalised({"type": "object", "properties": {"a": schema}, **more})["properties"]["a"]


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"$schema": "x", "$id": "y", "type": ["object", "null"]}])
def test_the_top_is_an_object_with_properties(schema: dict[str, Any]) -> None:
    assert normalised(schema) == {"type": "object", "properties": {}}


def test_what_all_providers_take_stays_as_it_is() -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": ["string", "null"], "description": "where", "minLength": 1, "pattern": "^[A-Z]"},
            "days": {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 3},
            "$id": {"anyOf": [{"type": "string"}, {"enum": [1, 2]}], "default": 1},
        },
        "required": ["city"],
        "additionalProperties": False,
    }
    assert normalised(schema) == schema


def test_references_are_told_where_they_stand() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/City", "description": "here"}, "b": {"$ref": "#/definitions/x~1y"}},
        "$defs": {"City": {"type": "object", "properties": {"name": {"$ref": "#/$defs/Name"}}, "description": "any"}},
        "definitions": {"x/y": {"type": "integer"}},
    }
    schema["$defs"]["Name"] = {"type": "string"}  # type: ignore[index]
    assert normalised(schema)["properties"] == {
        "a": {"type": "object", "properties": {"name": {"type": "string"}}, "description": "here"},
        "b": {"type": "integer"},
    }


def test_a_reference_beside_other_demands_keeps_both() -> None:
    made = _of({"$ref": "#/$defs/N", "minimum": 3}, **{"$defs": {"N": {"type": "integer"}}})
    assert made == {"allOf": [{"type": "integer"}, {"minimum": 3}]}


def test_what_contains_itself_is_told_once() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    made = _of({"$ref": "#/$defs/Node"}, **{"$defs": {"Node": node}})
    assert made == {"type": "object", "properties": {"next": {"type": "object"}}}
    assert _of({"$ref": "#"})["properties"] == {"a": {"type": "object"}}


def test_references_that_mean_millions_are_bounded() -> None:
    definitions: dict[str, Any] = {
        f"d{level}": {"type": "array", "prefixItems": [{"$ref": f"#/$defs/d{level + 1}"}] * 10} for level in range(30)
    }
    definitions["d30"] = {"type": "string"}
    assert len(str(_of({"$ref": "#/$defs/d0"}, **{"$defs": definitions}))) < 1_000_000
    long = {"long": {"description": "x" * 60_000}}
    many = {f"p{number}": {"$ref": "#/$defs/long"} for number in range(1000)}
    assert len(str(_of({"type": "object", "properties": many}, **{"$defs": long}))) < 1_000_000


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"const": 1}, {"enum": [1]}),
        ({"type": "array"}, {"type": "array", "items": {}}),
        (
            {"type": "array", "items": [{"type": "string"}], "additionalItems": False},
            {"type": "array", "prefixItems": [{"type": "string"}], "items": False},
        ),
        ({"minimum": 1, "exclusiveMinimum": True}, {"exclusiveMinimum": 1}),
        ({"maximum": 1, "exclusiveMaximum": False}, {"maximum": 1}),
        (True, {}),
        ({"type": "string", "required": True}, {"type": "string"}),
        (
            {"type": "object", "required": ["b"]},
            {"type": "object", "required": ["b"], "properties": {"b": {}}},
        ),
    ],
)
def test_older_and_rarer_words_are_said_in_common_ones(given: object, made: object) -> None:
    assert _of(given) == made


def _properties(**named: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in named.items()},
        "required": list(named),
    }


def test_parts_at_the_top_become_one() -> None:
    made = normalised({"allOf": [_properties(a="string"), _properties(b="integer")], "description": "both"})
    assert made == {**_properties(a="string", b="integer"), "description": "both"}


def test_alternatives_at_the_top_stand_side_by_side() -> None:
    made = normalised({"oneOf": [_properties(a="string", b="string"), _properties(a="integer", c="null")]})
    assert made == {
        "type": "object",
        "properties": {
            "a": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "b": {"type": "string"},
            "c": {"type": "null"},
        },
        "required": ["a"],
    }


def test_many_alternatives_at_the_top_make_no_deep_schema() -> None:
    made = normalised({"anyOf": [{"properties": {"a": {"minimum": number}}} for number in range(2000)]})
    assert len(made["properties"]["a"]["anyOf"]) == 2000


def test_what_one_alternative_does_not_say_is_open() -> None:
    made = normalised({"anyOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"a": {}}}]})
    assert made["properties"] == {"a": {}}
    both = normalised({"allOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"a": {}}}]})
    assert both["properties"] == {"a": {"type": "string"}}


@pytest.mark.parametrize("nonsense", [{"properties": 1, "required": 2, "anyOf": {}, "items": 3, "$ref": 4}])
def test_nonsense_becomes_something_that_can_be_sent(nonsense: Mapping[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(normalised(nonsense))
