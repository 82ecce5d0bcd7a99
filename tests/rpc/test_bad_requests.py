"""What is refused by its shape: its status, reason and field paths. Nothing is logged, and the server serves on."""

import random
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from support.calls import log, refused, resting_session, send
from support.requests import ON_SESSION, SERVICE, call, raw_call, request
from support.server import Stub

OK_MODEL = {"scripted": {"responses": [{"text": "ok"}]}}
CUSTOM = "definition.tools[0].custom"


def define(**parts: Any) -> dict[str, Any]:
    return {"definition": {"name": "test", "model": OK_MODEL, **parts}}


def define_custom(**tool: Any) -> dict[str, Any]:
    return define(tools=[{"custom": {"name": "look", **tool}}])


def define_scripted(*responses: dict[str, Any]) -> dict[str, Any]:
    return define(model={"scripted": {"responses": list(responses)}})


def say(*content: dict[str, Any]) -> dict[str, Any]:
    return {"session_id": "$", "event": {"user_message": {"content": list(content)}}}


SCRIPT = "definition.model.scripted.responses"
PROVIDER = "definition.model.provider_model"

INVALID: list[tuple[str, dict[str, Any], list[str]]] = [
    ("Create", {}, ["definition"]),
    ("Create", {"definition": {}}, ["definition.name", "definition.model"]),
    ("Create", {"definition": {"model": OK_MODEL}}, ["definition.name"]),
    ("Create", {"definition": {"name": "test"}}, ["definition.model"]),
    ("Create", define(name="x" * 257), ["definition.name"]),
    ("Create", define(model={"scripted": {}}), ["definition.model.scripted.responses"]),
    ("Create", define_scripted({"tool_calls": [{}]}), [f"{SCRIPT}[0].tool_calls[0].name"]),
    (
        "Create",
        define_scripted({}, {"tool_calls": [{"name": "x", "input_json": "{"}]}),
        [f"{SCRIPT}[1].tool_calls[0].input_json"],
    ),
    ("Create", define_scripted({"delay": "-1s"}), [f"{SCRIPT}[0].delay"]),
    ("Create", define_scripted({"error": {"code": 200}}), [f"{SCRIPT}[0].error.code"]),
    ("Create", define_scripted({"error": {"times": -1}}), [f"{SCRIPT}[0].error.times"]),
    ("Create", define_scripted({"usage": {"input_tokens": "-5"}}), [f"{SCRIPT}[0].usage.input_tokens"]),
    ("Create", define(model={"provider_model": {}}), [f"{PROVIDER}.model", f"{PROVIDER}.provider"]),
    (
        "Create",
        define(model={"provider_model": {"provider": "PROVIDER_OPENAI_COMPATIBLE", "model": "m"}}),
        [f"{PROVIDER}.base_url"],
    ),
    (
        "Create",
        define(
            model={
                "provider_model": {
                    "provider": "PROVIDER_OPENAI_COMPATIBLE",
                    "model": "m",
                    "base_url": "ftp://127.0.0.1",
                }
            }
        ),
        [f"{PROVIDER}.base_url"],
    ),
    ("Create", define(tools=[{}]), ["definition.tools[0]"]),
    ("Create", define_custom(name="has a space"), [f"{CUSTOM}.name"]),
    ("Create", define_custom(name=""), [f"{CUSTOM}.name"]),
    ("Create", define_custom(input_schema_json='{"type": "no such type"}'), [f"{CUSTOM}.input_schema_json"]),
    ("Create", define_custom(input_schema_json="[]"), [f"{CUSTOM}.input_schema_json"]),
    ("Create", define_custom(input_schema_json="{'a': 1}"), [f"{CUSTOM}.input_schema_json"]),
    ("Create", define_custom(input_schema_json='{"maximum": NaN}'), [f"{CUSTOM}.input_schema_json"]),
    ("Create", define_custom(input_schema_json='{"not":' * 5000), [f"{CUSTOM}.input_schema_json"]),
    (
        "Create",
        define(tools=[{"custom": {"name": name}} for name in ("look", "listen", "look")]),
        ["definition.tools[2].custom.name"],
    ),
    ("Create", define(custom_tool_timeout="0s"), ["definition.custom_tool_timeout"]),
    ("Create", define(custom_tool_timeout="2592001s"), ["definition.custom_tool_timeout"]),
    ("Create", define(model_settings={"max_tokens": 0}), ["definition.model_settings.max_tokens"]),
    ("Create", define(model_settings={"temperature": 2.5}), ["definition.model_settings.temperature"]),
    ("Create", define(model_settings={"temperature": "NaN"}), ["definition.model_settings.temperature"]),
    (
        "Create",
        define(model_settings={"stop_sequences": ["a", ""]}),
        ["definition.model_settings.stop_sequences[1]"],
    ),
    ("Create", define(metadata={"": "x"}), ["definition.metadata[]"]),
    ("Create", define(metadata={"k": "x" * 513}), ["definition.metadata[k]"]),
    ("Create", define(metadata={str(n): "" for n in range(65)}), ["definition.metadata"]),
    ("Create", {**define(), "request_id": "é" * 65}, ["request_id"]),
    ("StartSession", {}, ["agent_id"]),
    ("StartSession", {"agent_id": "agt_x", "metadata": {"k" * 129: ""}}, [f"metadata[{'k' * 129}]"]),
    ("StartSession", {"agent_id": "agt_x", "metadata": {"k": "a\0b"}}, ["metadata[k]"]),
    ("ListSessions", {"metadata": {"k": "a\0b"}}, ["metadata[k]"]),
    ("StartSession", {"agent_id": "agt_x", "initial_events": [{}]}, ["initial_events[0]"]),
    (
        "StartSession",
        {"agent_id": "agt_x", "initial_events": [{"user_interrupt": {}}, {"user_message": {}}]},
        ["initial_events[1].user_message.content"],
    ),
    ("SendEvent", {"session_id": "$"}, ["event"]),
    ("SendEvent", {"session_id": "$", "event": {}}, ["event"]),
    ("SendEvent", say(), ["event.user_message.content"]),
    ("SendEvent", say({"text": {"text": "fine"}}, {}), ["event.user_message.content[1]"]),
    ("SendEvent", say({"text": {}}), ["event.user_message.content[0].text.text"]),
    ("SendEvent", say({"image": {"data": "AAAA"}}), ["event.user_message.content[0].image.media_type"]),
    ("SendEvent", say({"file": {"data": "AAAA"}}), ["event.user_message.content[0].file.media_type"]),
    (
        "SendEvent",
        {"session_id": "$", "event": {"user_custom_tool_result": {}}},
        ["event.user_custom_tool_result.custom_tool_use_id"],
    ),
    ("SendEvent", {**say({"text": {"text": "x"}}), "request_id": "x" * 129}, ["request_id"]),
    ("StreamEvents", {"session_id": "$", "kinds": ["agent.massage"]}, ["kinds[0]"]),
    ("ListEvents", {"session_id": "$", "kinds": ["agent.message", "user_message"]}, ["kinds[1]"]),
    ("ListEvents", {"session_id": "$", "page_size": 1001}, ["page_size"]),
    ("ListSessions", {"page_size": -1}, ["page_size"]),
    ("ListSessions", {"statuses": ["SESSION_STATUS_IDLE", "SESSION_STATUS_UNSPECIFIED"]}, ["statuses[1]"]),
    ("ListAgents", {"page_size": 1001}, ["page_size"]),
    ("GetAgent", {}, ["agent_id"]),
    ("ArchiveAgent", {}, ["agent_id"]),
    *((method, {}, ["session_id", "event"] if method == "SendEvent" else ["session_id"]) for method in ON_SESSION),
]

