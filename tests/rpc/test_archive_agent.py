"""Archiving an agent: no new sessions, open turns finish, and then its keys are gone."""

import sqlite3
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from managedagents.v1 import agent_pb2, session_pb2, status_event_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import Event, answer, message, refused, scripted, send, start, until
from support.keyed import create, definition, model, wire
from support.keys import key
from support.server import Server, Stub
from support.stubborn import eventually
from support.wires.told import Answer, Call, Say
from support.wires.wire import Wire

pytestmark = pytest.mark.long

ASKS = Answer((Call("ask", "{}"),))
OK = Answer((Say("ok"),))


def asking(one: Wire) -> agent_pb2.AgentDefinition:
    return definition(one.base_url, tools=[agent_pb2.Tool(custom=agent_pb2.CustomTool(name="ask"))])


async def archive(stub: Stub, agent_id: str) -> None:
    await stub.ArchiveAgent(pb.ArchiveAgentRequest(agent_id=agent_id))


async def begin(stub: Stub, agent_id: str, *messages: str) -> str:
    request = pb.StartSessionRequest(agent_id=agent_id, initial_events=[message(text) for text in messages])
    return (await stub.StartSession(request)).session_id


def secrets(db: Path) -> int:
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as reading:
        (count,) = reading.execute("SELECT count(*) FROM secrets").fetchone()
    return int(count)


def ended_for_want_of_a_key(events: list[Event]) -> bool:
    error, idle = events[-2:]
    return (
        error.error.code == status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION
        and "is archived" in error.error.message
        and idle.status_idle.stop_reason.HasField("error")
    )


async def test_an_archived_agent_takes_no_new_session(stub: Stub) -> None:
    agent_id = await create(stub, scripted({"text": "ok"}))
    await archive(stub, agent_id)
    for version in (None, 1):
        refusal = await refused(stub.StartSession(pb.StartSessionRequest(agent_id=agent_id, version=version)))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "AGENT_ARCHIVED")


async def test_a_session_without_keys_lives_on_when_its_agent_is_archived(stub: Stub) -> None:
    session_id = await start(stub, scripted({"text": "one"}, {"text": "two"}), "go")
    await until(stub, session_id, "status.idle")
    agent_id = (await stub.GetSession(pb.GetSessionRequest(session_id=session_id))).session.agent_id
    await archive(stub, agent_id)
    await send(stub, session_id, "again")
    events = await until(stub, session_id, "status.idle", from_seq=4)
    assert events[-1].status_idle.stop_reason.HasField("end_turn")


async def test_at_rest_the_keys_are_gone_with_the_answer_and_a_later_turn_says_so(keyed: Server, mine: Stub) -> None:
    async with wire() as one:
        agent_id = await create(mine, asking(one))
        update = pb.UpdateAgentRequest(agent_id=agent_id, version=1, definition=asking(one))
        await mine.UpdateAgent(update)
        session_id = await begin(mine, agent_id, "go")
        await until(mine, session_id, "status.idle")
        assert secrets(keyed.db) == 2
        await archive(mine, agent_id)
        assert secrets(keyed.db) == 0
        await send(mine, session_id, "again")
        assert ended_for_want_of_a_key(await until(mine, session_id, "status.idle", from_seq=4))
        assert len(one.requests) == 1


async def test_an_open_turn_finishes_with_its_key_also_when_it_waits_for_the_client(keyed: Server, mine: Stub) -> None:
    async with wire(ASKS, OK, OK) as one:
        agent_id = await create(mine, asking(one))
        session_id = await begin(mine, agent_id, "go", "queued")
        use = (await until(mine, session_id, "agent.custom_tool_use"))[-1].agent_custom_tool_use
        await archive(mine, agent_id)
        await archive(mine, agent_id)
        assert secrets(keyed.db) == 1
        await send(mine, session_id, answer(use.custom_tool_use_id))
        events = await until(mine, session_id, lambda event: event.turn == 1 and event.HasField("status_idle"))
        assert events[-1].status_idle.stop_reason.HasField("end_turn")
        await until(mine, session_id, lambda event: event.turn == 2 and event.HasField("status_idle"))
        await eventually(lambda: secrets(keyed.db) == 0)
        await send(mine, session_id, "more")
        head = len(events)
        more = await until(mine, session_id, lambda event: event.turn > 2 and event.HasField("status_idle"), head)
        assert ended_for_want_of_a_key(more)


