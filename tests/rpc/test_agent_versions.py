"""An agent's versions: each stays as it was made, and a session stays with the one that it began with."""

import asyncio
from typing import Any

import grpc
import pytest

from managedagents.v1 import agent_pb2, model_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import log, message, refused, scripted, send, until
from support.server import Server, Stub


def says(text: str, **definition: Any) -> agent_pb2.AgentDefinition:
    return scripted({"text": text}, {"text": text}, **definition)


async def create(stub: Stub, definition: agent_pb2.AgentDefinition) -> str:
    return (await stub.Create(pb.CreateRequest(definition=definition))).agent_id


async def update(stub: Stub, agent_id: str, version: int, definition: agent_pb2.AgentDefinition) -> int:
    request = pb.UpdateAgentRequest(agent_id=agent_id, version=version, definition=definition)
    return (await stub.UpdateAgent(request)).version


async def get(stub: Stub, agent_id: str, version: int | None = None) -> agent_pb2.Agent:
    return (await stub.GetAgent(pb.GetAgentRequest(agent_id=agent_id, version=version))).agent


async def answer(stub: Stub, agent_id: str, version: int | None = None) -> tuple[str, int]:
    """What a new session of it says, and the version that it is of."""
    request = pb.StartSessionRequest(agent_id=agent_id, version=version, initial_events=[message("go")])
    session_id = (await stub.StartSession(request)).session_id
    events = await until(stub, session_id, "status.idle")
    session = (await stub.GetSession(pb.GetSessionRequest(session_id=session_id))).session
    return events[2].agent_message.content[0].text.text, session.agent_version


async def test_an_update_makes_a_version_and_leaves_those_before_it(stub: Stub) -> None:
    definitions = [says(f"answer {version}", metadata={"v": str(version)}) for version in (1, 2, 3)]
    agent_id = await create(stub, definitions[0])
    assert await update(stub, agent_id, 1, definitions[1]) == 2
    assert await update(stub, agent_id, 2, definitions[2]) == 3
    versions = [await get(stub, agent_id, version) for version in (1, 2, 3)]
    assert [agent.definition for agent in versions] == definitions
    assert [agent.version for agent in versions] == [1, 2, 3]
    made = [agent.update_time.ToNanoseconds() for agent in versions]
    assert made == sorted(set(made))
    assert {agent.create_time.ToNanoseconds() for agent in versions} == {made[0]}
    assert await get(stub, agent_id) == versions[2]


async def test_a_session_is_of_the_version_that_is_named_or_else_of_the_newest(stub: Stub) -> None:
    agent_id = await create(stub, says("old"))
    await update(stub, agent_id, 1, says("new"))
    assert await answer(stub, agent_id) == ("new", 2)
    assert await answer(stub, agent_id, 1) == ("old", 1)
    assert await answer(stub, agent_id, 2) == ("new", 2)
    refusal = await refused(stub.StartSession(pb.StartSessionRequest(agent_id=agent_id, version=3)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "AGENT_NOT_FOUND")


async def test_a_session_stays_with_its_version_also_across_a_kill(server: Server) -> None:
    async with server.channel() as channel:
        stub = Stub(channel)
        agent_id = await create(stub, says("old"))
        session_id = (
            await stub.StartSession(pb.StartSessionRequest(agent_id=agent_id, initial_events=[message("go")]))
        ).session_id
        await until(stub, session_id, "status.idle")
        await update(stub, agent_id, 1, says("new"))
        await server.kill()
    await server.start()
    async with server.channel() as channel:
        stub = Stub(channel)
        await send(stub, session_id, "again")
        events = await until(stub, session_id, "status.idle", from_seq=4)
        assert events[2].agent_message.content[0].text.text == "old"
        assert await answer(stub, agent_id) == ("new", 2)


async def test_an_update_of_another_version_than_the_newest_conflicts_and_tells_the_newest(stub: Stub) -> None:
    agent_id = await create(stub, says("1"))
    await update(stub, agent_id, 1, says("2"))
    for version in (1, 3, 2**63 - 1):
        refusal = await refused(update(stub, agent_id, version, says("other")))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.ABORTED, "VERSION_CONFLICT")
        assert refusal.metadata == {"agent_id": agent_id, "version": "2"}
    assert (await get(stub, agent_id)).definition == says("2")


async def test_of_clients_that_race_exactly_one_wins_each_version(shared: Server, stub: Stub) -> None:
    agent_id = await create(stub, says("0"))

    async def race(name: str) -> list[str]:
        """Six updates, each on the newest version as far as it knows. Gives the names of what it lost."""
        lost = []
        version = 1
        async with shared.channel() as channel:
            mine = Stub(channel)
            for number in range(6):
                try:
                    version = await update(mine, agent_id, version, says(f"{name} {number}"))
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.ABORTED:
                        raise
                    lost.append(f"{name} {number}")
                    version = (await get(mine, agent_id)).version
        return lost

    names = [f"client {number}" for number in range(4)]
    lost = {name for names_ in await asyncio.gather(*map(race, names)) for name in names_}
    newest = (await get(stub, agent_id)).version
    won = []
    for version in range(2, newest + 1):
        definition = (await get(stub, agent_id, version)).definition
        won.append(definition.model.scripted.responses[0].text)
    assert len(won) == len(set(won)) == 24 - len(lost)
    assert not lost & set(won)
    assert lost, "nobody raced"


async def test_two_updates_at_once_with_the_same_id_are_one(stub: Stub) -> None:
    agent_id = await create(stub, says("1"))
    request = pb.UpdateAgentRequest(agent_id=agent_id, version=1, definition=says("2"), request_id=f"up {agent_id}")
    answers = await asyncio.gather(*(stub.UpdateAgent(request) for _ in range(5)))
    assert [made.version for made in answers] == [2] * 5
    # A retry of what has been overtaken since is still the same call.
    await update(stub, agent_id, 2, says("3"))
    assert (await stub.UpdateAgent(request)).version == 2
    assert (await get(stub, agent_id)).version == 3


