"""Which model an agent may name."""

import pytest
from google.protobuf import json_format

from managedagents.v1 import agent_pb2, service_pb2
from managedagents_server.rpc import validate
from managedagents_server.rpc.validate.model import check_model
from managedagents_server.rpc.validate.problems import Problems
from support.refused import fields_of_refusal

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


def test_a_credential_may_say_where_the_model_is() -> None:
    assert not wrong(served(base_url=None, credential="team-a"))


@pytest.mark.parametrize("provider", ["OPENAI", "ANTHROPIC", "GEMINI", "OLLAMA"])
def test_the_others_have_an_address_of_their_own(provider: str) -> None:
    assert not wrong(served(provider=f"PROVIDER_{provider}", base_url=None))


def test_what_is_no_address() -> None:
    assert wrong(served(base_url="ftp://example.org")) == ["provider_model.base_url"]


def test_a_name_alone_passes() -> None:
    assert not wrong({"name": "gpt-4.1"})


@pytest.mark.parametrize("name", ["", "x" * 257, "a\nb", "a\0"])
def test_what_is_no_name(name: str) -> None:
    assert wrong({"name": name}) == ["name"]
    assert wrong(served(model=name)) == ["provider_model.model"]


@pytest.mark.parametrize("name", ["a", "team-a", "Team.A_1", "a" * 64])
def test_names_of_credentials(name: str) -> None:
    assert not wrong(served(credential=name))


@pytest.mark.parametrize("name", ["", "-a", "a b", "ä", "a/b", "a" * 65, "a\n"])
def test_what_is_no_name_of_a_credential(name: str) -> None:
    assert wrong(served(credential=name)) == ["provider_model.credential"]


def test_inline_keys() -> None:
    assert not wrong(served(api_key="sk-1/+=~!"))
    assert not wrong(served(api_key="k" * 8192))


@pytest.mark.parametrize("key", ["", "a b", "a\n", "ä", "k" * 8193, "\x7f"])
def test_what_is_no_inline_key(key: str) -> None:
    assert wrong(served(api_key=key)) == ["provider_model.api_key"]


def test_an_inline_key_may_be_empty_where_one_is_there_already() -> None:
    model = create(served(api_key="")).definition.model
    with Problems() as problems:
        check_model(problems, "model", model, may_keep_key=True)


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


@pytest.mark.parametrize(
    ("verdict", "field"),
    [
        ({"met": True}, None),
        ({"delay": "5s", "error": {"code": 429, "retry_after": "1s", "times": 2}}, None),
        ({"delay": "-1s"}, "delay"),
        ({"delay": "86401s"}, "delay"),
        ({"error": {"code": 200}}, "error.code"),
        ({"error": {"times": -1}}, "error.times"),
    ],
)
def test_the_verdicts_of_a_script(verdict: dict[str, object], field: str | None) -> None:
    model: dict[str, object] = {"scripted": {"responses": [{"text": "ok"}], "grader": [{"met": False}, verdict]}}
    assert wrong(model) == ([] if field is None else [f"scripted.grader[1].{field}"])