UNKNOWN_ENUMS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("ListSessions", {"statuses": [1, 99]}, ["statuses[1]"]),
    ("Create", define(tool_host=99), ["definition.tool_host"]),
    ("Create", define_scripted({"stop_reason": 99}), [f"{SCRIPT}[0].stop_reason"]),
    ("Create", define(model={"provider_model": {"provider": 99, "model": "m"}}), [f"{PROVIDER}.provider"]),
    ("Create", define(model={"provider_model": {"provider": 2, "model": "m", "speed": -1}}), [f"{PROVIDER}.speed"]),
    ("Create", define(model_settings={"thinking_effort": 99}), ["definition.model_settings.thinking_effort"]),
    ("Create", define(permission_policy={"default": 99}), ["definition.permission_policy.default"]),
    ("Create", define(permission_policy={"tools": {"look": 99}}), ["definition.permission_policy.tools[look]"]),
    (
        "SendEvent",
        {"session_id": "$", "event": {"user_tool_confirmation": {"tool_use_id": "use_1", "decision": 99}}},
        ["event.user_tool_confirmation.decision"],
    ),
]

TOO_SHORT = b"\x0a\xff\xff\x01"
"""The beginning of a field of 32,767 bytes."""

BAD = "put no text here"
NO_UTF8: list[tuple[str, dict[str, Any], list[str]]] = [
    ("Create", define(name=BAD), ["definition.name"]),
    (
        "Create",
        define(tools=[{"custom": {"name": "a"}}, {"custom": {"name": BAD}}]),
        ["definition.tools[1].custom.name"],
    ),
    ("Create", define(metadata={"k": BAD}), ["definition.metadata[k]"]),
    (
        "SendEvent",
        say({"text": {"text": "fine"}}, {"text": {"text": BAD}}),
        ["event.user_message.content[1].text.text"],
    ),
    ("SendEvent", {**say({"text": {"text": "fine"}}), "request_id": BAD}, ["request_id"]),
    ("StreamEvents", {"session_id": "$", "kinds": ["error", BAD]}, ["kinds[1]"]),
    ("Status", {"session_id": BAD}, ["session_id"]),
]


