"""What an agent's definition may say."""

import json

import pytest
from google.protobuf import json_format

from managedagents.v1 import agent_pb2, service_pb2
from managedagents_server.rpc import validate
from managedagents_server.words.limits import Limits
from support.refused import exceeded, fields_of_refusal

SCRIPTED = {"scripted": {"responses": [{"text": "hello"}]}}


def create(**fields: object) -> service_pb2.CreateRequest:
    """A request whose definition is a right one but for these fields; None leaves one out."""
    given = {"name": "an agent", "model": SCRIPTED, **fields}
    definition = agent_pb2.AgentDefinition()
    json_format.ParseDict({key: value for key, value in given.items() if value is not None}, definition)
    return service_pb2.CreateRequest(definition=definition)


def wrong(**fields: object) -> list[str]:
    return [field.removeprefix("definition.") for field in fields_of_refusal(validate.create, create(**fields))]


def tool(name: str = "deploy", schema: str = "") -> dict[str, object]:
    return {"custom": {"name": name, "input_schema_json": schema}}


def test_the_smallest_definition_passes() -> None:
    assert not wrong()


def test_a_full_definition_passes() -> None:
    assert not wrong(
        description="d",
        system="s",
        model_settings={
            "max_tokens": 1,
            "temperature": 2,
            "stop_sequences": ["x"] * 16,
            "seed": "-5",
            "thinking_effort": "THINKING_EFFORT_LOW",
            "response_schema_json": '{"type": "object"}',
        },
        tools=[tool("a", '{"type": "object", "properties": {"x": {"type": "integer"}}}'), tool("A-b_9")],
        custom_tool_timeout="2592000s",
        compaction={"threshold": 0.5, "window_tokens": "100000000"},
        token_budget="1000000000000000",
        metadata={"k" * 128: "v" * 512},
    )


def test_a_definition_is_required() -> None:
    assert fields_of_refusal(validate.create, service_pb2.CreateRequest()) == ["definition"]


def test_all_that_is_wrong_is_named_at_once() -> None:
    assert wrong(name=None, model=None, model_settings={"max_tokens": 0}, tools=[tool(""), {}]) == [
        "name",
        "model",
        "model_settings.max_tokens",
        "tools[0].custom.name",
        "tools[1]",
    ]


def test_what_is_wrong_comes_before_what_is_not_built() -> None:
    assert wrong(name=None, tools=[{"bash": {}}]) == ["name"]


def test_a_refusal_names_only_so_many_fields() -> None:
    assert len(wrong(tools=[tool("")] * 100)) == 20


@pytest.mark.parametrize(("name", "fine"), [("", False), ("ü" * 256, True), ("n" * 257, False)])
def test_the_name(name: str, fine: bool) -> None:
    assert wrong(name=name) == ([] if fine else ["name"])


@pytest.mark.parametrize(
    "settings",
    [
        {"max_tokens": 0},
        {"max_tokens": -1},
        {"temperature": -0.1},
        {"temperature": 2.1},
        {"temperature": "NaN"},
        {"stop_sequences": ["x"] * 17},
    ],
)
def test_settings_out_of_range(settings: dict[str, object]) -> None:
    assert wrong(model_settings=settings) == [f"model_settings.{next(iter(settings))}"]


def test_an_empty_stop_sequence() -> None:
    assert wrong(model_settings={"stop_sequences": ["x", ""]}) == ["model_settings.stop_sequences[1]"]


@pytest.mark.parametrize("name", ["", "a b", "ü", "n" * 65, "a.b", "a\n"])
def test_tool_names(name: str) -> None:
    assert wrong(tools=[tool("fine"), tool(name)]) == ["tools[1].custom.name"]


def test_of_two_tools_of_one_name_the_second_is_named() -> None:
    assert wrong(tools=[tool("a"), tool("b"), tool("a")]) == ["tools[2].custom.name"]


