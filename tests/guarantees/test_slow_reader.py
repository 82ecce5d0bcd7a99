"""A slow reader slows only itself, and costs the server no more than a batch."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from managedagents.v1 import service_pb2 as pb
from support import promises
from support.calls import Event, log, scripted, send, start
from support.recording import following
from support.server import Server, Stub, running

MIB = 1024 * 1024
ROUND = {"tool_calls": [{"name": "unheard_of", "input_json": '"%s"' % ("x" * 3000)}] * 15}
"""30 events, about 50 KB, again and again until the turn has had its 64 rounds."""


def memory(server: Server) -> int:
    """Bytes of the process that are in memory."""
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) * 1024


async def talk(stub: Stub, session_id: str) -> list[Event]:
    """Two long turns, read by a follower that is awake; gives what it got."""
    async with following(stub, session_id) as awake:
        await send(stub, session_id, "go")
        last = await send(stub, session_id, "and on")
        await awake.event(lambda event: event.turn == last and event.HasField("status_idle"))
    return promises.events(awake.messages)


@pytest.mark.parametrize("stalled", [20, pytest.param(200, marks=pytest.mark.long)])
async def test_readers_that_stop_reading_slow_nobody_and_fill_nothing(tmp_path: Path, stalled: int) -> None:
    async with running(tmp_path / "log.db", "--synchronous", "normal") as server, AsyncExitStack() as stack:
        stub = Stub(await stack.enter_async_context(server.channel()))
        # What the server needs for the work itself, caches and all, it has after the first time.
        await talk(stub, await start(stub, scripted(ROUND)))
        session_id = await start(stub, scripted(ROUND))
        asleep = []
        for _ in range(stalled):
            # A connection each, so that none is held up by another's.
            own = await stack.enter_async_context(server.channel())
            call = Stub(own).StreamEvents(pb.StreamEventsRequest(session_id=session_id, from_seq=0))
            assert (await anext(aiter(call))).HasField("opened")
            asleep.append(call)
        before = memory(server)
        seen = await talk(stub, session_id)
        grown = memory(server) - before
        whole = await log(stub, session_id)
        assert seen == whole
        assert len(whole) > 2000
        # The session itself; and for each sleeper a batch on its way through gRPC, not the 6 MB that it did not read.
        size = sum(event.ByteSize() for event in whole)
        assert size > 5 * MIB
        assert grown < 4 * size + stalled * MIB

        # They wake up, and have missed nothing.
        for call in asleep[:3]:
            late: list[pb.StreamEventsResponse] = []
            async for message in call:
                late.append(message)
                if message.batch.through_seq == whole[-1].seq:
                    break
            assert promises.events(late) == whole
        for call in asleep:
            call.cancel()