async def test_the_last_open_turn_of_several_sessions_counts(keyed: Server, mine: Stub) -> None:
    async with wire(ASKS) as one:
        agent_id = await create(mine, asking(one))
        sessions = [await begin(mine, agent_id, "go") for _ in range(4)]
        for session_id in sessions:
            await until(mine, session_id, "agent.custom_tool_use")
        await archive(mine, agent_id)
        # Each kind of end but the model's own.
        await mine.Interrupt(pb.InterruptRequest(session_id=sessions[0]))
        await mine.Archive(pb.ArchiveRequest(session_id=sessions[1]))
        await mine.DeleteSession(pb.DeleteSessionRequest(session_id=sessions[2]))
        await until(mine, sessions[0], "status.idle")
        assert secrets(keyed.db) == 1
        await mine.DeleteSession(pb.DeleteSessionRequest(session_id=sessions[3]))
        await eventually(lambda: secrets(keyed.db) == 0)


async def test_a_session_s_own_key_is_erased_with_those_of_its_agent(keyed: Server, mine: Stub) -> None:
    async with wire() as one:
        agent_id = await create(mine, scripted({"text": "ok"}))
        request = pb.StartSessionRequest(
            agent_id=agent_id,
            overrides=session_pb2.SessionOverrides(model=model(one.base_url, key("one"))),
            initial_events=[message("go")],
        )
        session_id = (await mine.StartSession(request)).session_id
        await until(mine, session_id, "status.idle")
        assert secrets(keyed.db) == 1
        await archive(mine, agent_id)
        assert secrets(keyed.db) == 0
        await send(mine, session_id, "again")
        assert ended_for_want_of_a_key(await until(mine, session_id, "status.idle", from_seq=4))


@pytest.mark.long
async def test_a_restart_keeps_waiting_for_the_open_turn_and_then_erases(keyed: Server, mine: Stub) -> None:
    async with wire(ASKS, OK) as one:
        agent_id = await create(mine, asking(one))
        session_id = await begin(mine, agent_id, "go")
        use = (await until(mine, session_id, "agent.custom_tool_use"))[-1].agent_custom_tool_use
        await archive(mine, agent_id)
        await keyed.kill()
        await keyed.start()
        async with keyed.channel() as channel:
            stub = Stub(channel)
            await send(stub, session_id, answer(use.custom_tool_use_id))
            events = await until(stub, session_id, "status.idle")
            assert events[-1].status_idle.stop_reason.HasField("end_turn")
            await eventually(lambda: secrets(keyed.db) == 0)


async def test_a_paused_turn_keeps_its_key_until_it_is_resumed_and_done(keyed: Server, mine: Stub) -> None:
    async with wire(ASKS, OK) as one:
        agent_id = await create(mine, asking(one))
        session_id = await begin(mine, agent_id, "go")
        use = (await until(mine, session_id, "agent.custom_tool_use"))[-1].agent_custom_tool_use
        await mine.Pause(pb.PauseRequest(session_id=session_id))
        await send(mine, session_id, answer(use.custom_tool_use_id))
        await archive(mine, agent_id)
        assert secrets(keyed.db) == 1
        await mine.Resume(pb.ResumeRequest(session_id=session_id))
        events = await until(mine, session_id, "status.idle")
        assert events[-1].status_idle.stop_reason.HasField("end_turn")
        await eventually(lambda: secrets(keyed.db) == 0)
