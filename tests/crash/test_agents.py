"""The server dies while an agent gets a version, is archived, or loses its keys, and is started again: each happened
once, and no key is left."""

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from google.protobuf import json_format

from managedagents.v1 import agent_pb2, session_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import answer, message
from support.driven import use_ids
from support.keys import KEYMARK, key
from support.server import Server, running
from support.stubborn import Stubborn, eventually, raised, stubborn

FLAGS = ("--limit", "deadline_grace=0")
OWN = json_format.ParseDict(
    {
        "model": {"scripted": {"responses": [{"tool_calls": [{"name": "ask"}]}, {"text": "done"}]}},
        "tools": {"tools": [{"custom": {"name": "ask"}}]},
    },
    session_pb2.SessionOverrides(),
)
WRITES = ["agent", "agent@2", "agent@3", "session", "agent.custom_tool_use", "agent.message", "erase", "erase@2"]
PLACES = [f"{where}:{write}" for write in WRITES for where in ("before_commit", "after_commit")]


def definition(system: str, api_key: str) -> agent_pb2.AgentDefinition:
    reference = agent_pb2.ProviderModel(
        provider=agent_pb2.PROVIDER_OPENAI_COMPATIBLE,
        model="m",
        base_url="https://models.example.com/v1",
        api_key=api_key,
    )
    return agent_pb2.AgentDefinition(name="a", system=system, model=agent_pb2.Model(provider_model=reference))


async def live(client: Stubborn) -> str:
    """Gives the agent. A turn of its session is open when it is archived."""
    stub = client.stub
    agent_id: str = (await client.call(stub.Create, pb.CreateRequest(definition=definition("1", key("one"))))).agent_id
    update = pb.UpdateAgentRequest(agent_id=agent_id, version=1, definition=definition("2", ""))
    assert (await client.call(stub.UpdateAgent, update)).version == 2
    begin = pb.StartSessionRequest(agent_id=agent_id, overrides=OWN, initial_events=[message("go")])
    session: str = (await client.call(stub.StartSession, begin)).session_id
    events = await client.comes(session, "agent.custom_tool_use")
    await client.call(stub.ArchiveAgent, pb.ArchiveAgentRequest(agent_id=agent_id))
    for use in use_ids(events):
        await client.send(session, answer(use))
    await client.comes(session, "status.idle end_turn")
    return agent_id


def rows(db: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as log:
        return log.execute(statement).fetchall()


async def a_life(server: Server) -> list[int]:
    """Gives the exit codes of the servers that died on the way."""
    async with stubborn(server) as client, raised(server) as codes:
        agent_id = await live(client)
        await eventually(lambda: not rows(server.db, "SELECT 1 FROM secrets"))
        assert rows(server.db, "SELECT agent, version FROM agent_versions ORDER BY version") == [(1, 1), (1, 2)]
        assert rows(server.db, "SELECT count(*) FROM sessions") == [(1,)]
        agent = (await client.ask(client.stub.GetAgent, pb.GetAgentRequest(agent_id=agent_id))).agent
        assert agent.definition == definition("2", "")
        assert agent.HasField("archive_time")
        for path in server.db.parent.iterdir():
            assert KEYMARK.encode() not in path.read_bytes(), path.name
        return list(codes)


async def test_nobody_dies_where_no_failpoint_is_armed(tmp_path: Path) -> None:
    async with running(tmp_path / "log.db", *FLAGS) as server:
        assert await a_life(server) == []


@pytest.mark.long
@pytest.mark.parametrize("place", PLACES)
async def test_an_agent_that_outlives_the_death_of_its_server(tmp_path: Path, place: str) -> None:
    server = Server(tmp_path / "log.db", FLAGS)
    await server.start(MANAGEDAGENTS_TEST_FAILPOINT=place)
    try:
        assert await a_life(server) == [-signal.SIGKILL]
    finally:
        await server.kill()
