"""Many follow one session: each gets everything, and one that stops reading is alone with it."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc.aio

from bench.crowd import Crowd
from bench.filled import EVENTS_A_TURN
from bench.measure import Bench, in_turns, resident_mib
from bench.report import Row
from bench.talk import serving
from managedagents.v1 import service_pb2 as pb
from support.calls import scripted, send, start
from support.server import Server, Stub

_NOISE_MIB = 8.0


class _Burst:
    """A session with a crowd of followers, beside it, where asked for, one that stops reading. What the session says
    comes to more than a connection buffers."""

    def __init__(self, server: Server, stub: Stub, session_id: str, crowd: Crowd) -> None:
        self._server = server
        self._stub = stub
        self._session_id = session_id
        self._crowd = crowd
        self._head = 0

    async def burst(self, messages: int) -> int:
        """So many turns, sent at once. Gives how many followers got every event of them."""
        async with asyncio.TaskGroup() as group:
            for _ in range(messages):
                group.create_task(send(self._stub, self._session_id, "Go."))
        self._head += messages * EVENTS_A_TURN
        return await self._crowd.reached(self._head)

    async def seconds(self, messages: int) -> float:
        """Until all have all events of so many turns, one after the other: how a burst falls into batches differs
        each time."""
        begin = time.perf_counter()
        for _ in range(messages):
            await self.burst(1)
        return time.perf_counter() - begin

    async def grown_mib(self, messages: int) -> float:
        """What the server's memory grows by in a burst."""
        before = resident_mib(self._server.pid)
        await self.burst(messages)
        return resident_mib(self._server.pid) - before


async def followers(bench: Bench) -> list[Row]:
    count = bench.size(1_000, 50)
    messages = bench.size(50, 5)
    async with AsyncExitStack() as parts:
        usual = await _burst(parts, bench.folder / "usual.db", count, 2_000, stalled=False)
        beside = await _burst(parts, bench.folder / "beside.db", count, 2_000, stalled=True)
        served = min(await usual.burst(messages), await beside.burst(messages))
        turns = bench.size(20, 3)
        with_, without = await in_turns(bench.rounds, lambda: beside.seconds(turns), lambda: usual.seconds(turns))
    # Few followers and much to say: what the server held for one of them would show.
    async with AsyncExitStack() as parts:
        usual = await _burst(parts, bench.folder / "large.db", 2, 250_000, stalled=False)
        beside = await _burst(parts, bench.folder / "stalled.db", 2, 250_000, stalled=True)
        large = bench.size(60, 5)
        grown, usually = await beside.grown_mib(large), await usual.grown_mib(large)
    what = f"{messages * EVENTS_A_TURN} events to {count:,}"
    beside_one = "one stops reading"
    return [
        Row("followers", f"{what}: served", "followers", served, count, "all", at_least=1),
        Row("followers", f"{turns} turns to {count:,}: {beside_one}", "s", with_, without, "none does", at_most=1.25),
        Row(
            "followers",
            f"{large / 4:g} MB: {beside_one}, memory grows by",
            "MiB",
            grown,
            usually,
            "none does",
            at_most=_NOISE_MIB,
            difference=True,
        ),
    ]


async def _burst(parts: AsyncExitStack, db: Path, count: int, size: int, *, stalled: bool) -> _Burst:
    """An answer is `size` bytes."""
    server, channel = await parts.enter_async_context(serving(db))
    stub = Stub(channel)
    session_id = await start(stub, scripted({"text": "x" * size}))
    if stalled:
        # A connection of its own, as any client has.
        alone = await parts.enter_async_context(server.channel())
        await _stop_reading(alone, session_id)
    crowd = await parts.enter_async_context(Crowd.of(server.address, session_id, count))
    return _Burst(server, stub, session_id, crowd)


async def _stop_reading(channel: grpc.aio.Channel, session_id: str) -> None:
    stream: Any = Stub(channel).StreamEvents(pb.StreamEventsRequest(session_id=session_id, from_seq=0))
    opened = await stream.read()
    assert opened.HasField("opened")
