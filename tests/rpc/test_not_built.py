"""What this server does not have yet is refused by name, never silently ignored."""

from typing import Any

import grpc
import pytest

from managedagents.v1 import service_pb2 as pb
from support.calls import log, refused, scripted
from support.requests import call
from support.server import Stub

MODEL = {"scripted": {"responses": [{"text": "ok"}]}}

PARTS: list[tuple[dict[str, Any], str]] = [
    ({"model": {"scripted": {**MODEL["scripted"], "grader": [{"met": True}]}}}, "model.scripted.grader"),
]

EVENTS = {
    "user_define_outcome": {"criteria": "done"},
}


@pytest.mark.parametrize(("part", "field"), PARTS, ids=lambda value: value if isinstance(value, str) else "")
async def test_a_part_of_a_definition(stub: Stub, part: dict[str, Any], field: str) -> None:
    definition = {"name": "test", "model": MODEL, **part}
    refusal = await refused(call(stub, "Create", {"definition": definition}))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNIMPLEMENTED, "NOT_IMPLEMENTED")
    assert refusal.metadata == {"field": f"definition.{field}"}


async def test_a_part_of_a_new_version(stub: Stub) -> None:
    agent = await stub.Create(pb.CreateRequest(definition=scripted({"text": "ok"})))
    definition = {"name": "test", "model": PARTS[0][0]["model"]}
    update = call(stub, "UpdateAgent", {"agent_id": agent.agent_id, "version": "1", "definition": definition})
    refusal = await refused(update)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNIMPLEMENTED, "NOT_IMPLEMENTED")
    assert refusal.metadata == {"field": f"definition.{PARTS[0][1]}"}
    assert (await stub.GetAgent(pb.GetAgentRequest(agent_id=agent.agent_id))).agent.version == 1


@pytest.mark.parametrize("kind", EVENTS)
async def test_a_user_event(stub: Stub, session_id: str, kind: str) -> None:
    refusal = await refused(call(stub, "SendEvent", {"session_id": session_id, "event": {kind: EVENTS[kind]}}))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNIMPLEMENTED, "NOT_IMPLEMENTED")
    assert refusal.metadata == {"field": f"event.{kind}"}
    assert len(await log(stub, session_id)) == 4


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (
            {"overrides": {"model": {"scripted": {**MODEL["scripted"], "grader": [{"met": True}]}}}},
            "overrides.model.scripted.grader",
        ),
        *(({"initial_events": [{kind: body}]}, f"initial_events[0].{kind}") for kind, body in EVENTS.items()),
    ],
)
async def test_a_part_of_a_new_session(stub: Stub, part: dict[str, Any], field: str) -> None:
    agent = await stub.Create(pb.CreateRequest(definition=scripted({"text": "ok"})))
    refusal = await refused(call(stub, "StartSession", {"agent_id": agent.agent_id, **part}))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNIMPLEMENTED, "NOT_IMPLEMENTED")
    assert refusal.metadata == {"field": field}
    left = await stub.ListSessions(pb.ListSessionsRequest(agent_id=agent.agent_id))
    assert not left.sessions
