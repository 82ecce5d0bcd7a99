"""A session whose log is full: no new messages, but room to end what is open."""

from pathlib import Path

import grpc.aio
import pytest

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import status_event_pb2
from support.calls import Refusal, answer, kind, log, refusal, refused, scripted, send, start, until
from support.server import Stub, running

# Messages end at event 20. What is queued by then runs all the same, three events a turn, before the reserve is short.
EVENTS = ("session_events=200", "reserve_events=180")
BYTES = ("session_bytes=30000", "reserve_bytes=20000")


async def fill(stub: Stub, session_id: str) -> Refusal:
    """Sends messages until one is refused."""
    for _ in range(100):
        try:
            await send(stub, session_id, "x" * 700)
        except grpc.aio.AioRpcError as error:
            return refusal(error)
    raise AssertionError("a hundred messages were taken")


@pytest.mark.parametrize("limits", [EVENTS, BYTES])
async def test_messages_are_refused_and_the_rest_passes(tmp_path: Path, limits: tuple[str, ...]) -> None:
    flags = [flag for limit in limits for flag in ("--limit", limit)]
    async with running(tmp_path / "log.db", *flags) as server, server.channel() as channel:
        stub = Stub(channel)
        calls = {"tool_calls": [{"name": "look"}, {"name": "look"}]}
        session_id = await start(stub, scripted(calls, {"text": "x" * 700}, tools=["look"]), "go")
        events = await until(stub, session_id, lambda event: event.seq == 4)
        first, second = (event.agent_custom_tool_use.custom_tool_use_id for event in events[2:])

        full = await fill(stub, session_id)
        name, value = limits[0].split("=")
        assert (full.reason, full.metadata, full.retry_after) == (
            "LIMIT_EXCEEDED",
            {"limit": name, "value": value},
            None,
        )
        for use in (first, second):
            await send(stub, session_id, answer(use))
        # The model is asked, and what it says has no room.
        events = await until(stub, session_id, "status.idle")
        assert [kind(event) for event in events[-2:]] == ["error", "status.idle"]
        assert events[-2].error.code == status_event_pb2.ERROR_CODE_LOG_FULL
        assert events[-2].error.next == status_event_pb2.ERROR_NEXT_TURN_ENDS
        assert events[-1].status_idle.stop_reason.HasField("error")

        interrupt = await stub.Interrupt(pb.InterruptRequest(session_id=session_id, drop_queued=True))
        await until(stub, session_id, "status.idle", from_seq=interrupt.seq)
        await stub.Pause(pb.PauseRequest(session_id=session_id))
        await stub.Resume(pb.ResumeRequest(session_id=session_id))
        assert (await refused(send(stub, session_id, "x" * 700))).reason == "LIMIT_EXCEEDED"
        whole = await log(stub, session_id)
        assert len(whole) <= 200
        assert sum(event.ByteSize() for event in whole) <= 30_000

        # Another session has its own room.
        await until(stub, await start(stub, scripted({"text": "ok"}), "go"), "status.idle")
        await stub.Archive(pb.ArchiveRequest(session_id=session_id))


async def test_the_reserve_has_an_end_and_archive_is_left(tmp_path: Path) -> None:
    flags = [flag for limit in EVENTS for flag in ("--limit", limit)]
    async with running(tmp_path / "log.db", *flags) as server, server.channel() as channel:
        stub = Stub(channel)
        session_id = await start(stub, scripted({"text": "ok"}))
        for _ in range(60):
            try:
                await stub.Interrupt(pb.InterruptRequest(session_id=session_id))
            except grpc.aio.AioRpcError as error:
                full = refusal(error)
                break
        else:
            raise AssertionError("sixty interrupts were taken")
        assert (full.reason, full.metadata) == ("LIMIT_EXCEEDED", {"limit": "session_events", "value": "200"})
        await stub.Archive(pb.ArchiveRequest(session_id=session_id))
        whole = await log(stub, session_id)
        assert whole[-1].HasField("status_archived")
        assert len(whole) <= 200