def on(session_id: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "session_id": session_id} if "session_id" in fields else fields


def names(value: object) -> str | None:
    """Short names for the cases."""
    return value if isinstance(value, str) else ",".join(value)[:60] if isinstance(value, list) else ""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def untouched(stub: Stub) -> str:
    """A session at rest that no refused call may change: one serves them all."""
    return await resting_session(stub)


@pytest.mark.parametrize(("method", "fields", "wrong"), [*INVALID, *UNKNOWN_ENUMS], ids=names)
async def test_what_is_wrong_is_named(
    stub: Stub, untouched: str, method: str, fields: dict[str, Any], wrong: list[str]
) -> None:
    before = await log(stub, untouched)
    refusal = await refused(call(stub, method, on(untouched, fields)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert refusal.fields == wrong
    assert refusal.retry_after is None
    assert await log(stub, untouched) == before


@pytest.mark.parametrize(("method", "fields", "wrong"), NO_UTF8, ids=names)
async def test_bytes_that_are_no_text_are_named(
    stub: Stub, channel: grpc.aio.Channel, untouched: str, method: str, fields: dict[str, Any], wrong: list[str]
) -> None:
    whole = request(method, fields if fields.get("session_id") == BAD else on(untouched, fields)).SerializeToString()
    payload = whole.replace(BAD.encode(), b"\xff" * len(BAD))
    assert payload != whole
    refusal = await refused(raw_call(channel, method, payload))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")
    assert refusal.fields == wrong
    assert len(await log(stub, untouched)) == 4


@pytest.mark.parametrize("method", [method.name for method in SERVICE.methods])
async def test_garbage_is_refused_and_the_server_serves_on(
    stub: Stub, channel: grpc.aio.Channel, session_id: str, method: str
) -> None:
    rng = random.Random(method)
    for length in (1, 2, 5, 40, 1000, 20_000):
        for garbage in (rng.randbytes(length), TOO_SHORT + rng.randbytes(length)):
            refusal = await refused(raw_call(channel, method, garbage))
            assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
            # What is only random may happen to be a message of unknown fields.
            expected = {"MALFORMED_REQUEST", *(["INVALID_REQUEST"] if garbage[:3] != TOO_SHORT else [])}
            assert refusal.reason in expected
    assert await send(stub, session_id, "still there?") == 5


async def test_a_message_of_many_faults_still_fits_into_a_refusal(stub: Stub, session_id: str) -> None:
    refusal = await refused(call(stub, "SendEvent", on(session_id, say(*[{"text": {}}] * 5000))))
    assert refusal.reason == "INVALID_REQUEST"
    assert refusal.fields[0] == "event.user_message.content[0].text.text"
    assert len(refusal.fields) > 5


async def test_an_unknown_method_is_unimplemented(channel: grpc.aio.Channel) -> None:
    refusal = await refused(raw_call(channel, "Explode", b""))
    assert refusal.code is grpc.StatusCode.UNIMPLEMENTED
