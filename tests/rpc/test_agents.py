"""Agents: made, read, listed, archived."""

from typing import Any

import pytest

from managedagents.v1 import service_pb2 as pb
from support.calls import refused, scripted
from support.server import Stub


async def create(stub: Stub, name: str, **metadata: str) -> str:
    definition = scripted({"text": "ok"}, tools=["look"], name=name, metadata=metadata)
    return (await stub.Create(pb.CreateRequest(definition=definition))).agent_id


async def test_an_agent_is_read_as_it_was_created(stub: Stub) -> None:
    schema = '{"b": 1.0, "a": {"type":"integer","maximum":1e400}}'
    definition = scripted({"text": "é\0"}, system="you", name="x" * 256, custom_tool_timeout="0.001s")
    definition.tools.add().custom.input_schema_json = schema
    definition.tools[0].custom.name = "A-z_0" + "9" * 59
    created = await stub.Create(pb.CreateRequest(definition=definition))
    assert created.agent_id.startswith("agt_")
    assert created.version == 1
    for version in (None, 1):
        agent = (await stub.GetAgent(pb.GetAgentRequest(agent_id=created.agent_id, version=version))).agent
        assert (agent.agent_id, agent.version) == (created.agent_id, 1)
        assert agent.definition == definition
        assert agent.create_time == agent.update_time
        assert not agent.HasField("archive_time")


async def test_names_need_not_be_unique(stub: Stub) -> None:
    assert await create(stub, "twin") != await create(stub, "twin")


async def test_agents_are_listed_newest_first_and_by_metadata(stub: Stub) -> None:
    made = [await create(stub, str(number), run="agents", parity=str(number % 2)) for number in range(5)]

    async def listed(**request: Any) -> list[str]:
        answer = await stub.ListAgents(pb.ListAgentsRequest(**request))
        return [agent.agent_id for agent in answer.agents]

    assert await listed(metadata={"run": "agents"}) == made[::-1]
    assert await listed(metadata={"run": "agents", "parity": "1"}) == [made[3], made[1]]
    assert await listed(metadata={"run": "agents", "parity": "2"}) == []
    assert (await listed(page_size=3))[:1] == made[-1:]

    await stub.ArchiveAgent(pb.ArchiveAgentRequest(agent_id=made[3]))
    assert await listed(metadata={"run": "agents", "parity": "1"}) == [made[1]]
    assert await listed(metadata={"run": "agents", "parity": "1"}, include_archived=True) == [made[3], made[1]]
    agent = (await stub.GetAgent(pb.GetAgentRequest(agent_id=made[3]))).agent
    assert agent.HasField("archive_time")


async def test_archiving_again_changes_nothing(stub: Stub) -> None:
    agent_id = await create(stub, "old")
    times = []
    for _ in range(2):
        await stub.ArchiveAgent(pb.ArchiveAgentRequest(agent_id=agent_id))
        times.append((await stub.GetAgent(pb.GetAgentRequest(agent_id=agent_id))).agent.archive_time.ToNanoseconds())
    assert times[0] == times[1]


@pytest.mark.parametrize("tools", [0, 128])
async def test_up_to_128_tools_are_taken(stub: Stub, tools: int) -> None:
    definition = scripted({"text": "ok"}, tools=[f"tool_{number}" for number in range(tools)])
    assert (await stub.Create(pb.CreateRequest(definition=definition))).version == 1


async def test_one_tool_more_is_refused(stub: Stub) -> None:
    definition = scripted({"text": "ok"}, tools=[f"tool_{number}" for number in range(129)])
    refusal = await refused(stub.Create(pb.CreateRequest(definition=definition)))
    assert (refusal.reason, refusal.metadata) == ("LIMIT_EXCEEDED", {"limit": "tools", "value": "128"})
