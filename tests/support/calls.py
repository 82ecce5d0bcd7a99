"""Requests and waits that many tests need."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc.aio
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

from managedagents.v1 import agent_pb2, event_pb2, user_event_pb2
from managedagents.v1 import service_pb2 as pb
from support.server import Stub

Event = event_pb2.SessionEvent


def scripted(*responses: Mapping[str, Any], tools: Sequence[str] = (), **definition: Any) -> agent_pb2.AgentDefinition:
    """An agent of the scripted model; `tools` are names of custom tools."""
    return json_format.ParseDict(
        {
            "name": "test",
            "model": {"scripted": {"responses": list(responses)}},
            "tools": [{"custom": {"name": name}} for name in tools],
            **definition,
        },
        agent_pb2.AgentDefinition(),
    )


def message(text: str) -> user_event_pb2.UserEvent:
    return json_format.ParseDict({"user_message": {"content": [{"text": {"text": text}}]}}, user_event_pb2.UserEvent())


def outcome(criteria: str, max_iterations: int | None = None) -> user_event_pb2.UserEvent:
    defined = user_event_pb2.UserDefineOutcome(criteria=criteria, max_iterations=max_iterations)
    return user_event_pb2.UserEvent(user_define_outcome=defined)


def grading(definition: agent_pb2.AgentDefinition, *verdicts: Mapping[str, Any]) -> agent_pb2.AgentDefinition:
    """The agent of a scripted model, with these verdicts."""
    graded = agent_pb2.AgentDefinition()
    graded.CopyFrom(definition)
    json_format.ParseDict({"grader": list(verdicts)}, graded.model.scripted)
    return graded


def answer(use_id: str, text: str = "ok") -> user_event_pb2.UserEvent:
    return json_format.ParseDict(
        {"user_custom_tool_result": {"custom_tool_use_id": use_id, "content": [{"text": {"text": text}}]}},
        user_event_pb2.UserEvent(),
    )


async def start(stub: Stub, definition: agent_pb2.AgentDefinition, *messages: str) -> str:
    """A new session of a new agent; gives the session's id."""
    agent = await stub.Create(pb.CreateRequest(definition=definition))
    session = await stub.StartSession(
        pb.StartSessionRequest(agent_id=agent.agent_id, initial_events=[message(text) for text in messages])
    )
    return session.session_id


async def resting_session(stub: Stub) -> str:
    """A session that has had one turn; its log has four events."""
    session_id = await start(stub, scripted({"text": "ok"}), "go")
    await until(stub, session_id, "status.idle")
    return session_id


async def send(stub: Stub, session_id: str, event: user_event_pb2.UserEvent | str, request_id: str = "") -> int:
    user_event = message(event) if isinstance(event, str) else event
    request = pb.SendEventRequest(session_id=session_id, event=user_event, request_id=request_id)
    return (await stub.SendEvent(request)).seq


def kind(event: Event) -> str:
    return (event.WhichOneof("payload") or "").replace("_", ".", 1)


async def follow(stub: Stub, session_id: str, from_seq: int = 0, **request: Any) -> AsyncIterator[Event]:
    """The events of one stream, without reconnecting."""
    async for reply in stub.StreamEvents(pb.StreamEventsRequest(session_id=session_id, from_seq=from_seq, **request)):
        for event in reply.batch.events:
            yield event


async def until(stub: Stub, session_id: str, done: Callable[[Event], bool] | str, from_seq: int = 0) -> list[Event]:
    """The events after `from_seq` up to the first that is the one waited for, or of the kind that is waited for."""
    events: list[Event] = []
    async for event in follow(stub, session_id, from_seq):
        events.append(event)
        if kind(event) == done if isinstance(done, str) else done(event):
            return events
    raise AssertionError(f"the stream ended after {[kind(event) for event in events]}")


async def log(stub: Stub, session_id: str) -> list[Event]:
    """The whole log as it is now."""
    events: list[Event] = []
    token = ""
    while True:
        page = await stub.ListEvents(pb.ListEventsRequest(session_id=session_id, page_size=1000, page_token=token))
        events += page.events
        token = page.next_page_token
        if not token:
            return events


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a refused call said."""

    code: grpc.StatusCode
    reason: str
    metadata: dict[str, str]
    fields: list[str]
    """The field paths of BadRequest."""
    retry_after: float | None


async def refused(call: Awaitable[Any]) -> Refusal:
    """Awaits a call that must be refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return refusal(caught.value)


def refusal(error: grpc.aio.AioRpcError) -> Refusal:
    status = status_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status.ParseFromString(value if isinstance(value, bytes) else value.encode())
    info = error_details_pb2.ErrorInfo()
    bad = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    retry_after = None
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
        if detail.Unpack(retry):
            retry_after = retry.retry_delay.ToNanoseconds() / 1e9
    fields = [violation.field for violation in bad.field_violations]
    return Refusal(error.code(), info.reason, dict(info.metadata), fields, retry_after)
