"""What this server does not have yet is refused by name, never silently ignored."""

from typing import Any

import grpc
import pytest

from managedagents.v1 import service_pb2 as pb
from support.calls import refused, scripted
from support.requests import call
from support.server import Stub

MODEL = {"scripted": {"responses": [{"text": "ok"}]}}

PARTS: list[tuple[dict[str, Any], str]] = [
    ({"mcp_servers": [{"name": "m", "configured": "m"}]}, "mcp_servers"),
]


@pytest.mark.parametrize(("part", "field"), PARTS, ids=lambda value: value if isinstance(value, str) else "")
async def test_a_part_of_a_definition(stub: Stub, part: dict[str, Any], field: str) -> None:
    definition = {"name": "test", "model": MODEL, **part}
    refusal = await refused(call(stub, "Create", {"definition": definition}))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNIMPLEMENTED, "NOT_IMPLEMENTED")
    assert refusal.metadata == {"field": f"definition.{field}"}


async def test_a_part_of_a_new_version(stub: Stub) -> None:
    agent = await stub.Create(pb.CreateRequest(definition=scripted({"text": "ok"})))
    definition = {"name": "test", "model": MODEL, "mcp_servers": [{"name": "m", "configured": "m"}]}
    update = call(stub, "UpdateAgent", {"agent_id": agent.agent_id, "version": "1", "definition": definition})
    refusal = await refused(update)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNIMPLEMENTED, "NOT_IMPLEMENTED")
    assert refusal.metadata == {"field": "definition.mcp_servers"}
    assert (await stub.GetAgent(pb.GetAgentRequest(agent_id=agent.agent_id))).agent.version == 1
