"""Requests about sessions: events, filters, pages, ids."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from managedagents.v1 import service_pb2, user_event_pb2
from managedagents_server.rpc import validate
from managedagents_server.words.limits import Limits
from support.refused import exceeded, fields_of_refusal

TEXT: dict[str, object] = {"text": {"text": "hi"}}


def event(**fields: object) -> user_event_pb2.UserEvent:
    return json_format.ParseDict(fields, user_event_pb2.UserEvent())


def send(**fields: object) -> service_pb2.SendEventRequest:
    return service_pb2.SendEventRequest(session_id="ses_1", event=event(**fields))


def said(*blocks: dict[str, object]) -> service_pb2.SendEventRequest:
    return send(user_message={"content": list(blocks)})


@pytest.mark.parametrize(
    "request_",
    [
        said(TEXT),
        said(
            TEXT, {"image": {"media_type": "image/png", "data": "iVBORw0KGgo="}}, {"file": {"media_type": "text/plain"}}
        ),
        send(user_interrupt={}),
        send(user_custom_tool_result={"custom_tool_use_id": "use_1"}),
        send(user_custom_tool_result={"custom_tool_use_id": "use_1", "content": [TEXT], "is_error": True}),
    ],
)
def test_events_that_pass(request_: service_pb2.SendEventRequest) -> None:
    assert not fields_of_refusal(validate.send_event, request_)


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (service_pb2.SendEventRequest(), ["session_id", "event"]),
        (send(), ["event"]),
        (said(), ["event.user_message.content"]),
        (said(TEXT, {}), ["event.user_message.content[1]"]),
        (said(TEXT, {"text": {}}), ["event.user_message.content[1].text.text"]),
        (said({"image": {"data": "AAA="}}), ["event.user_message.content[0].image.media_type"]),
        (said({"file": {"data": "AAA="}}), ["event.user_message.content[0].file.media_type"]),
        (
            said({"file": {"media_type": "pdf"}}, {"image": {"media_type": "png"}}),
            ["event.user_message.content[0].file.media_type", "event.user_message.content[1].image.media_type"],
        ),
        (said({"image": {"media_type": "image/png"}}), ["event.user_message.content[0].image.data"]),
        (
            said({"image": {"media_type": "image/gif", "data": "iVBORw0KGgo="}}),
            ["event.user_message.content[0].image.media_type"],
        ),
        (
            send(user_custom_tool_result={"content": [{}]}),
            ["event.user_custom_tool_result.custom_tool_use_id", "event.user_custom_tool_result.content[0]"],
        ),
    ],
)
def test_events_that_do_not(request_: service_pb2.SendEventRequest, fields: list[str]) -> None:
    assert fields_of_refusal(validate.send_event, request_) == fields


@pytest.mark.parametrize(
    ("defined", "fields"),
    [
        ({"criteria": "it is done"}, []),
        ({"criteria": "it is done", "max_iterations": 1}, []),
        ({"criteria": "it is done", "max_iterations": 20}, []),
        ({}, ["criteria"]),
        ({"criteria": " \n"}, ["criteria"]),
        ({"criteria": "it is done", "max_iterations": 0}, ["max_iterations"]),
        ({"criteria": "it is done", "max_iterations": 21}, ["max_iterations"]),
        ({"max_iterations": -1}, ["criteria", "max_iterations"]),
    ],
)
def test_an_outcome_has_criteria_and_1_to_20_iterations(defined: dict[str, Any], fields: list[str]) -> None:
    request = send(user_define_outcome=defined)
    assert fields_of_refusal(validate.send_event, request) == [f"event.user_define_outcome.{name}" for name in fields]


def test_an_event_has_a_greatest_size() -> None:
    request = said({"text": {"text": "x" * 1000}})
    size = request.event.ByteSize()
    assert not fields_of_refusal(validate.send_event, request, Limits(event_bytes=size))
    assert exceeded(validate.send_event, request, Limits(event_bytes=size - 1)) == ("event_bytes", str(size - 1))


def test_a_new_session_with_events() -> None:
    good = event(user_message={"content": [TEXT]})
    request = service_pb2.StartSessionRequest(agent_id="agt_1", initial_events=[good], metadata={"k": "v"})
    assert not fields_of_refusal(validate.start_session, request)
    request.initial_events.append(event(user_message={}))
    request.metadata["k"] = "v" * 513
    request.ClearField("agent_id")
    assert fields_of_refusal(validate.start_session, request) == [
        "agent_id",
        "metadata[k]",
        "initial_events[1].user_message.content",
    ]


@pytest.mark.parametrize(
    ("environment", "fields"),
    [
        ({}, []),
        ({"env": {"PATH": "/bin", "_a1": ""}, "working_dir": "a/b", "network": True}, []),
        ({"env": {"1A": "b"}}, ["env[1A]"]),
        ({"env": {"A": "b\0"}}, ["env[A]"]),
        ({"env": {f"A{number}": "" for number in range(129)}}, ["env"]),
        ({"env": {"A": "x" * 65536}}, ["env"]),
        ({"working_dir": "/etc"}, ["working_dir"]),
        ({"working_dir": "a/../../b"}, ["working_dir"]),
        ({"working_dir": "a" * 1025}, ["working_dir"]),
        ({"limits": {"wall_time": "-1s"}}, ["limits.wall_time"]),
        ({"limits": {"disk_bytes": "-1"}}, ["limits.disk_bytes"]),
    ],
)
def test_the_environment_of_a_new_session(environment: dict[str, Any], fields: list[str]) -> None:
    request = service_pb2.StartSessionRequest(agent_id="agt_1")
    json_format.ParseDict(environment, request.environment)
    assert fields_of_refusal(validate.start_session, request) == [f"environment.{field}" for field in fields]


@pytest.mark.parametrize(
    ("asked", "limit"),
    [
        ({"wall_time": "121s"}, "tool_wall_time"),
        ({"cpu_time": "60.5s"}, "tool_cpu_time"),
        ({"memory_bytes": str(2**40)}, "tool_memory_bytes"),
        ({"processes": 65}, "tool_processes"),
        ({"file_bytes": str(2**40)}, "tool_file_bytes"),
        ({"disk_bytes": str(2**40)}, "workspace_bytes"),
    ],
)
def test_the_bounds_of_an_environment_are_within_those_of_the_server(asked: dict[str, Any], limit: str) -> None:
    request = service_pb2.StartSessionRequest(agent_id="agt_1")
    json_format.ParseDict(asked, request.environment.limits)
    name, _ = exceeded(validate.start_session, request, Limits())
    assert name == limit


def overridden(**overrides: Any) -> service_pb2.StartSessionRequest:
    return json_format.ParseDict({"agent_id": "agt_1", "overrides": overrides}, service_pb2.StartSessionRequest())


SCRIPTED = {"scripted": {"responses": [{"text": "ok"}]}}


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (overridden(), []),
        (overridden(system="", tools={}, model=SCRIPTED), []),
        (overridden(model={}), ["overrides.model"]),
        (
            overridden(model={"provider_model": {"provider": "PROVIDER_OPENAI", "model": "m", "api_key": ""}}),
            ["overrides.model.provider_model.api_key"],
        ),
        (overridden(tools={"tools": [{"custom": {"name": ""}}]}), ["overrides.tools.tools[0].custom.name"]),
    ],
)
def test_overrides(request_: service_pb2.StartSessionRequest, fields: list[str]) -> None:
    assert fields_of_refusal(validate.start_session, request_) == fields


def test_overrides_have_a_greatest_size_and_number_of_tools() -> None:
    request = overridden(tools={"tools": [{"custom": {"name": f"t{number}"}} for number in range(3)]})
    size = request.overrides.ByteSize()
    assert not fields_of_refusal(validate.start_session, request, Limits(tools=3, definition_bytes=size))
    assert exceeded(validate.start_session, request, Limits(tools=2)) == ("tools", "2")
    limits = Limits(definition_bytes=size - 1)
    assert exceeded(validate.start_session, request, limits) == ("definition_bytes", str(size - 1))


@pytest.mark.parametrize(("api_key", "fields"), [("k", []), ("", ["definition.model.provider_model.api_key"])])
def test_only_an_update_may_keep_a_key(api_key: str, fields: list[str]) -> None:
    model = {"provider_model": {"provider": "PROVIDER_OPENAI", "model": "m", "api_key": api_key}}
    definition = {"definition": {"name": "a", "model": model}}
    create = json_format.ParseDict(definition, service_pb2.CreateRequest())
    update = json_format.ParseDict(
        {"agent_id": "agt_1", "version": "1", **definition}, service_pb2.UpdateAgentRequest()
    )
    assert fields_of_refusal(validate.create, create) == fields
    assert fields_of_refusal(validate.update_agent, update) == []


@pytest.mark.parametrize("version", [0, -1])
def test_an_update_names_the_version_that_it_replaces(version: int) -> None:
    request = service_pb2.UpdateAgentRequest(agent_id="agt_1", version=version)
    assert fields_of_refusal(validate.update_agent, request) == ["version", "definition"]


REQUEST_IDS: list[tuple[Callable[[Any, Limits], None], Message]] = [
    (validate.create, service_pb2.CreateRequest()),
    (validate.start_session, service_pb2.StartSessionRequest()),
    (validate.send_event, service_pb2.SendEventRequest()),
    (validate.change_session, service_pb2.PauseRequest()),
    (validate.update_agent, service_pb2.UpdateAgentRequest()),
    (validate.archive_agent, service_pb2.ArchiveAgentRequest()),
]


@pytest.mark.parametrize(("check", "request_"), REQUEST_IDS)
def test_request_ids_have_at_most_128_bytes(check: Callable[[Any, Limits], None], request_: Any) -> None:
    request_.request_id = "ü" * 64
    assert "request_id" not in fields_of_refusal(check, request_)
    request_.request_id = "ü" * 64 + "x"
    assert "request_id" in fields_of_refusal(check, request_)


@pytest.mark.parametrize(
    ("check", "request_", "field"),
    [
        (validate.on_session, service_pb2.StatusRequest(), "session_id"),
        (validate.change_session, service_pb2.ArchiveRequest(), "session_id"),
        (validate.stream_events, service_pb2.StreamEventsRequest(), "session_id"),
        (validate.list_events, service_pb2.ListEventsRequest(), "session_id"),
        (validate.get_agent, service_pb2.GetAgentRequest(), "agent_id"),
        (validate.archive_agent, service_pb2.ArchiveAgentRequest(), "agent_id"),
    ],
)
def test_the_id_is_required(check: Callable[[Any, Limits], None], request_: Message, field: str) -> None:
    assert fields_of_refusal(check, request_) == [field]


def test_kinds_are_those_of_the_log() -> None:
    kinds = ["user.message", "agent.custom_tool_use", "status.idle", "outcome.evaluated", "error"]
    request = service_pb2.StreamEventsRequest(session_id="s", kinds=kinds)
    assert not fields_of_refusal(validate.stream_events, request)
    request.kinds.extend(["agent_message", "", "agent.shrug"])
    assert fields_of_refusal(validate.stream_events, request) == ["kinds[5]", "kinds[6]", "kinds[7]"]
    listing = service_pb2.ListEventsRequest(session_id="s", kinds=["status_idle"])
    assert fields_of_refusal(validate.list_events, listing) == ["kinds[0]"]


@pytest.mark.parametrize(("size", "fine"), [(0, True), (1, True), (1000, True), (1001, False), (-1, False)])
@pytest.mark.parametrize(
    ("check", "request_"),
    [
        (validate.list_agents, service_pb2.ListAgentsRequest()),
        (validate.list_sessions, service_pb2.ListSessionsRequest()),
        (validate.list_events, service_pb2.ListEventsRequest(session_id="s")),
    ],
)
def test_page_sizes(check: Callable[[Any, Limits], None], request_: Any, size: int, fine: bool) -> None:
    request_.page_size = size
    assert fields_of_refusal(check, request_) == ([] if fine else ["page_size"])


def test_a_filter_says_a_status() -> None:
    request = json_format.ParseDict({"statuses": [3, 0, 5]}, service_pb2.ListSessionsRequest())
    assert fields_of_refusal(validate.list_sessions, request) == ["statuses[1]"]