@pytest.mark.parametrize(
    "schema",
    [
        "{",
        "[]",
        "true",
        '"text"',
        "NaN",
        '{"maximum": Infinity}',
        '{"type": "thing"}',
        '{"type": "array", "items": [{}]}',
        '{"properties": []}',
        '{"required": "x"}',
        "[" * 100_000,
        '{"not": ' * 2000 + "{}" + "}" * 2000,
    ],
)
def test_what_is_no_schema(schema: str) -> None:
    assert wrong(tools=[tool("a"), tool("b", schema)]) == ["tools[1].custom.input_schema_json"]


@pytest.mark.parametrize(
    "schema",
    [
        "{}",
        '{"type": "object", "additionalProperties": false}',
        '{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}',
        '{"properties": {"x": {"type": "string", "pattern": "^\\\\p{L}+$"}}}',
        '{"properties": {"x": {"$ref": "https://example.org/never-fetched"}}}',
        '{"properties": {"x": {"maximum": 12345678901234567890}}}',
    ],
)
def test_what_is_a_schema(schema: str) -> None:
    assert not wrong(tools=[tool("a", schema)])


@pytest.mark.parametrize(
    ("timeout", "fine"),
    [("0.001s", True), ("0.000999s", False), ("0s", False), ("-1s", False), ("2592000.000000001s", False)],
)
def test_the_custom_tool_timeout(timeout: str, fine: bool) -> None:
    assert wrong(custom_tool_timeout=timeout) == ([] if fine else ["custom_tool_timeout"])


def test_a_schema_of_the_answer_is_one() -> None:
    assert wrong(model_settings={"response_schema_json": '{"type": "thing"}'}) == [
        "model_settings.response_schema_json"
    ]


@pytest.mark.parametrize(
    ("policy", "fields"),
    [
        ({}, []),
        ({"threshold": 0.999, "window_tokens": "256"}, []),
        ({"threshold": 1}, ["threshold"]),
        ({"threshold": -0.1}, ["threshold"]),
        ({"threshold": "NaN"}, ["threshold"]),
        ({"threshold": "Infinity"}, ["threshold"]),
        ({"window_tokens": "255"}, ["window_tokens"]),
        ({"window_tokens": "-1"}, ["window_tokens"]),
        ({"window_tokens": "100000001"}, ["window_tokens"]),
    ],
)
def test_compaction(policy: dict[str, object], fields: list[str]) -> None:
    assert wrong(compaction=policy) == [f"compaction.{field}" for field in fields]


@pytest.mark.parametrize("tokens", ["0", "-1", "1000000000000001"])
def test_what_is_no_token_budget(tokens: str) -> None:
    assert wrong(token_budget=tokens) == ["token_budget"]


def test_a_duration_whose_parts_disagree() -> None:
    request = create()
    request.definition.custom_tool_timeout.seconds = 1
    request.definition.custom_tool_timeout.nanos = -1
    assert fields_of_refusal(validate.create, request) == ["definition.custom_tool_timeout"]


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"": "v"}, "metadata[]"),
        ({"ü" * 65: "v"}, f"metadata[{'ü' * 65}]"),
        ({"k": "ü" * 257}, "metadata[k]"),
        ({str(number): "" for number in range(65)}, "metadata"),
    ],
)
def test_metadata(metadata: dict[str, str], field: str) -> None:
    assert wrong(metadata=metadata) == [field]


def test_built_in_tools_are_named_as_they_are_called() -> None:
    assert not wrong(tools=[{"bash": {}}, {"web_search": {}}, tool("deploy")])
    assert wrong(tools=[{"bash": {}}, tool("bash"), {"bash": {}}]) == ["tools[1].custom.name", "tools[2].bash"]


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({}, None),
        ({"default": "PERMISSION_MODE_DENY", "tools": {"bash": "PERMISSION_MODE_PROMPT"}}, None),
        ({"tools": {"bash": "PERMISSION_MODE_UNSPECIFIED"}}, "bash"),
        ({"tools": {"bsah": "PERMISSION_MODE_DENY"}}, "bsah"),
        ({"tools": {"filesystem": "PERMISSION_MODE_DENY"}}, "filesystem"),
        ({"tools": {"deploy": "PERMISSION_MODE_DENY"}}, "deploy"),
    ],
)
def test_a_policy_names_built_in_tools_of_the_agent(policy: dict[str, object], field: str | None) -> None:
    fields = [] if field is None else [f"permission_policy.tools[{field}]"]
    assert wrong(tools=[{"bash": {}}, tool("deploy")], permission_policy=policy) == fields


