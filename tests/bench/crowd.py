"""Many followers of one session, in a process of their own: `python -m bench.crowd HOST:PORT SESSION FOLLOWERS`.

Prints `ready` when all have caught up. Given a seq on a line of its standard input, it prints how many followers have
got every event up to that seq, one after the other without a hole, when all have.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Self

import grpc.aio

from managedagents.v1 import service_pb2 as pb

_CHANNELS = 8


class Crowd:
    """Such a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def of(cls, address: str, session_id: str, followers: int) -> AsyncIterator[Self]:
        pipe = asyncio.subprocess.PIPE
        arguments = ["-m", "bench.crowd", address, session_id, str(followers)]
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdin=pipe, stdout=pipe)
        try:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
            yield cls(process)
        finally:
            process.kill()
            await process.wait()

    async def reached(self, seq: int) -> int:
        """How many followers have everything up to `seq`, when all have."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"%d\n" % seq)
        return int(await self._process.stdout.readline())


@lru_cache(maxsize=4096)
def _span(message: bytes) -> tuple[int, int]:
    """The seqs of the first and the last event of a message; decoded once for all followers. (0, 0): it has none."""
    events = pb.StreamEventsResponse.FromString(message).batch.events
    assert all(event.seq == events[0].seq + place for place, event in enumerate(events))
    return (events[0].seq, events[-1].seq) if events else (0, 0)


class _Follower:
    def __init__(self) -> None:
        self.seq = 0
        self.moved = asyncio.Event()
        self.caught_up = asyncio.Event()

    async def follow(self, channel: grpc.aio.Channel, session_id: str) -> None:
        call: Any = channel.unary_stream("/managedagents.v1.ManagedAgentRuntime/StreamEvents")
        stream = call(pb.StreamEventsRequest(session_id=session_id, from_seq=0).SerializeToString())
        while (message := await stream.read()) is not grpc.aio.EOF:
            first, last = _span(message)
            if last:
                assert first == self.seq + 1
                self.seq = last
                self.moved.set()
            elif not self.caught_up.is_set() and pb.StreamEventsResponse.FromString(message).HasField("caught_up"):
                self.caught_up.set()

    async def reach(self, seq: int) -> bool:
        while self.seq < seq:
            self.moved.clear()
            await self.moved.wait()
        return True


async def _run(address: str, session_id: str, count: int) -> None:
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(address, options) for _ in range(_CHANNELS)]
    followers = [_Follower() for _ in range(count)]
    async with asyncio.TaskGroup() as group:
        for place, follower in enumerate(followers):
            group.create_task(follower.follow(channels[place % _CHANNELS], session_id))
        for follower in followers:
            await follower.caught_up.wait()
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(sum([await follower.reach(int(line)) for follower in followers]), flush=True)


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
