"""What is told to be missing before a server is asked."""

from pathlib import Path
from typing import Any

import pytest

from managedagents import load_definition, parse_definition
from managedagents._missing import missing
from managedagents.v1 import service_pb2
from managedagents_server.rpc import validate
from managedagents_server.words.errors import InvalidRequest
from managedagents_server.words.limits import Limits

EXAMPLES = Path(__file__).parents[3] / "clients/python/examples"

RIGHT = {"name": "a", "model": {"scripted": {"responses": [{}]}}}


def fields(values: Any) -> list[str]:
    return [violation.field for violation in missing(parse_definition(values))]


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ({}, []),
        ({"name": ""}, ["name"]),
        ({"model": {}}, ["model"]),
        ({"model": {"name": ""}}, []),
        ({"model": {"scripted": {}}}, ["model.scripted.responses"]),
        (
            {"model": {"scripted": {"responses": [{}, {"tool_calls": [{}]}]}}},
            ["model.scripted.responses[1].tool_calls[0].name"],
        ),
        ({"model": {"provider_model": {}}}, ["model.provider_model.provider", "model.provider_model.model"]),
        ({"model": {"provider_model": {"provider": "openai", "model": "m"}}}, []),
        (
            {"model": {"provider_model": {"provider": "openai-compatible", "model": "m"}}},
            ["model.provider_model.base_url"],
        ),
        (
            {"model": {"provider_model": {"provider": "openai-compatible", "model": "m", "credential": "team-a"}}},
            [],
        ),
        ({"tools": [{"bash": {}}, {}, {"custom": {}}]}, ["tools[1]", "tools[2].custom.name"]),
        ({"tools": [{"custom": {"name": "a", "input_schema_json": "{"}}]}, ["tools[0].custom.input_schema_json"]),
        ({"tools": [{"custom": {"name": "a", "input_schema": []}}]}, ["tools[0].custom.input_schema_json"]),
        ({"tools": [{"custom": {"name": "a", "input_schema": {}}}]}, []),
        ({"model_settings": {"response_schema_json": "5"}}, ["model_settings.response_schema_json"]),
        ({"mcp_servers": [{"name": "a"}]}, ["mcp_servers[0]"]),
        ({"mcp_servers": [{"stdio": {}}]}, ["mcp_servers[0].name", "mcp_servers[0].stdio.command"]),
        ({"mcp_servers": [{"name": "a", "http": {}}]}, ["mcp_servers[0].http.url"]),
        ({"skills": [{}]}, ["skills[0].skill_id"]),
    ],
)
def test_what_is_required_and_not_there_is_named(part: dict[str, Any], found: list[str]) -> None:
    assert fields({**RIGHT, **part}) == found


def test_nothing_at_all_lacks_a_name_and_a_model() -> None:
    assert fields({}) == ["name", "model"]


@pytest.mark.parametrize("file", sorted(path.name for path in EXAMPLES.iterdir()))
def test_the_examples_lack_nothing(file: str) -> None:
    assert not missing(load_definition(EXAMPLES / file))


@pytest.mark.parametrize(
    "part",
    [
        {},
        {"name": ""},
        {"model": {}},
        {"model": {"scripted": {}}},
        {"model": {"scripted": {"responses": [{"tool_calls": [{}]}]}}},
        {"model": {"provider_model": {}}},
        {"model": {"provider_model": {"provider": "openai-compatible", "model": "m"}}},
        {"tools": [{}, {"custom": {}}]},
        {"tools": [{"custom": {"name": "a", "input_schema_json": "["}}]},
    ],
)
def test_the_server_names_the_same_fields(part: dict[str, Any]) -> None:
    values = {**RIGHT, **part}
    refused: list[str] = []
    try:
        validate.create(service_pb2.CreateRequest(definition=parse_definition(values)), Limits())
    except InvalidRequest as error:
        refused = [violation.field.removeprefix("definition.") for violation in error.violations]
    assert sorted(fields(values)) == sorted(refused)
