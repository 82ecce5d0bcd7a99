"""A busy time of a server, with everything that its followers saw."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio

from managedagents.v1 import agent_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import Event, answer, follow, log, refusal, scripted, send, start
from support.promises import through
from support.recording import Message
from support.server import Server, Stub, running

SESSIONS = 3
TALKERS = 2
MESSAGES_EACH = 8
KINDS = ("agent.message", "status.idle")

MANNERS = ("prompt", "slow", "filtered", "resuming", "jumping")
"""How a follower reads: at once; with pauses; at once and a few kinds only; leaving again and again to come back with
the last seq, or at any seq before it."""


@dataclass(slots=True)
class Stream:
    from_seq: int
    messages: list[Message] = field(default_factory=list)


@dataclass(slots=True)
class Followed:
    """What one follower saw of one session."""

    session_id: str
    manner: str
    streams: list[Stream]


@dataclass(slots=True)
class Recording:
    logs: dict[str, list[Event]]
    followed: list[Followed]

    def of(self, *manners: str) -> list[tuple[Stream, list[Event]]]:
        """The streams of followers of these manners, each beside its session's log."""
        found = [
            (stream, self.logs[followed.session_id])
            for followed in self.followed
            if followed.manner in manners
            for stream in followed.streams
        ]
        assert found
        return found


async def record(folder: Path, seed: int) -> Recording:
    """Several clients write to several sessions while others follow them; every session is archived at its end."""
    limits = ("batch_bytes=600", "heartbeat=0.2", "retry_first=0.01")
    flags = [flag for limit in limits for flag in ("--limit", limit)]
    async with running(folder / "log.db", *flags) as server:
        async with asyncio.TaskGroup() as tasks, server.channel() as channel:
            runs = [tasks.create_task(_one_session(server, Stub(channel), f"{seed}.{n}")) for n in range(SESSIONS)]
            await asyncio.wait(runs)
        recordings = [run.result() for run in runs]
    logs = {session_id: events for recording in recordings for session_id, events in recording.logs.items()}
    return Recording(logs, [followed for recording in recordings for followed in recording.followed])


async def _one_session(server: Server, writer: Stub, seed: str) -> Recording:
    session_id = await start(writer, _agent(), "begin")
    channels = [server.channel() for _ in MANNERS]
    async with asyncio.TaskGroup() as followers:
        watching = [
            followers.create_task(_follow(Stub(channel), session_id, manner, random.Random(f"{seed}.{manner}")))
            for channel, manner in zip(channels, MANNERS, strict=True)
        ]
        async with asyncio.TaskGroup() as writers:
            answering = [writers.create_task(_answer(Stub(channel), session_id)) for channel in channels[:2]]
            rng = random.Random(seed)
            talking = [writers.create_task(_talk(writer, session_id, rng)) for _ in range(TALKERS)]
            stopping = [writers.create_task(work(writer, session_id, rng)) for work in (_interrupt, _pause)]
            await asyncio.wait([*talking, *stopping])
            last = await send(writer, session_id, "the last")
            async for event in follow(writer, session_id):
                if event.turn == last and event.HasField("status_idle"):
                    break
            await writer.Archive(pb.ArchiveRequest(session_id=session_id))
            await asyncio.wait(answering)
    for channel in channels:
        await channel.close()
    return Recording({session_id: await log(writer, session_id)}, [task.result() for task in watching])


def _agent() -> agent_pb2.AgentDefinition:
    calls = [{"name": "look", "input_json": '{"at": "%s"}' % ("x" * 40)}, {"name": "look"}, {"name": "no such tool"}]
    cycle: list[dict[str, Any]] = [
        {"thinking": "hm " * 10, "text": "let me look at it " * 4, "tool_calls": calls},
        {"text": "seen and told, piece by piece " * 4, "delay": "0.02s"},
        {"text": "half of a sen", "error": {"code": 0}},
        {"text": "done"},
        {"text": "a long one that may well be cut off " * 8, "delay": "0.1s", "tool_calls": calls[:1]},
        {"error": {"code": 429}},
        {"thinking": "nothing to say"},
    ]
    return scripted(*cycle * 40, tools=["look"])


async def _talk(stub: Stub, session_id: str, rng: random.Random) -> None:
    for number in range(MESSAGES_EACH):
        await send(stub, session_id, f"message {number}")
        await asyncio.sleep(rng.uniform(0, 0.1))


async def _interrupt(stub: Stub, session_id: str, rng: random.Random) -> None:
    for _ in range(4):
        await asyncio.sleep(rng.uniform(0, 0.2))
        await stub.Interrupt(pb.InterruptRequest(session_id=session_id))


async def _pause(stub: Stub, session_id: str, rng: random.Random) -> None:
    for _ in range(3):
        await asyncio.sleep(rng.uniform(0, 0.2))
        await stub.Pause(pb.PauseRequest(session_id=session_id))
        await asyncio.sleep(rng.uniform(0, 0.05))
        await stub.Resume(pb.ResumeRequest(session_id=session_id))


async def _answer(stub: Stub, session_id: str) -> None:
    """One of several clients that answer; who comes too late is told so."""
    async for event in follow(stub, session_id):
        if event.HasField("agent_custom_tool_use"):
            try:
                await send(stub, session_id, answer(event.agent_custom_tool_use.custom_tool_use_id))
            except grpc.aio.AioRpcError as error:
                if refusal(error).reason not in ("TOOL_USE_CLOSED", "SESSION_TERMINAL"):
                    raise


async def _follow(stub: Stub, session_id: str, manner: str, rng: random.Random) -> Followed:
    followed = Followed(session_id, manner, [])
    position = 0
    while True:
        stream = Stream(position)
        followed.streams.append(stream)
        leaves_after = rng.randint(1, 12) if manner in ("resuming", "jumping") else None
        await _read(stub, session_id, manner, stream, leaves_after, rng)
        if stream.messages[-1].HasField("ended"):
            return followed
        position = through(stream.messages, position)
        if manner == "jumping":
            position = rng.randint(0, position)


async def _read(
    stub: Stub, session_id: str, manner: str, stream: Stream, leaves_after: int | None, rng: random.Random
) -> None:
    kinds = KINDS if manner == "filtered" else ()
    request = pb.StreamEventsRequest(
        session_id=session_id, from_seq=stream.from_seq, include_deltas=manner != "prompt", kinds=kinds
    )
    call = stub.StreamEvents(request)
    async for message in call:
        stream.messages.append(message)
        if manner == "slow":
            await asyncio.sleep(rng.uniform(0, 0.006))
        if leaves_after is not None and len(stream.messages) > leaves_after:
            call.cancel()
            break
    with suppress(asyncio.CancelledError):
        await call.code()
