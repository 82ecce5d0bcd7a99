"""Agents, sessions and tool uses that are not there, or no longer."""

from typing import Any

import grpc
import pytest

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import user_event_pb2
from support.calls import answer, log, message, refused, scripted, send, start, until
from support.requests import ON_SESSION, call
from support.server import Stub

EVENT = {"event": {"user_message": {"content": [{"text": {"text": "hi"}}]}}}
CALL = {"tool_calls": [{"name": "look"}, {"name": "look"}]}


def on(method: str, session_id: str) -> dict[str, Any]:
    return {"session_id": session_id, **(EVENT if method == "SendEvent" else {})}


@pytest.mark.parametrize("unknown", ["ses_nobody", "agt_x", "\0", "x" * 10_000])
@pytest.mark.parametrize("method", ON_SESSION)
async def test_an_unknown_session_is_not_found(stub: Stub, method: str, unknown: str) -> None:
    refusal = await refused(call(stub, method, on(method, unknown)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")


@pytest.mark.parametrize("method", ON_SESSION)
async def test_a_deleted_session_is_not_found(stub: Stub, session_id: str, method: str) -> None:
    await stub.DeleteSession(pb.DeleteSessionRequest(session_id=session_id))
    refusal = await refused(call(stub, method, on(method, session_id)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")


UPDATE = {"version": "1", "definition": {"name": "a", "model": {"scripted": {"responses": [{"text": "ok"}]}}}}


@pytest.mark.parametrize("method", ["GetAgent", "UpdateAgent", "ArchiveAgent", "StartSession"])
async def test_an_unknown_agent_is_not_found(stub: Stub, method: str) -> None:
    rest = UPDATE if method == "UpdateAgent" else {}
    refusal = await refused(call(stub, method, {"agent_id": "agt_nobody", **rest}))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "AGENT_NOT_FOUND")


@pytest.mark.parametrize("method", ["GetAgent", "StartSession"])
@pytest.mark.parametrize("version", [0, 2, -1])
async def test_an_unknown_version_of_an_agent_is_not_found(stub: Stub, method: str, version: int) -> None:
    agent = await stub.Create(pb.CreateRequest(definition=scripted({"text": "ok"})))
    refusal = await refused(call(stub, method, {"agent_id": agent.agent_id, "version": version}))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "AGENT_NOT_FOUND")


@pytest.mark.parametrize(
    "use_id", ["use_1_abcde", "use_3_abcde", "use_99_abcde", "toolu_01", "use_-1_x", "use_" + "9" * 30 + "_x"]
)
async def test_an_answer_that_nobody_waits_for_is_not_found(stub: Stub, session_id: str, use_id: str) -> None:
    refusal = await refused(send(stub, session_id, answer(use_id)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "TOOL_USE_NOT_FOUND")
    assert len(await log(stub, session_id)) == 4


async def test_an_answer_before_the_session_is_not_found(stub: Stub) -> None:
    agent = await stub.Create(pb.CreateRequest(definition=scripted({"text": "ok"})))
    first = [message("hi"), answer("use_2_abcde")]
    refusal = await refused(stub.StartSession(pb.StartSessionRequest(agent_id=agent.agent_id, initial_events=first)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "TOOL_USE_NOT_FOUND")


async def uses(stub: Stub, session_id: str) -> list[str]:
    await until(stub, session_id, "agent.custom_tool_use")
    status = await stub.Status(pb.StatusRequest(session_id=session_id))
    return [action.tool_use_id for action in status.pending_actions]


async def test_an_answer_given_twice_is_closed(stub: Stub) -> None:
    session_id = await start(stub, scripted(CALL, {"text": "ok"}, tools=["look"]), "go")
    first, second = await uses(stub, session_id)
    await send(stub, session_id, answer(second))
    refusal = await refused(send(stub, session_id, answer(second, "again")))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOOL_USE_CLOSED")
    await send(stub, session_id, answer(first))
    events = await until(stub, session_id, "status.idle")
    assert sum(event.HasField("user_custom_tool_result") for event in events) == 2


async def test_an_answer_after_an_interrupt_is_closed(stub: Stub) -> None:
    session_id = await start(stub, scripted(CALL, tools=["look"]), "go")
    use, _ = await uses(stub, session_id)
    await send(stub, session_id, user_event_pb2.UserEvent(user_interrupt=user_event_pb2.UserInterrupt()))
    await until(stub, session_id, "status.idle")
    refusal = await refused(send(stub, session_id, answer(use)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOOL_USE_CLOSED")


async def test_a_tool_use_of_another_session_is_not_found(stub: Stub) -> None:
    definition = scripted(CALL, tools=["look"])
    session_id, other = await start(stub, definition, "go"), await start(stub, definition, "go")
    await until(stub, session_id, "agent.custom_tool_use")
    use, _ = await uses(stub, other)
    refusal = await refused(send(stub, session_id, answer(use)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "TOOL_USE_NOT_FOUND")


async def test_listing_beyond_the_head_is_out_of_range(stub: Stub, session_id: str) -> None:
    refusal = await refused(stub.ListEvents(pb.ListEventsRequest(session_id=session_id, from_seq=2**64 - 1)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.OUT_OF_RANGE, "FROM_SEQ_BEYOND_HEAD")
    assert refusal.metadata == {"head_seq": "4"}


async def test_an_archived_agent_takes_no_sessions_and_those_it_has_go_on(stub: Stub) -> None:
    agent = await stub.Create(pb.CreateRequest(definition=scripted({"text": "ok"})))
    session = await stub.StartSession(pb.StartSessionRequest(agent_id=agent.agent_id))
    for _ in range(2):
        await stub.ArchiveAgent(pb.ArchiveAgentRequest(agent_id=agent.agent_id))
    refusal = await refused(stub.StartSession(pb.StartSessionRequest(agent_id=agent.agent_id)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "AGENT_ARCHIVED")
    await send(stub, session.session_id, "go on")
    await until(stub, session.session_id, "status.idle")