@pytest.mark.parametrize(
    ("server", "field"),
    [
        ({"name": "m"}, ""),
        ({"name": "a b", "configured": "m"}, ".name"),
        ({"name": "", "configured": "m"}, ".name"),
        ({"name": "m", "configured": ""}, ".configured"),
        ({"name": "m", "http": {}}, ".http.url"),
        ({"name": "m", "http": {"url": "ftp://mcp.example.com"}}, ".http.url"),
        ({"name": "m", "http": {"url": "https://me:secret@mcp.example.com/mcp"}}, ".http.url"),
        ({"name": "m", "stdio": {}}, ".stdio.command"),
        ({"name": "m", "stdio": {"command": "a", "args": ["b", "c\0"]}}, ".stdio.args[1]"),
        ({"name": "m", "stdio": {"command": "a", "env": {"A=B": "c"}}}, ".stdio.env[A=B]"),
    ],
)
def test_an_mcp_server_has_a_name_and_a_way_to_it(server: dict[str, object], field: str) -> None:
    request = create(mcp_servers=[server])
    assert fields_of_refusal(validate.create, request) == [f"definition.mcp_servers[0]{field}"]


@pytest.mark.parametrize(
    "server",
    [
        {"name": "m", "configured": "m"},
        {"name": "m", "stdio": {"command": "python3", "args": ["-c", ""], "env": {"A": "b"}}},
        {"name": "m", "http": {"url": "https://mcp.example.com/mcp?team=a"}},
    ],
)
def test_an_mcp_server_that_may_be(server: dict[str, object]) -> None:
    assert fields_of_refusal(validate.create, create(mcp_servers=[server])) == []


def test_two_mcp_servers_of_one_name_are_refused() -> None:
    servers = [{"name": "m", "configured": "a"}, {"name": "m", "configured": "b"}]
    assert fields_of_refusal(validate.create, create(mcp_servers=servers)) == ["definition.mcp_servers[1].name"]


def test_a_policy_may_name_what_a_server_might_offer() -> None:
    servers = [{"name": "m", "configured": "m"}]
    modes = {"m__read": "PERMISSION_MODE_DENY", "n__read": "PERMISSION_MODE_DENY", "m_read": "PERMISSION_MODE_DENY"}
    request = create(mcp_servers=servers, permission_policy={"tools": modes})
    assert fields_of_refusal(validate.create, request) == [
        "definition.permission_policy.tools[m_read]",
        "definition.permission_policy.tools[n__read]",
    ]


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"tools": [tool()] * 3}, "tools"),
        ({"mcp_servers": [{"name": "m"}] * 3}, "mcp_servers"),
        ({"skills": [{"skill_id": "s"}] * 3}, "skills"),
    ],
)
def test_counts_have_limits(fields: dict[str, object], limit: str) -> None:
    assert exceeded(validate.create, create(**fields), Limits(tools=2, mcp_servers=2, skills=2)) == (limit, "2")


def test_the_size_has_a_limit() -> None:
    request = create(system="s" * 1000)
    size = request.definition.ByteSize()
    assert not fields_of_refusal(validate.create, request, Limits(definition_bytes=size))
    assert exceeded(validate.create, request, Limits(definition_bytes=size - 1)) == ("definition_bytes", str(size - 1))


def test_reasons_stay_short() -> None:
    schema = json.dumps({"properties": {"x" * 5000: {"type": "y" * 5000}}})
    with pytest.raises(Exception, match="is no JSON Schema") as caught:
        validate.create(create(tools=[tool("a", schema)]), Limits())
    assert len(str(caught.value)) < 500
