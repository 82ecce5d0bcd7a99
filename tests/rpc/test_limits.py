"""Over a limit: RESOURCE_EXHAUSTED, naming the limit; RetryInfo only where waiting helps."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from managedagents.v1 import service_pb2 as pb
from support.calls import answer, kind, log, refused, scripted, send, start, until
from support.requests import call
from support.server import Stub, running

LIMITS = {
    "event_bytes": 2000,
    "definition_bytes": 4000,
    "tools": 2,
    "mcp_servers": 1,
    "skills": 1,
    "queued_messages": 2,
    "request_bytes": 20_000,
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def small(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stub]:
    """A server with small limits."""
    flags = [flag for name, value in LIMITS.items() for flag in ("--limit", f"{name}={value}")]
    async with running(tmp_path_factory.mktemp("small") / "log.db", *flags) as server, server.channel() as channel:
        yield Stub(channel)


def define(**parts: Any) -> dict[str, Any]:
    return {"definition": {"name": "test", "model": {"scripted": {"responses": [{"text": "ok"}]}}, **parts}}


def say(size: int) -> dict[str, Any]:
    return {"event": {"user_message": {"content": [{"text": {"text": "x" * size}}]}}}


@pytest.mark.parametrize(
    ("method", "fields", "limit"),
    [
        ("Create", define(system="x" * 4000), "definition_bytes"),
        ("Create", define(tools=[{"custom": {"name": name}} for name in "abc"]), "tools"),
        ("Create", define(mcp_servers=[{"name": name, "configured": "m"} for name in "ab"]), "mcp_servers"),
        ("Create", define(skills=[{"skill_id": name} for name in "ab"]), "skills"),
        ("SendEvent", {"session_id": "$", **say(2000)}, "event_bytes"),
        ("StartSession", {"agent_id": "agt_x", "initial_events": [say(5)["event"], say(2000)["event"]]}, "event_bytes"),
    ],
)
async def test_the_limit_is_named(small: Stub, method: str, fields: dict[str, Any], limit: str) -> None:
    session_id = await start(small, scripted({"text": "ok"}))
    fields = {**fields, "session_id": session_id} if "session_id" in fields else fields
    refusal = await refused(call(small, method, fields))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED")
    assert refusal.metadata == {"limit": limit, "value": str(LIMITS[limit])}
    assert refusal.retry_after is None
    assert await log(small, session_id) == []
    # Just below it there is no refusal.
    assert await call(small, "SendEvent", {"session_id": session_id, **say(1900)}) == pb.SendEventResponse(seq=1)


async def test_a_request_over_its_limit_is_refused_unread(small: Stub) -> None:
    session_id = await start(small, scripted({"text": "ok"}))
    refusal = await refused(call(small, "SendEvent", {"session_id": session_id, **say(20_000)}))
    assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await log(small, session_id) == []


async def test_four_mebibytes_are_the_most_of_a_request(stub: Stub, session_id: str) -> None:
    sizes = {4 * 1024 * 1024 - 1000: "LIMIT_EXCEEDED", 4 * 1024 * 1024: ""}
    for size, reason in sizes.items():
        refusal = await refused(call(stub, "SendEvent", {"session_id": session_id, **say(size)}))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
    assert await send(stub, session_id, "x" * (2 * 1024 * 1024 - 100)) == 5


async def test_a_full_queue_refuses_messages_and_nothing_else(small: Stub) -> None:
    definition = scripted({"tool_calls": [{"name": "look"}] * 2}, {"text": "ok"}, tools=["look"])
    session_id = await start(small, definition, "go")
    events = await until(small, session_id, lambda event: event.seq == 4)
    await send(small, session_id, "one")
    await send(small, session_id, "two")
    refusal = await refused(send(small, session_id, "three", request_id="three"))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED")
    assert refusal.metadata == {"limit": "queued_messages", "value": "2"}
    assert refusal.retry_after is not None

    await send(small, session_id, answer(events[2].agent_custom_tool_use.custom_tool_use_id))
    await small.Pause(pb.PauseRequest(session_id=session_id))
    await small.Resume(pb.ResumeRequest(session_id=session_id))
    await small.Interrupt(pb.InterruptRequest(session_id=session_id))
    await until(small, session_id, lambda event: event.turn == 6 and event.HasField("status_idle"))
    # Waiting helped, and the refused call's id is free.
    await send(small, session_id, "three", request_id="three")


async def test_a_session_cannot_begin_with_more_than_fits_its_queue(small: Stub) -> None:
    agent = await small.Create(pb.CreateRequest(definition=scripted({"text": "ok"})))
    fields = {"agent_id": agent.agent_id, "initial_events": [say(5)["event"]] * 3}
    refusal = await refused(call(small, "StartSession", fields))
    assert (refusal.reason, refusal.metadata["limit"]) == ("LIMIT_EXCEEDED", "queued_messages")
    assert not (await small.ListSessions(pb.ListSessionsRequest(agent_id=agent.agent_id))).sessions


async def test_an_answer_of_the_model_over_the_limit_ends_the_turn(small: Stub) -> None:
    session_id = await start(small, scripted({"text": "x" * 2100}, {"text": "ok"}), "go")
    events = await until(small, session_id, "status.idle")
    assert [kind(event) for event in events] == ["user.message", "status.running", "error", "status.idle"]
    assert events[-1].status_idle.stop_reason.HasField("error")
    await send(small, session_id, "again")
    events = await until(small, session_id, "status.idle", from_seq=4)
    assert events[-1].status_idle.stop_reason.HasField("end_turn")
