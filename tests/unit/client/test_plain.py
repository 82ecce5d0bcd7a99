"""From a message to what people write, and back."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from managedagents import parse_definition
from managedagents._definition import read
from managedagents._document import Document
from managedagents._plain import values_of
from managedagents.cli._output import yaml_of
from managedagents.v1 import agent_pb2, session_pb2

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30)
SCHEMA = st.dictionaries(
    TEXT, st.integers() | TEXT | st.lists(st.booleans() | st.floats(allow_nan=False, allow_infinity=False), max_size=2)
)

DEFINITIONS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "name": TEXT,
        "system": TEXT,
        "model": st.fixed_dictionaries({"name": TEXT})
        | st.fixed_dictionaries(
            {"provider_model": st.fixed_dictionaries({"api_key": TEXT, "provider": st.integers(0, 9)})}
        )
        | st.fixed_dictionaries(
            {"scripted": st.fixed_dictionaries({"responses": st.just([{"delay": "1.5s", "text": "x"}])})}
        ),
        "model_settings": st.fixed_dictionaries(
            {}, optional={"temperature": st.floats(0, 2), "seed": st.integers(-(2**63), 2**63 - 1)}
        ),
        "tools": st.lists(
            st.just({"bash": {}})
            | st.fixed_dictionaries({"custom": st.fixed_dictionaries({"name": TEXT, "input_schema": SCHEMA})}),
            max_size=3,
        ),
        "token_budget": st.integers(0, 2**63 - 1),
        "metadata": st.dictionaries(TEXT, TEXT, max_size=3),
        "permission_policy": st.fixed_dictionaries({"tools": st.dictionaries(TEXT, st.integers(0, 3), max_size=2)}),
    },
)


@given(DEFINITIONS)
@example({"name": "\x85"})
@example({"metadata": {"": "0\n"}})
@example({"system": "a\n\u2028b\r\n c \n"})
def test_what_is_printed_of_a_definition_means_the_same_definition(values: dict[str, Any]) -> None:
    definition = parse_definition(values)
    assert parse_definition(values_of(definition)) == definition
    printed = Document(f"{yaml_of(definition)}\n".encode(), "printed")
    assert read(printed, agent_pb2.AgentDefinition()) == definition


def test_it_is_printed_as_people_write_it() -> None:
    model = {"provider_model": {"provider": "PROVIDER_OPENAI", "model": "m", "api_key": ""}}
    tool = {"custom": {"name": "t", "input_schema_json": '{"type": "object"}'}}
    definition = parse_definition({"model": model, "system": "One.\nTwo.", "tools": [tool], "token_budget": 7})
    assert yaml_of(definition).split("\n") == [
        "system: |-",
        "  One.",
        "  Two.",
        "model:",
        "  provider_model:",
        "    provider: openai",
        "    model: m",
        "    api_key: ''",
        "tools:",
        "- custom:",
        "    name: t",
        "    input_schema:",
        "      type: object",
        "token_budget: 7",
    ]


@pytest.mark.parametrize("text", ["{", "5", '{"a": 1, "a": 2}', '{"a":  1}', '{"a": NaN}', '{"a": 1.50}', "[" * 9000])
def test_json_that_would_become_another_text_stays_as_it_is(text: str) -> None:
    tool = agent_pb2.CustomTool(input_schema_json=text)
    assert values_of(tool) == {"input_schema_json": text}


def test_json_of_other_writers_is_shown_inline_too() -> None:
    schema = {"b": [1, 2.5], "a": "é"}
    for text in (json.dumps(schema, ensure_ascii=False), json.dumps(schema, ensure_ascii=False, separators=(",", ":"))):
        assert values_of(agent_pb2.CustomTool(input_schema_json=text)) == {"input_schema": schema}


def test_what_this_client_does_not_know_is_shown_as_a_number() -> None:
    later = agent_pb2.ProviderModel.FromString(b"\x08\x63")
    assert values_of(later) == {"provider": 99}


def test_what_is_set_and_empty_is_shown() -> None:
    assert values_of(session_pb2.SessionOverrides(system="", tools=session_pb2.ToolList())) == {
        "system": "",
        "tools": {},
    }
