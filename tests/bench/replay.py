"""A long session is replayed about as fast as SQLite reads it, because a batch's bytes are the log's own."""

import time
from typing import Any

import grpc.aio

from bench.bare import bare, stream_rate
from bench.filled import EVENTS_A_TURN, fill
from bench.measure import Bench, in_turns
from bench.raw import FRAMES, ROWS, read_rate
from bench.report import Row
from bench.talk import serving
from managedagents.v1 import service_pb2 as pb

_CAUGHT_UP = pb.StreamEventsResponse.DESCRIPTOR.fields_by_name["caught_up"].number << 3 | 2


async def replay(bench: Bench) -> list[Row]:
    db = bench.folder / "replay.db"
    turns = bench.size(50_000, 2_500)
    events = turns * EVENTS_A_TURN
    single = bench.size(20_000, 2_000)
    (session_id,) = fill(db, 1, turns)
    async with bare() as bare_channel, serving(db) as (_, channel):

        async def subject() -> float:
            return await _replay_rate(channel, session_id, events)

        async def read_rows() -> float:
            return read_rate(db, 1, events, ROWS)

        async def read_frames() -> float:
            return read_rate(db, 1, events, FRAMES)

        async def one_by_one() -> float:
            return await stream_rate(bare_channel, db, 1, single)

        replayed, rows, frames, stream = await in_turns(bench.rounds, subject, read_rows, read_frames, one_by_one)
    what = f"{events:,} events of about 200 bytes"
    return [
        Row("replay", what, "events/s", replayed, rows, "SQLite, rows", at_least=0.5),
        # Less than a replay reads: without a target, to see what it costs to know kinds and groups.
        Row("replay", what, "events/s", replayed, frames, "SQLite, frames alone"),
        Row("replay", what, "events/s", replayed, stream, "one event a message", at_least=20),
    ]


async def _replay_rate(channel: grpc.aio.Channel, session_id: str, events: int) -> float:
    """Events a second to a client that decodes nothing. The first byte of a message says which it is."""
    follow: Any = channel.unary_stream("/managedagents.v1.ManagedAgentRuntime/StreamEvents")
    messages = []
    start = time.perf_counter()
    stream = follow(pb.StreamEventsRequest(session_id=session_id, from_seq=0).SerializeToString())
    while True:
        message = await stream.read()
        if message[0] == _CAUGHT_UP:
            break
        messages.append(message)
    seconds = time.perf_counter() - start
    stream.cancel()
    assert sum(len(pb.StreamEventsResponse.FromString(message).batch.events) for message in messages) == events
    return events / seconds
