"""While a long session is deleted, the turns of others take as long as ever."""

import asyncio
import sqlite3
from collections.abc import Callable

from bench.filled import EVENTS_A_TURN, fill
from bench.measure import Bench, p99
from bench.report import Row
from bench.talk import Talk, serving, talks_of
from managedagents.v1 import service_pb2 as pb
from support.server import Stub

_OTHERS = 8


async def deletion(bench: Bench) -> list[Row]:
    db = bench.folder / "deletion.db"
    rounds = bench.size(5, 1)
    turns = bench.size(25_000, 1_000)
    fill(db, rounds, turns)
    async with serving(db) as (_, channel):
        stub = Stub(channel)
        talks = await talks_of(stub, _OTHERS)
        usual: list[float] = []
        during: list[float] = []
        reading = sqlite3.connect(f"file:{db}?mode=ro", uri=True, isolation_level=None)
        doomed = [
            row[0] for row in reading.execute("SELECT session_id FROM sessions ORDER BY session LIMIT ?", (rounds,))
        ]
        for session_id in doomed:
            usual += await _talking(talks, lambda: False, at_least=bench.size(50, 10))
            await stub.DeleteSession(pb.DeleteSessionRequest(session_id=session_id))
            during += await _talking(talks, lambda: _purging(reading), at_least=1)
        reading.close()
    what = f"{turns * EVENTS_A_TURN:,} events deleted: p99 of {len(during):,} turns of {_OTHERS} others"
    return [Row("deletion", what, "ms", p99(during) * 1e3, p99(usual) * 1e3, "usually", at_most=2)]


async def _talking(talks: list[Talk], go_on: Callable[[], bool], at_least: int) -> list[float]:
    """What each turn took, of all sessions at once, while there is a reason to go on."""
    seconds: list[float] = []

    async def busy(talk: Talk) -> None:
        done = 0
        while done < at_least or go_on():
            seconds.append(await talk.turn())
            done += 1

    async with asyncio.TaskGroup() as group:
        for talk in talks:
            group.create_task(busy(talk))
    return seconds


def _purging(reading: sqlite3.Connection) -> bool:
    (left,) = reading.execute("SELECT count(*) FROM sessions WHERE deleted = 1").fetchone()
    return bool(left)
