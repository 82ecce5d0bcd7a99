"""A session may replace parts of its agent's definition for itself."""

from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import session_pb2
from support.calls import kind, message, refused, scripted, send, until
from support.requests import call
from support.server import Server, Stub

AGENT = scripted({"text": "the agent's"}, {"text": "the agent's"}, tools=["look"], system="the agent's")
OWN_MODEL = {"model": {"scripted": {"responses": [{"text": "its own"}, {"tool_calls": [{"name": "touch"}]}]}}}
OWN_TOOLS = {"tools": {"tools": [{"custom": {"name": "touch"}}]}}


def overrides(fields: dict[str, Any]) -> session_pb2.SessionOverrides:
    return json_format.ParseDict(fields, session_pb2.SessionOverrides())


async def create(stub: Stub) -> str:
    return (await stub.Create(pb.CreateRequest(definition=AGENT))).agent_id


async def begin(stub: Stub, agent_id: str, fields: dict[str, Any]) -> str:
    request = pb.StartSessionRequest(agent_id=agent_id, overrides=overrides(fields), initial_events=[message("go")])
    return (await stub.StartSession(request)).session_id


async def shown(stub: Stub, session_id: str) -> session_pb2.Session:
    return (await stub.GetSession(pb.GetSessionRequest(session_id=session_id))).session


async def test_a_session_s_own_model_answers_it_and_nobody_else(stub: Stub) -> None:
    agent_id = await create(stub)
    sessions = {"its own": await begin(stub, agent_id, OWN_MODEL), "the agent's": await begin(stub, agent_id, {})}
    for text, session_id in sessions.items():
        events = await until(stub, session_id, "status.idle")
        assert events[2].agent_message.content[0].text.text == text
    agent = (await stub.GetAgent(pb.GetAgentRequest(agent_id=agent_id))).agent
    assert agent.definition == AGENT


async def test_a_session_s_own_tools_are_the_only_ones_also_across_a_kill(server: Server) -> None:
    async with server.channel() as channel:
        stub = Stub(channel)
        agent_id = await create(stub)
        session_id = await begin(stub, agent_id, {**OWN_MODEL, **OWN_TOOLS})
        without = await begin(stub, agent_id, {**OWN_MODEL, "tools": {}})
        for started in (session_id, without):
            await until(stub, started, "status.idle")
        await server.kill()
    await server.start()
    async with server.channel() as channel:
        stub = Stub(channel)
        for started in (session_id, without):
            await send(stub, started, "again")
        assert kind((await until(stub, session_id, "agent.custom_tool_use"))[-1]) == "agent.custom_tool_use"
        # Present and empty: the model calls a tool that is none any more.
        assert kind((await until(stub, without, "agent.tool_use"))[-1]) == "agent.tool_use"


@pytest.mark.parametrize(
    "fields",
    [{}, {"system": ""}, {"system": "another"}, {"tools": {}}, OWN_TOOLS, OWN_MODEL, {**OWN_MODEL, **OWN_TOOLS}],
)
async def test_overrides_are_shown_as_they_were_given(stub: Stub, fields: dict[str, Any]) -> None:
    session_id = await begin(stub, await create(stub), fields)
    session = await shown(stub, session_id)
    assert session.HasField("overrides")
    assert session.overrides == overrides(fields)
    listed = (await stub.ListSessions(pb.ListSessionsRequest(page_size=1))).sessions
    assert listed[0].overrides == overrides(fields)


async def test_a_session_without_overrides_shows_none(stub: Stub, session_id: str) -> None:
    assert not (await shown(stub, session_id)).HasField("overrides")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"model": {}}, ["overrides.model"]),
        ({"model": {"scripted": {}}}, ["overrides.model.scripted.responses"]),
        (
            {"model": {"provider_model": {"provider": "PROVIDER_OPENAI", "model": "m", "api_key": ""}}},
            ["overrides.model.provider_model.api_key"],
        ),
        ({"tools": {"tools": [{}]}}, ["overrides.tools.tools[0]"]),
        (
            {"tools": {"tools": [{"custom": {"name": "a"}}, {"custom": {"name": "a"}}]}},
            ["overrides.tools.tools[1].custom.name"],
        ),
        (
            {"model": {"scripted": {}}, "tools": {"tools": [{"custom": {"name": "a b"}}]}},
            ["overrides.model.scripted.responses", "overrides.tools.tools[0].custom.name"],
        ),
    ],
)
async def test_what_is_wrong_with_overrides_is_named(stub: Stub, fields: dict[str, Any], wrong: list[str]) -> None:
    agent_id = await create(stub)
    refusal = await refused(call(stub, "StartSession", {"agent_id": agent_id, "overrides": fields}))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert refusal.fields == wrong
    assert not (await stub.ListSessions(pb.ListSessionsRequest(agent_id=agent_id))).sessions


async def test_a_model_that_the_server_cannot_ask_is_refused(stub: Stub) -> None:
    agent_id = await create(stub)
    model = {"provider_model": {"provider": "PROVIDER_OPENAI", "model": "m", "credential": "nobody-s"}}
    refusal = await refused(call(stub, "StartSession", {"agent_id": agent_id, "overrides": {"model": model}}))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PROVIDER_UNUSABLE")
    assert refusal.metadata == {"field": "overrides.model.provider_model.credential"}


async def test_overrides_and_definition_together_have_a_greatest_size(stub: Stub) -> None:
    agent = await stub.Create(
        pb.CreateRequest(definition=scripted({"text": "ok"}, system="x", description="y" * 200_000))
    )
    for system, size in (("s" * 50_000, 250_000), ("s" * 100_000, 300_000)):
        request = pb.StartSessionRequest(agent_id=agent.agent_id, overrides=overrides({"system": system}))
        if size < 256 * 1024:
            await stub.StartSession(request)
        else:
            refusal = await refused(stub.StartSession(request))
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED")
            assert refusal.metadata == {"limit": "definition_bytes", "value": str(256 * 1024)}
    # More than a definition may have is refused without a look at the agent.
    request = pb.StartSessionRequest(agent_id="agt_nobody", overrides=overrides({"system": "s" * 300_000}))
    assert (await refused(stub.StartSession(request))).reason == "LIMIT_EXCEEDED"


async def test_the_same_id_with_other_overrides_is_another_request(stub: Stub) -> None:
    agent_id = await create(stub)
    request = pb.StartSessionRequest(agent_id=agent_id, overrides=overrides({"system": "one"}), request_id=agent_id)
    first = await stub.StartSession(request)
    assert await stub.StartSession(request) == first
    request.overrides.system = ""
    assert (await refused(stub.StartSession(request))).reason == "REQUEST_ID_REUSED"


async def test_a_page_of_sessions_with_large_overrides_ends_at_about_a_mebibyte(stub: Stub) -> None:
    agent_id = await create(stub)
    made = [await begin(stub, agent_id, {"system": "x" * 250_000}) for _ in range(6)]
    first = await stub.ListSessions(pb.ListSessionsRequest(agent_id=agent_id))
    second = await stub.ListSessions(pb.ListSessionsRequest(agent_id=agent_id, page_token=first.next_page_token))
    assert [row.session_id for row in [*first.sessions, *second.sessions]] == made[::-1]
    assert first.ByteSize() < 1_100_000
    assert not second.next_page_token
