"""What is refused before anybody is asked."""

import subprocess
import sys
from collections.abc import Sequence

import pytest

from managedagents.v1 import agent_pb2
from managedagents_server.providers import names
from managedagents_server.providers.base import Endpoint
from managedagents_server.providers.capabilities import faults

EVERY = sorted(names.BY_PROVIDER.values())
SCHEMA = '{"type":"object"}'


def fields(
    provider: str,
    model: str = "m",
    speed: agent_pb2.ModelSpeed.ValueType = agent_pb2.MODEL_SPEED_UNSPECIFIED,
    tools: Sequence[str] = (),
    **settings: object,
) -> list[str]:
    endpoint = Endpoint(provider, model, "", speed=speed)
    definition = agent_pb2.AgentDefinition(model_settings=agent_pb2.ModelSettings(**settings))  # type: ignore[arg-type]  # the settings of the test
    for name in tools:
        definition.tools.add().custom.name = name
    return [field for field, why in faults(endpoint, definition) if why]


@pytest.mark.parametrize("model", ["gemini-3-pro-preview", "models/gemini-3", "tunedModels/my-own_1", "gemini@2.5:a"])
def test_names_of_models_of_geminis(model: str) -> None:
    assert fields(names.GEMINI, model) == []


@pytest.mark.parametrize("model", ["../m", "%2e%2e/m", "m#", "m?key=", "a\\b", "m;n", "\uff4d", "m n"])
def test_a_name_that_would_lead_to_another_path_of_geminis_address_is_refused(model: str) -> None:
    """The key is for the address that was given. Elsewhere a name stands in the body."""
    assert fields(names.GEMINI, model) == ["model.provider_model.model"]
    assert fields(names.ANTHROPIC, model) == []


@pytest.mark.parametrize("provider", EVERY)
def test_what_everybody_takes_is_no_fault(provider: str) -> None:
    assert fields(provider, max_tokens=16, temperature=1.0, response_schema_json=SCHEMA, tools=["look"]) == []


@pytest.mark.parametrize(
    ("asked", "field", "refusing"),
    [
        ({"seed": 3}, "model_settings.seed", [names.ANTHROPIC, names.OPENAI]),
        ({"seed": 2**31}, "model_settings.seed", [names.ANTHROPIC, names.GEMINI, names.OPENAI]),
        ({"stop_sequences": ["END"]}, "model_settings.stop_sequences", [names.OPENAI]),
        ({"stop_sequences": ["END"] * 6}, "model_settings.stop_sequences", [names.GEMINI, names.OPENAI]),
        ({"temperature": 1.5}, "model_settings.temperature", [names.ANTHROPIC]),
        ({"max_tokens": 15}, "model_settings.max_tokens", [names.OPENAI]),
        (
            {"speed": agent_pb2.MODEL_SPEED_STANDARD},
            "model.provider_model.speed",
            [names.GEMINI, names.OLLAMA, names.OPENAI_COMPATIBLE],
        ),
    ],
)
def test_what_a_provider_does_not_know_is_a_fault(asked: dict[str, object], field: str, refusing: list[str]) -> None:
    assert [provider for provider in EVERY if field in fields(provider, **asked)] == refusing  # type: ignore[arg-type]  # one of the arguments


def test_an_older_gemini_follows_a_schema_or_calls_tools() -> None:
    for model, tools, refused in (
        ("gemini-2.5-pro", ["look"], ["model_settings.response_schema_json"]),
        ("gemini-2.5-pro", [], []),
        ("gemini-3-pro-preview", ["look"], []),
    ):
        assert fields(names.GEMINI, model, tools=tools, response_schema_json=SCHEMA) == refused


def test_gemini_calls_no_tool_whose_name_begins_with_a_digit_or_a_dash() -> None:
    tools = ["look", "2look", "_look", "-look", "look-2"]
    refusing = {provider: fields(provider, tools=tools) for provider in EVERY}
    assert refusing.pop(names.GEMINI) == ["tools[1].custom.name", "tools[3].custom.name"]
    assert not any(refusing.values())


def test_it_needs_no_vendors_library() -> None:
    code = """
import sys
from managedagents_server.providers import capabilities
assert not {"pydantic_ai", "openai", "anthropic", "google.genai", "httpx2"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
