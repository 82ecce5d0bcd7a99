"""Definitions from plain values and files."""

import json
from pathlib import Path
from typing import Any

import pytest

from managedagents import DefinitionError, load_definition, parse_definition, parse_overrides
from managedagents.v1 import agent_pb2, session_pb2

BASH = agent_pb2.Tool(bash=agent_pb2.BashTool())
EXAMPLES = Path(__file__).parents[3] / "clients/python/examples"


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


@pytest.mark.parametrize("short", ["openai-compatible", "openai_compatible", "OPENAI_COMPATIBLE"])
def test_the_value_of_an_enum_may_be_written_in_short(short: str) -> None:
    model = parse_definition({"model": {"provider_model": {"provider": short}}}).model
    assert model.provider_model.provider == agent_pb2.PROVIDER_OPENAI_COMPATIBLE
    tools = parse_definition({"permission_policy": {"tools": {"a": "deny"}}}).permission_policy.tools
    assert tools["a"] == agent_pb2.PERMISSION_MODE_DENY


def test_the_example_of_a_tool_is_a_definition() -> None:
    definition = load_definition(EXAMPLES / "weather.yaml")
    assert definition.name == "weather"
    assert json.loads(definition.model.scripted.responses[0].tool_calls[0].input_json) == {"city": "Oslo"}
    assert json.loads(definition.tools[0].custom.input_schema_json)["required"] == ["city"]


def test_the_example_of_a_long_conversation_is_a_definition() -> None:
    definition = load_definition(EXAMPLES / "researcher.yaml")
    assert definition.model.name == "claude-haiku-4-5"
    assert definition.model_settings.thinking_effort == agent_pb2.THINKING_EFFORT_MEDIUM
    assert definition.compaction.threshold == 0.7
    assert definition.token_budget == 2_000_000


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
        ({"tool_host": True}, "tool_host"),
        ({"tool_host": 2**40}, "tool_host"),
        ({"model_settings": {"temperature": True}}, "model_settings.temperature"),
        ({"model_settings": {"temperature": 10**400}}, "model_settings.temperature"),
        ({"metadata": {5: "x"}}, "metadata.5"),
        ({"token_budget": b"7"}, "token_budget"),
        ({"tools": [{"custom": {"input_schema": {1, 2}}}]}, "tools[0].custom.input_schema"),
        ([], ""),
    ],
)
def test_a_wrong_field_is_named_by_its_path(values: Any, field: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_definition(values)
    assert caught.value.violations[0].field == field


def problems_in(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(DefinitionError) as caught:
        load_definition(file)
    file.unlink()
    assert str(caught.value).split("\n") == [str(violation) for violation in caught.value.violations]
    return [str(violation).removeprefix(f"{file}:") for violation in caught.value.violations]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: a\nnaem: b", "2:1: naem: unknown field; did you mean `name`?"),
        ("tools:\n- custom: {nmae: b}", "2:12: tools[0].custom.nmae: unknown field; did you mean `name`?"),
        (
            "tools:\n- custom: {inputSchem: {}}",
            "2:12: tools[0].custom.inputSchem: unknown field; did you mean `input_schema`?",
        ),
        (
            "compaction:\n  when: 5",
            "2:3: compaction.when: unknown field; CompactionPolicy has threshold, window_tokens",
        ),
        ("tools:\n- bash:\n    x: 1", "3:5: tools[0].bash.x: unknown field; BashTool has none"),
        ("name: 5", "1:1: name: 5 is no text (quote it)"),
        ("name:", "1:1: name: nothing is no text (quote it)"),
        ("name: a\ntools: {}", "2:1: tools: a mapping stands where a list belongs"),
        ("name: a\ntools:\n  - x", "3:5: tools[0]: a text stands where the fields of Tool belong"),
        ("metadata: [a]", "1:1: metadata: a list stands where a mapping belongs"),
        ("metadata:\n  5: a", "2:3: metadata.5: the key 5 is no text (quote it)"),
        ("token_budget: 1.5", "1:1: token_budget: 1.5 is no whole number in range"),
        ("model_settings: {temperature: warm}", "1:18: model_settings.temperature: 'warm' is no number"),
        ("custom_tool_timeout: 5", "1:1: custom_tool_timeout: 5 is no Duration (written like 1.5s)"),
        (
            "model_settings:\n  thinking_effort: max",
            "2:3: model_settings.thinking_effort: 'max' is no ThinkingEffort (none, low, medium, high)",
        ),
        ("model:\n  name: a\n  scripted: {}", "3:3: model.scripted: cannot stand beside `name`"),
        ("name: a\nname: b", "2:1: name: stands in line 1 already"),
        ("- a", "1:1: a list stands where the fields of AgentDefinition belong"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_line_and_column(tmp_path: Path, text: str, problem: str) -> None:
    assert problems_in(tmp_path, text) == [problem]


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = "naem: a\ntools:\n- custom: {name: 5, name: 6}\n- shell: {}\nname: 7\n"
    places = [problem.split(" ")[0] for problem in problems_in(tmp_path, text)]
    assert places == ["1:1:", "3:21:", "3:21:", "4:3:", "5:1:"]


def test_a_file_that_is_no_yaml_is_told_with_its_place(tmp_path: Path) -> None:
    (said,) = problems_in(tmp_path, "name: [")
    assert said.startswith("1:8: this is neither YAML nor JSON: ")


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    (said,) = problems_in(tmp_path, "# nothing\n")
    assert said.strip() == "nothing stands where the fields of AgentDefinition belong"


def test_a_key_is_never_shown(tmp_path: Path) -> None:
    for text in ("api_key: 123456789", "api_key: [KEYMARK-1]", "api_key: {KEYMARK-1: 2}", "api_key: KEYMARK-1, x: ["):
        (said,) = problems_in(tmp_path, f"model: {{provider_model: {{{text}}}}}")
        assert "KEYMARK" not in said
        assert "123456789" not in said


def test_overrides_may_be_plain_values_with_their_tools_as_a_list() -> None:
    wanted = session_pb2.SessionOverrides(system="", tools=session_pb2.ToolList(tools=[BASH]))
    assert parse_overrides({"system": "", "tools": [{"bash": {}}]}) == wanted
    assert parse_overrides({"system": "", "tools": {"tools": [{"bash": {}}]}}) == wanted
    assert parse_overrides({"tools": []}).HasField("tools")
    assert parse_overrides(wanted) is wanted
    with pytest.raises(DefinitionError) as caught:
        parse_overrides({"tools": [{"bsh": {}}]})
    assert caught.value.violations[0].field == "tools[0].bsh"


def test_a_message_is_taken_as_it_is() -> None:
    definition = agent_pb2.AgentDefinition(name="a")
    assert parse_definition(definition) is definition
