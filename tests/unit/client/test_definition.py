"""Definitions from plain values and files."""

import json
from pathlib import Path
from typing import Any

import pytest

from managedagents import DefinitionError, load_definition, parse_definition
from managedagents.v1 import agent_pb2

EXAMPLE = Path(__file__).parents[3] / "clients/python/examples/weather.yaml"


def test_names_may_be_written_in_snake_case_and_in_camel_case() -> None:
    snake = parse_definition({"name": "a", "tool_host": "TOOL_HOST_CLIENT", "custom_tool_timeout": "1.5s"})
    camel = parse_definition({"name": "a", "toolHost": "TOOL_HOST_CLIENT", "customToolTimeout": "1.5s"})
    assert snake == camel
    assert snake.custom_tool_timeout.ToMilliseconds() == 1500


def test_a_schema_written_inline_becomes_its_text_with_the_order_of_its_keys() -> None:
    schema = {"type": "object", "zulu": 1, "alpha": {"maximum": 10**20}}
    definition = parse_definition({"tools": [{"custom": {"name": "t", "input_schema": schema}}]})
    text = definition.tools[0].custom.input_schema_json
    assert json.loads(text) == schema
    assert text.index("zulu") < text.index("alpha")


def test_the_example_file_is_a_definition() -> None:
    definition = load_definition(EXAMPLE)
    assert definition.name == "weather"
    assert json.loads(definition.model.scripted.responses[0].tool_calls[0].input_json) == {"city": "Oslo"}
    assert json.loads(definition.tools[0].custom.input_schema_json)["required"] == ["city"]


def test_json_and_yaml_files_mean_the_same(tmp_path: Path) -> None:
    values = {"name": "a", "tools": [{"bash": {}}], "metadata": {"k": "v", "l": "w"}, "token_budget": 7}
    as_json, as_yaml = tmp_path / "a.json", tmp_path / "a.yaml"
    as_json.write_text(json.dumps(values))
    as_yaml.write_text("name: a\ntools:\n- bash:\nmetadata: {k: v, l: w}\ntoken_budget: 7\n")
    assert load_definition(as_json) == load_definition(as_yaml) == parse_definition(values)
    assert load_definition(as_yaml).tools[0].WhichOneof("tool") == "bash"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"nam": "x"}, "nam"),
        ({"name": 5}, "name"),
        ({"name": None}, "name"),
        ({"tools": {"bash": {}}}, "tools"),
        ({"tools": [{"bash": {}}, {"custom": {"nme": "x"}}]}, "tools[1].custom.nme"),
        ({"tools": [{"bash": {}, "custom": {}}]}, "tools[0].custom"),
        ({"model": {"name": "x", "scripted": {}}}, "model.scripted"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"permission_policy": {"default": "MAYBE"}}, "permission_policy.default"),
        ({"permission_policy": {"tools": {"t": "MAYBE"}}}, "permission_policy.tools.t"),
        ({"custom_tool_timeout": 5}, "custom_tool_timeout"),
        ({"token_budget": 2**70}, "token_budget"),
        ({"tool_host": "TOOL_HOST_CLIENT", "toolHost": "TOOL_HOST_SERVER"}, "toolHost"),
        ([], ""),
    ],
)
def test_a_wrong_field_is_named_by_its_path(values: Any, field: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_definition(values)
    assert caught.value.violations[0].field == field


def test_a_file_that_is_no_yaml_is_told_with_its_name(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    with pytest.raises(DefinitionError, match=r"broken\.yaml"):
        load_definition(broken)


def test_a_message_is_taken_as_it_is() -> None:
    definition = agent_pb2.AgentDefinition(name="a")
    assert parse_definition(definition) is definition
