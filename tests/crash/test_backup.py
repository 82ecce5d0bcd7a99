"""A backup is taken while the server writes, and is the one way back: under a new name of the history."""

import asyncio
import sys
from pathlib import Path

import grpc
import pytest

from managedagents.v1 import service_pb2 as pb
from managedagents_server.config import PROGRAM
from support.calls import refused, scripted
from support.driven import Driven, drive, use_ids
from support.judge import Judge
from support.server import Server, Stub
from support.stored import stored
from support.stubborn import Stubborn

pytestmark = pytest.mark.long

TURN = ["status.running", "agent.message", "status.idle end_turn"]


async def command(*arguments: str | Path) -> tuple[int, str]:
    """Runs the server's program. Gives its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "managedagents_server",
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return await process.wait(), out.decode()


async def back_up(server: Server, to: Path) -> None:
    code, said = await command("backup", "--db", server.db, "--to", to)
    assert code == 0, said


async def restore(server: Server, source: Path) -> None:
    code, said = await command("restore", "--db", server.db, "--from", source)
    assert code == 0, said


async def log_id(stub: Stub, session_id: str) -> str:
    """As a stream opens with it."""
    async for reply in stub.StreamEvents(pb.StreamEventsRequest(session_id=session_id)):
        return reply.opened.log_id
    raise AssertionError("the stream did not open")


async def read(session: Driven, from_seq: int, known: str) -> None:
    request = pb.StreamEventsRequest(session_id=session.session_id, from_seq=from_seq, log_id=known)
    async for reply in session.stub.StreamEvents(request):
        raise AssertionError(f"the stream began with {reply}")


async def test_a_follower_of_a_restored_log_is_told_so_and_gets_no_other_history(
    server: Server, stub: Stub, tmp_path: Path
) -> None:
    session = await drive(stub, scripted({"text": "a"}, {"text": "b"}, {"text": "c"}), "1")
    await session.comes("status.idle end_turn")
    known = await log_id(stub, session.session_id)
    await back_up(server, tmp_path / "backup.db")
    await session.send("2")
    await session.comes("status.idle end_turn")
    assert session.seen == 8
    await server.kill()
    await restore(server, tmp_path / "backup.db")
    await server.start()
    await Stubborn(stub).log(session.session_id)
    assert await log_id(stub, session.session_id) != known
    assert await session.lines() == ["1 user.message", *(f"1 {line}" for line in TURN)]
    # With the old name of the history, whatever the seq: it is checked first.
    for from_seq in (0, 4, 8):
        said = await refused(read(session, from_seq, known))
        assert (said.code, said.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "LOG_REPLACED")
        assert said.metadata["log_id"] == await log_id(stub, session.session_id)
    await session.send("other")
    session.seen = 4
    await session.comes("status.idle end_turn")
    assert (await session.lines())[4:] == ["5 user.message", *(f"5 {line}" for line in TURN)]


async def test_a_session_that_waited_when_the_backup_was_taken_goes_on_from_there(
    server: Server, stub: Stub, tmp_path: Path
) -> None:
    definition = scripted({"tool_calls": [{"name": "ask"}]}, {"text": "done"}, tools=["ask"])
    session = await drive(stub, definition, "1")
    (use,) = use_ids(await session.comes("agent.custom_tool_use"))
    await back_up(server, tmp_path / "backup.db")
    for _ in range(2):
        await Stubborn(stub).log(session.session_id)
        await session.answer(use)
        await session.comes("status.idle end_turn")
        session.seen = 3
        await server.terminate()
        await restore(server, tmp_path / "backup.db")
        await server.start()
    await Stubborn(stub).log(session.session_id)
    assert [action.tool_use_id for action in (await session.status()).pending_actions] == [use]


async def test_a_backup_under_load_is_whole_and_of_one_moment(server: Server, stub: Stub, tmp_path: Path) -> None:
    sessions = [await drive(stub, scripted({"text": "a"})) for _ in range(8)]

    async def talk(session: Driven) -> None:
        for _ in range(30):
            await session.send("hi")
            await session.comes("status.idle end_turn")

    talking = asyncio.gather(*(talk(session) for session in sessions))
    await sessions[0].comes("status.idle end_turn")
    await back_up(server, tmp_path / "backup.db")
    await talking
    for session in sessions:
        whole = await session.log()
        state, kept = stored(tmp_path / "backup.db", session.session_id)
        assert kept == whole[: state.head]
        Judge().read(kept)


@pytest.mark.parametrize("command_line", [("restore", "--from"), ("backup", "--to")], ids=["restore", "backup"])
async def test_a_file_that_is_in_use_is_not_replaced(
    server: Server, stub: Stub, tmp_path: Path, command_line: tuple[str, str]
) -> None:
    session = await drive(stub, scripted({"text": "a"}), "1")
    await session.comes("status.idle end_turn")
    await back_up(server, tmp_path / "backup.db")
    name, flag = command_line
    code, said = await command(name, "--db", server.db, flag, tmp_path / "backup.db")
    assert code == 1
    assert said.startswith(f"{PROGRAM}: ")
    assert said.count("\n") == 1
    await session.send("2")
    await session.comes("status.idle end_turn")
