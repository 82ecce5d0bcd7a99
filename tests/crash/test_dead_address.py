"""A provider that takes requests and never answers holds up its own sessions, and nobody else's: also after a crash,
when hundreds of them come back first."""

from pathlib import Path

import pytest

from managedagents.v1 import agent_pb2
from support.calls import scripted
from support.driven import drive, sessions_of
from support.keyed import FLAGS, definition
from support.server import running
from support.stubborn import Stubborn, stubborn
from support.wires import COMPATIBLE, Wire
from support.wires.faults import stalls_first
from support.wires.told import Answer, Say

TURNS, AT_ADDRESS = 6, 4
LIMITS = (*FLAGS, "--limit", f"max_concurrent_turns={TURNS}", "--limit", f"endpoint_turns={AT_ADDRESS}")
DEAD = Answer((Say("never"),), fault=stalls_first())
STUCK = 300

pytestmark = pytest.mark.long


async def others_go_on(client: Stubborn, alive: agent_pb2.AgentDefinition) -> None:
    for other in (alive, scripted({"text": "a"})):
        for session in await sessions_of(client.stub, other, 2 * TURNS, "1"):
            await session.comes("status.idle end_turn")


async def test_a_dead_address_leaves_room_to_others_before_and_after_a_crash(tmp_path: Path) -> None:
    async with (
        Wire(COMPATIBLE, DEAD) as dead,
        Wire(COMPATIBLE, Answer((Say("here"),))) as living,
        running(tmp_path / "log.db", *LIMITS) as server,
        stubborn(server) as client,
    ):
        alive = definition(living.base_url)
        stuck = await sessions_of(client.stub, definition(dead.base_url), STUCK, "1")
        await dead.wait_requests(AT_ADDRESS, 30)
        await others_go_on(client, alive)
        # They come after the stuck ones when the server is back.
        behind = await sessions_of(client.stub, scripted({"text": "a", "delay": "0.5s"}), 4, "1")
        interrupted = await drive(client.stub, scripted({"text": "a", "delay": "60s"}), "1")
        for session in behind[:1]:
            await session.comes("status.running")
        asked = len(dead.requests)
        assert asked == AT_ADDRESS
        await server.kill()
        await server.start()
        await client.log(behind[0].session_id)
        for session in behind:
            await session.comes("status.idle end_turn")
        await interrupted.interrupt()
        await interrupted.comes("status.idle interrupted")
        await dead.wait_requests(asked + AT_ADDRESS, 30)
        await others_go_on(client, alive)
        assert len(dead.requests) == asked + AT_ADDRESS
        for session in stuck[:AT_ADDRESS]:
            assert await session.lines() == ["1 user.message", "1 status.running"]
        assert await stuck[-1].lines() == ["1 user.message"]
        # Who is waiting in the line of a dead address can be interrupted, paused and archived.
        await stuck[-1].interrupt()
        await stuck[-1].comes("status.idle interrupted")
        await stuck[-2].archive()
        await stuck[0].interrupt()
        await stuck[AT_ADDRESS].comes("status.running")
