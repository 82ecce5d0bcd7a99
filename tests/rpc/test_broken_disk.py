"""A file that cannot be written, for another reason than a full disk: the process ends rather than go on in doubt."""

from pathlib import Path

import grpc.aio
import pytest

from support.calls import log, scripted, send, start
from support.server import Server, Stub

# The kernel refuses to let a file grow beyond this many blocks of 512 bytes (EFBIG), as a broken disk refuses a write.
UNDER_A_LIMIT = ("sh", "-c", 'ulimit -f 3000 && exec "$@"', "sh")


async def fill(stub: Stub, session_id: str, acknowledged: list[int]) -> None:
    while True:
        acknowledged.append(await send(stub, session_id, "x" * 50_000))


async def test_a_server_that_cannot_write_its_file_ends_with_one_line_and_loses_nothing_acknowledged(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path / "log.db", wrapper=UNDER_A_LIMIT)
    await server.start()
    acknowledged: list[int] = []
    async with server.channel() as channel:
        stub = Stub(channel)
        session_id = await start(stub, scripted({"text": "ok"}))
        with pytest.raises(grpc.aio.AioRpcError):
            await fill(stub, session_id, acknowledged)
    assert await server.wait() == 74
    said = [line for line in server.stderr().splitlines() if line.startswith("managedagents-server: ")]
    assert len(said) == 1
    assert "the log cannot be written" in said[0]
    assert "Traceback" not in server.stderr()

    server.wrapper = ()
    await server.start()
    async with server.channel() as channel:
        events = await log(Stub(channel), session_id)
    messages = {event.seq for event in events if event.HasField("user_message")}
    assert acknowledged
    assert messages.issuperset(acknowledged)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    await server.kill()
