"""Turns at work at once are bounded; what only waits holds no slot."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from managedagents.v1 import agent_pb2
from support.calls import scripted
from support.driven import Driven, drive, sessions_of
from support.server import Server, Stub, running
from support.stubborn import stubborn

LONG = scripted({"text": "a", "delay": "600s"})
QUICK = scripted({"text": "a"})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def narrow(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stub]:
    """A server with one slot."""
    flags = ("--limit", "max_concurrent_turns=1", "--limit", "deadline_grace=0")
    async with running(tmp_path_factory.mktemp("narrow") / "log.db", *flags) as server, server.channel() as channel:
        yield Stub(channel)


async def ends(session: Driven) -> None:
    await session.comes("status.idle end_turn")


async def test_a_second_turn_waits_for_the_slot_of_the_first(narrow: Stub) -> None:
    first = await drive(narrow, LONG, "1")
    await first.comes("status.running")
    second = await drive(narrow, QUICK, "1")
    await second.pause()
    await second.resume()
    assert await second.lines() == ["1 user.message", "0 status.paused", "0 status.resumed"]
    await first.interrupt()
    await ends(second)
    start = (await second.log())[3].create_time.ToNanoseconds()
    assert start >= (await first.log())[-1].create_time.ToNanoseconds()


ASK = {"tool_calls": [{"name": "ask"}]}
WAITING = [
    ("parked", scripted(ASK, tools=["ask"]), "agent.custom_tool_use"),
    ("requires_action", scripted(ASK, tools=["ask"], custom_tool_timeout="0.05s"), "status.idle requires_action"),
    ("backing off", scripted({"error": {"code": 429, "retry_after": "100s"}}), "status.rescheduling"),
]


@pytest.mark.parametrize(("definition", "waits"), [case[1:] for case in WAITING], ids=[case[0] for case in WAITING])
async def test_what_only_waits_holds_no_slot(narrow: Stub, definition: agent_pb2.AgentDefinition, waits: str) -> None:
    waiting = await drive(narrow, definition, "1")
    await waiting.comes(waits)
    await ends(await drive(narrow, QUICK, "1"))
    await waiting.archive()


async def test_a_turn_that_is_paused_between_two_requests_holds_no_slot(narrow: Stub) -> None:
    calls = {"tool_calls": [{"name": "nothing"}], "delay": "0.2s"}
    paused = await drive(narrow, scripted(calls, {"text": "b"}), "1")
    await paused.comes("status.running")
    await paused.pause()
    await paused.comes("agent.tool_result denied")
    await ends(await drive(narrow, QUICK, "1"))
    await paused.resume()
    await ends(paused)


async def test_turns_get_their_slots_in_the_order_in_which_they_asked(narrow: Stub) -> None:
    first = await drive(narrow, LONG, "1")
    await first.comes("status.running")
    waiting = await sessions_of(narrow, QUICK, 6, "1")
    await first.interrupt()
    await in_order(waiting)


async def in_order(sessions: list[Driven]) -> None:
    for session in sessions:
        await ends(session)
    begun = [(await session.log())[1].create_time.ToNanoseconds() for session in sessions]
    assert begun == sorted(begun)


async def test_after_a_crash_the_oldest_sessions_go_first(tmp_path: Path) -> None:
    server = Server(tmp_path / "log.db", ("--limit", "max_concurrent_turns=1"))
    await server.start()
    try:
        async with stubborn(server) as client:
            first = await drive(client.stub, scripted({"text": "a", "delay": "0.4s"}), "1")
            await first.comes("status.running")
            waiting = await sessions_of(client.stub, QUICK, 6, "1")
            await server.kill()
            await server.start()
            await client.log(first.session_id)
            await ends(first)
            await in_order(waiting)
    finally:
        await server.kill()
