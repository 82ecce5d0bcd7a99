"""How many turns a second: each is two commits, four events and a model's answer."""

import asyncio
import time

from bench.bare import bare, echo_rate
from bench.measure import Bench, in_turns
from bench.report import Row
from bench.talk import Talk, serving, talks_of
from support.server import Stub

_BUSY = 64


async def turns(bench: Bench) -> list[Row]:
    count = bench.size(20, 3)
    async with bare() as bare_channel, serving(bench.folder / "turns.db") as (_, channel):
        talks = await talks_of(Stub(channel), _BUSY)
        payload = talks[0].say.SerializeToString()

        async def subject() -> float:
            return await turn_rate(talks, count)

        async def echoes() -> float:
            return await echo_rate(bare_channel, payload, _BUSY, count * 5)

        rate, ceiling = await in_turns(bench.rounds, subject, echoes)
    return [Row("turns", f"{_BUSY} busy sessions", "1/s", rate, ceiling, f"echo, {_BUSY} callers", at_least=0.2)]


async def turn_rate(talks: list[Talk], count: int) -> float:
    async def busy(talk: Talk) -> None:
        for _ in range(count):
            await talk.turn()

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for talk in talks:
            group.create_task(busy(talk))
    return len(talks) * count / (time.perf_counter() - begin)