async def test_an_archived_agent_gets_no_version(stub: Stub) -> None:
    agent_id = await create(stub, says("1"))
    await stub.ArchiveAgent(pb.ArchiveAgentRequest(agent_id=agent_id))
    refusal = await refused(update(stub, agent_id, 1, says("2")))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "AGENT_ARCHIVED")
    assert (await get(stub, agent_id)).version == 1


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (pb.UpdateAgentRequest(agent_id="agt_x", version=1), ["definition"]),
        (pb.UpdateAgentRequest(agent_id="agt_x", definition=says("ok")), ["version"]),
        (pb.UpdateAgentRequest(agent_id="agt_x", version=-1, definition=says("ok")), ["version"]),
        (pb.UpdateAgentRequest(version=1, definition=says("ok", name="")), ["agent_id", "definition.name"]),
    ],
)
async def test_what_is_wrong_with_an_update_is_named(
    stub: Stub, request_: pb.UpdateAgentRequest, fields: list[str]
) -> None:
    refusal = await refused(stub.UpdateAgent(request_))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert refusal.fields == fields


async def test_lists_show_the_newest_version_where_the_agent_always_stood(stub: Stub) -> None:
    mark = {"run": "listed versions"}
    made = [await create(stub, says(str(number), metadata={**mark, "old": "yes"})) for number in range(5)]
    first = await stub.ListAgents(pb.ListAgentsRequest(metadata=mark, page_size=2))
    assert [agent.agent_id for agent in first.agents] == [made[4], made[3]]
    # Between two pages: one that was seen, one that comes next, one that leaves the filter, and a new one.
    await update(stub, made[4], 1, says("new", metadata=mark))
    await update(stub, made[2], 1, says("new", metadata={**mark, "new": "yes"}))
    await update(stub, made[0], 1, says("new"))
    await create(stub, says("later", metadata=mark))
    second = await stub.ListAgents(pb.ListAgentsRequest(metadata=mark, page_size=2, page_token=first.next_page_token))
    assert [(agent.agent_id, agent.version) for agent in second.agents] == [(made[2], 2), (made[1], 1)]
    assert not second.next_page_token
    for filter_, listed in (({"new": "yes"}, [made[2]]), ({"old": "yes"}, [made[3], made[1]])):
        agents = (await stub.ListAgents(pb.ListAgentsRequest(metadata={**mark, **filter_}))).agents
        assert [agent.agent_id for agent in agents] == listed


async def test_archived_agents_and_metadata_are_filtered_together_over_pages(stub: Stub) -> None:
    mark = {"run": "archived pages"}
    made = [await create(stub, says("ok", metadata={**mark, "parity": str(n % 2)})) for n in range(6)]
    for agent_id in made[:3]:
        await stub.ArchiveAgent(pb.ArchiveAgentRequest(agent_id=agent_id))

    async def listed(**filters: Any) -> list[str]:
        found, token = [], ""
        while True:
            request = pb.ListAgentsRequest(page_size=1, page_token=token, **filters)
            page = await stub.ListAgents(request)
            found += [agent.agent_id for agent in page.agents]
            token = page.next_page_token
            if not token:
                return found

    even = {**mark, "parity": "0"}
    assert await listed(metadata=even) == [made[4]]
    assert await listed(metadata=even, include_archived=True) == [made[4], made[2], made[0]]
    assert await listed(metadata=mark) == made[:2:-1]


async def test_a_page_of_large_definitions_ends_at_about_a_mebibyte(stub: Stub) -> None:
    mark = {"run": "large definitions"}
    made = [await create(stub, says("ok", system="x" * 250_000, metadata=mark)) for _ in range(6)]
    found, pages, token = [], 0, ""
    while token or not pages:
        page = await stub.ListAgents(pb.ListAgentsRequest(metadata=mark, page_token=token))
        assert page.ByteSize() < 1_100_000
        found += [agent.agent_id for agent in page.agents]
        token = page.next_page_token
        pages += 1
    assert (found, pages) == (made[::-1], 2)


async def test_an_agent_shows_what_all_its_sessions_used(stub: Stub) -> None:
    usage = {"input_tokens": "5", "output_tokens": "7", "cache_read_tokens": "3", "requests": "1"}
    answering = {"text": "ok", "usage": {**usage, "model_time": "0.5s"}}
    agent_id = await create(stub, scripted(answering, answering))
    assert (await get(stub, agent_id)).usage == model_pb2.Usage()
    sessions = []
    for version in (1, 2):
        if version == 2:
            await update(stub, agent_id, 1, scripted(answering))
        request = pb.StartSessionRequest(agent_id=agent_id, initial_events=[message("go")])
        sessions.append((await stub.StartSession(request)).session_id)
        await until(stub, sessions[-1], "status.idle")
    await send(stub, sessions[0], "again")
    await until(stub, sessions[0], "status.idle", from_seq=5)
    await stub.DeleteSession(pb.DeleteSessionRequest(session_id=sessions[1]))
    wanted = model_pb2.Usage(input_tokens=15, output_tokens=21, cache_read_tokens=9, requests=3)
    wanted.model_time.FromMilliseconds(1500)
    for shown in (None, 1, 2):
        assert (await get(stub, agent_id, shown)).usage == wanted
    newest = (await stub.ListAgents(pb.ListAgentsRequest(page_size=1))).agents
    assert newest[0].usage == wanted
    assert len(await log(stub, sessions[0])) == 8
