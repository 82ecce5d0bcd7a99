"""A full disk: writing is refused, reading goes on, and when there is room again everything goes on by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from managedagents.v1 import service_pb2 as pb
from support import promises
from support.calls import Refusal, answer, kind, log, refusal, refused, scripted, send, start, until
from support.recording import following, is_
from support.server import Server, Stub

SIZE = 3 * 1024 * 1024
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def on_a_small_disk(folder: Path) -> tuple[str, ...]:
    """Runs a command with a file system of its own mounted over the folder, seen by nobody else; needs no privilege."""
    script = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'
    return ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(SIZE), str(folder))


@pytest_asyncio.fixture(loop_scope="session")
async def small_disk(tmp_path: Path) -> AsyncIterator[Server]:
    folder = tmp_path / "disk"
    folder.mkdir()
    trial = await asyncio.create_subprocess_exec(
        *on_a_small_disk(folder), "true", stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    _, said = await trial.communicate()
    if trial.returncode != 0:
        pytest.fail(f"this machine does not let `unshare` mount a small disk: {said.decode().strip()}")
    server = Server(folder / "log.db", wrapper=on_a_small_disk(folder))
    await server.start()
    yield server
    await server.kill()


class Disk:
    """The server's disk, as the server sees it."""

    def __init__(self, server: Server) -> None:
        self._ballast = Path(f"/proc/{server.pid}/root{server.db.parent}/ballast")

    def fill(self) -> None:
        with self._ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"\0" * 4096)

    def free(self) -> None:
        self._ballast.unlink()


async def sent_until_full(stub: Stub, session_id: str) -> tuple[list[int], Refusal]:
    """The seqs of the messages that were taken, and the refusal of the first that was not."""
    taken: list[int] = []
    while len(taken) < 50:
        try:
            taken.append(await send(stub, session_id, f"{len(taken)} " + "x" * 20_000))
        except grpc.aio.AioRpcError as error:
            return taken, refusal(error)
    raise AssertionError("the disk does not get full")


def is_unavailable(found: Refusal) -> bool:
    assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "LOG_UNAVAILABLE")
    assert found.retry_after is not None
    return True


async def test_a_full_disk_is_survived(small_disk: Server) -> None:
    disk = Disk(small_disk)
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(small_disk.channel())
        stub = Stub(channel)
        health: Any = health_pb2_grpc.HealthStub(channel)
        writing = aiter(health.Watch(health_pb2.HealthCheckRequest(service="managedagents.write")))
        assert (await anext(writing)).status == SERVING

        target = await start(stub, scripted({"text": "ok"}))
        await stub.Pause(pb.PauseRequest(session_id=target))
        # Its answer comes when the disk is full.
        stuck = await start(stub, scripted({"text": "at last " * 2000, "delay": "0.5s"}), "go")
        stuck_follower = await stack.enter_async_context(following(stub, stuck, include_deltas=True))
        await stuck_follower.first(is_("delta"))
        calls = {"tool_calls": [{"name": "look"}]}
        parked = await start(stub, scripted(calls, {"text": "ok"}, tools=["look"]), "go")
        use = (await until(stub, parked, "agent.custom_tool_use"))[-1].agent_custom_tool_use.custom_tool_use_id

        early = [await send(stub, target, "x" * 20_000) for _ in range(3)]
        disk.fill()
        late, full = await sent_until_full(stub, target)
        assert is_unavailable(full)
        assert (await anext(writing)).status == NOT_SERVING

        # What changes something is refused, all of it; what reads goes on.
        for change in (
            send(stub, parked, answer(use)),
            send(stub, target, "x" * 20_000, request_id="again"),
            stub.Interrupt(pb.InterruptRequest(session_id=parked)),
            stub.Create(pb.CreateRequest(definition=scripted({"text": "x" * 20_000}))),
            stub.DeleteSession(pb.DeleteSessionRequest(session_id=target)),
        ):
            assert is_unavailable(await refused(change))
        for name, wanted in (("managedagents.read", SERVING), ("managedagents.live", SERVING), ("", NOT_SERVING)):
            assert (await health.Check(health_pb2.HealthCheckRequest(service=name))).status == wanted
        whole = await log(stub, target)
        assert [event.seq for event in whole if event.HasField("user_message")] == early + late
        assert (await stub.Status(pb.StatusRequest(session_id=target))).head_seq == len(whole)
        assert await until(stub, target, lambda event: event.seq == len(whole)) == whole

        # The answer that could not be logged is no answer.
        await stuck_follower.first(is_("delta_discarded"))
        disk.free()
        assert (await anext(writing)).status == SERVING
        await stuck_follower.event(lambda event: event.HasField("status_idle"))
        kinds = [kind(event) for event in promises.events(stuck_follower.messages)]
        assert kinds == ["user.message", "status.running", "agent.message", "status.idle"]
        promises.deltas_end(stuck_follower.messages)
        await send(stub, parked, answer(use))
        await until(stub, parked, "status.idle")
        last = await send(stub, target, "x" * 20_000, request_id="again")
        assert last == len(whole) + 1
        await stub.Resume(pb.ResumeRequest(session_id=target))
        await until(stub, target, lambda event: event.turn == last and event.HasField("status_idle"))
    assert "Traceback" not in small_disk.stderr()
    assert await small_disk.terminate() == 0
