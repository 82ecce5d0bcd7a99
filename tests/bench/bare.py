"""The ceiling of every call: a gRPC server that does nothing, in a process of its own.

    /bare/Echo     answers with what it got
    /bare/Stream   sends a session's frames out of a log's file, one a message

Run as `python -m bench.bare`; prints `listening on HOST:PORT`.
"""

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

import grpc.aio


@asynccontextmanager
async def bare() -> AsyncIterator[grpc.aio.Channel]:
    """Runs it, and gives a channel to it."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.bare", stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode().strip()
        async with grpc.aio.insecure_channel(line.removeprefix("listening on ")) as channel:
            yield channel
    finally:
        process.kill()
        await process.wait()


def echo(channel: grpc.aio.Channel) -> Callable[[bytes], Any]:
    return cast("Callable[[bytes], Any]", channel.unary_unary("/bare/Echo"))


async def echo_seconds(channel: grpc.aio.Channel, payload: bytes) -> float:
    """What one call took."""
    call = echo(channel)
    start = time.perf_counter()
    await call(payload)
    return time.perf_counter() - start


async def echo_rate(channel: grpc.aio.Channel, payload: bytes, callers: int, calls: int) -> float:
    """Calls a second of so many callers at once."""
    call = echo(channel)

    async def caller() -> None:
        for _ in range(calls):
            await call(payload)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
    return callers * calls / (time.perf_counter() - start)


async def stream_rate(channel: grpc.aio.Channel, db: Path, session: int, events: int) -> float:
    """Events a second, one a message."""
    request = json.dumps({"db": str(db), "session": session, "events": events}).encode()
    stream: Any = channel.unary_stream("/bare/Stream")
    call = stream(request)
    await call.read()
    count = 1
    start = time.perf_counter()
    while await call.read() is not grpc.aio.EOF:
        count += 1
    seconds = time.perf_counter() - start
    assert count == events
    return (events - 1) / seconds


@cache
def _frames(db: str, session: int, events: int) -> list[bytes]:
    reading = sqlite3.connect(f"file:{db}?mode=ro", uri=True)
    rows = reading.execute("SELECT frame FROM events WHERE session = ? ORDER BY seq LIMIT ?", (session, events))
    frames = [row[0] for row in rows]
    reading.close()
    return frames


async def _echo(request: bytes, _: Any) -> bytes:
    return request


async def _stream(request: bytes, context: Any) -> None:
    asked = json.loads(request)
    for frame in _frames(asked["db"], asked["session"], asked["events"]):
        await context.write(frame)


async def _serve() -> None:
    server = grpc.aio.server()
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Echo": grpc.unary_unary_rpc_method_handler(_echo),
        "Stream": grpc.unary_stream_rpc_method_handler(_stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve())
