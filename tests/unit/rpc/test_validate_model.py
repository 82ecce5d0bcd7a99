"""Which model an agent may name."""

import pytest
from google.protobuf import json_format

from managedagents.v1 import agent_pb2, service_pb2
from managedagents_server.rpc import validate
from support.refused import fields_of_refusal, unbuilt

MODEL = "definition.model."


def create(model: dict[str, object]) -> service_pb2.CreateRequest:
    definition = agent_pb2.AgentDefinition(name="an agent")
    json_format.ParseDict(model, definition.model)
    return service_pb2.CreateRequest(definition=definition)


def wrong(model: dict[str, object]) -> list[str]:
    return [field.removeprefix(MODEL) for field in fields_of_refusal(validate.create, create(model))]


def served(**fields: object) -> dict[str, object]:
    given = {"provider": "PROVIDER_OPENAI_COMPATIBLE", "model": "m", "base_url": "http://127.0.0.1:8080/v1"}
    return {"provider_model": {key: value for key, value in {**given, **fields}.items() if value is not None}}


def scripted(*responses: dict[str, object]) -> dict[str, object]:
    return {"scripted": {"responses": list(responses)}}


def test_a_served_model_passes() -> None:
    assert not wrong(served())


@pytest.mark.parametrize("field", ["provider", "model", "base_url"])
def test_what_a_served_model_needs(field: str) -> None:
    assert wrong(served(**{field: None})) == [f"provider_model.{field}"]


@pytest.mark.parametrize("address", ["https://example.org", "http://[::1]:80/v1/", "HTTP://host/a/b"])
def test_addresses(address: str) -> None:
    assert not wrong(served(base_url=address))


@pytest.mark.parametrize(
    "address",
    [
        *(
            "example.org/v1",
            "ftp://example.org",
            "http://",
            "http:///v1",
            "http://host:x/",
            "http://host:0",
            "file:///x",
        ),
        *(
            "http://user:word@host/",
            "http://host/?a=b",
            "http://host/#a",
            "http://ho st/",
            "http://host\n/",
            "http://[::1",
        ),
    ],
)
def test_what_is_no_address(address: str) -> None:
    assert wrong(served(base_url=address)) == ["provider_model.base_url"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"provider": "PROVIDER_OPENAI", "base_url": None}, "provider"),
        ({"provider": "PROVIDER_OLLAMA"}, "provider"),
        ({"credential": "c"}, "credential"),
        ({"api_key": "k"}, "api_key"),
        ({"api_key": ""}, "api_key"),
        ({"speed": "MODEL_SPEED_STANDARD"}, "speed"),
    ],
)
def test_what_is_not_built_yet_of_served_models(fields: dict[str, object], field: str) -> None:
    assert unbuilt(validate.create, create(served(**fields))) == f"{MODEL}provider_model.{field}"


def test_a_full_script_passes() -> None:
    assert not wrong(
        scripted(
            {},
            {
                "text": "t",
                "thinking": "h",
                "tool_calls": [{"name": "a", "input_json": '{"x": [1]}', "id": "t1"}, {"name": "b"}],
                "stop_reason": "MODEL_STOP_REASON_TOOL_USE",
                "usage": {"input_tokens": "1000000000000", "requests": "1", "model_time": "0.5s"},
                "delay": "86400s",
            },
            {"error": {"code": 429, "retry_after": "1s", "times": 2}},
            {"error": {}},
        )
    )


def test_a_script_needs_a_response() -> None:
    assert wrong(scripted()) == ["scripted.responses"]


@pytest.mark.parametrize(
    ("response", "field"),
    [
        ({"tool_calls": [{"name": "a"}, {"input_json": "{}"}]}, "tool_calls[1].name"),
        ({"tool_calls": [{"name": "a", "input_json": "{"}]}, "tool_calls[0].input_json"),
        ({"tool_calls": [{"name": "a", "input_json": "NaN"}]}, "tool_calls[0].input_json"),
        ({"tool_calls": [{"name": "a", "input_json": "[" * 100_000}]}, "tool_calls[0].input_json"),
        ({"usage": {"output_tokens": "-1"}}, "usage.output_tokens"),
        ({"usage": {"cache_read_tokens": "1000000000001"}}, "usage.cache_read_tokens"),
        ({"usage": {"model_time": "-1s"}}, "usage.model_time"),
        ({"delay": "-0.1s"}, "delay"),
        ({"delay": "86401s"}, "delay"),
        ({"error": {"code": 399}}, "error.code"),
        ({"error": {"code": 600}}, "error.code"),
        ({"error": {"code": -1}}, "error.code"),
        ({"error": {"retry_after": "-1s"}}, "error.retry_after"),
        ({"error": {"times": -1}}, "error.times"),
    ],
)
def test_what_a_response_may_not_say(response: dict[str, object], field: str) -> None:
    assert wrong(scripted({}, response)) == [f"scripted.responses[1].{field}"]


def test_a_grader_is_not_built_yet() -> None:
    model: dict[str, object] = {"scripted": {"responses": [{}], "grader": [{"met": True}]}}
    assert unbuilt(validate.create, create(model)) == f"{MODEL}scripted.grader"
