"""How long a caller waits: for a turn, and for a single call."""

import time
from collections.abc import Awaitable

from bench.bare import bare, echo_seconds
from bench.measure import Bench, in_turns, p50_of
from bench.raw import RawLog
from bench.report import Row
from bench.talk import serving, talks_of
from managedagents.v1 import service_pb2 as pb
from support.server import Stub


async def latency(bench: Bench) -> list[Row]:
    raw = RawLog(bench.folder / "raw.db", 1)
    async with bare() as bare_channel, serving(bench.folder / "latency.db") as (_, channel):
        (talk,) = await talks_of(Stub(channel), 1)
        payload = talk.say.SerializeToString()

        async def echo() -> float:
            return await echo_seconds(bare_channel, payload)

        async def commit() -> float:
            # A call apart, as a turn's are: commits in a row wait for the file system's journal, several times as long.
            await echo()
            return raw.commit_seconds()

        measures = [p50_of(20, measure) for measure in (talk.turn, echo, commit)]
        turn, call, write = await in_turns(bench.size(25, 2), *measures)
    raw.close()
    ceiling = call + 2 * write
    return [
        Row("latency", "SendEvent to status.idle, p50", "ms", turn * 1e3, ceiling * 1e3, "echo + 2 commits", at_most=2)
    ]


async def calls(bench: Bench) -> list[Row]:
    async with bare() as bare_channel, serving(bench.folder / "calls.db") as (_, channel):
        stub = Stub(channel)
        (talk,) = await talks_of(stub, 1)
        ask = pb.StatusRequest(session_id=talk.session_id)
        payload = talk.say.SerializeToString()

        async def status() -> float:
            return await _seconds(stub.Status(ask))

        async def send() -> float:
            seconds = await _seconds(stub.SendEvent(talk.say))
            await talk.until("status_idle")
            return seconds

        async def echo() -> float:
            return await echo_seconds(bare_channel, payload)

        measures = [p50_of(20, measure) for measure in (status, send, echo)]
        read, sent, ceiling = await in_turns(bench.size(25, 2), *measures)
    return [
        Row("calls", "Status, p50", "ms", read * 1e3, ceiling * 1e3, "echo"),
        Row("calls", "SendEvent, p50", "ms", sent * 1e3, ceiling * 1e3, "echo"),
    ]


async def _seconds(call: Awaitable[object]) -> float:
    begin = time.perf_counter()
    await call
    return time.perf_counter() - begin
