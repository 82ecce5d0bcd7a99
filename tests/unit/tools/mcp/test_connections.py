"""When connections are opened, kept, opened again and closed."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from managedagents_server.tools.mcp import (
    Command,
    McpBounds,
    McpConnection,
    McpConnections,
    McpFailure,
    McpKey,
    McpServerSpec,
    Stdio,
)
from support.processes import runs
from unit.tools.mcp.helping import RAW_SERVER, MovedClock, Raw, changed, raw_spec, words

pytestmark = pytest.mark.long


async def _number(connection: McpConnection, tool: str) -> int:
    return int(words(await connection.call(tool, {}, 5)))


async def test_nothing_is_started_before_it_is_needed(connections: McpConnections, tmp_path: Path) -> None:
    def never(command: Command) -> Command:
        raise AssertionError(command)

    connections.connection(McpKey("ses", "raw"), McpServerSpec("raw", Stdio("raw", launcher=changed(never))))


async def test_a_session_keeps_its_connection(raw: Raw) -> None:
    assert await _number(raw(), "pid") == await _number(raw(), "pid")


async def test_two_sessions_never_share_a_server(raw: Raw) -> None:
    assert await _number(raw(session="one"), "pid") != await _number(raw(session="two"), "pid")


async def test_calls_that_come_at_once_open_one_connection(raw: Raw) -> None:
    pids = await asyncio.gather(*(_number(raw(), "pid") for _ in range(8)))
    assert len(set(pids)) == 1


async def test_a_caller_that_gives_up_leaves_the_opening_to_the_others(raw: Raw) -> None:
    first = asyncio.create_task(raw().call("pid", {}, 5))
    second = asyncio.create_task(raw().call("pid", {}, 5))
    await asyncio.sleep(0)
    first.cancel()
    assert not (await second).is_error


async def test_after_a_rest_a_new_one_is_opened(raw: Raw, connections: McpConnections) -> None:
    before = await _number(raw(), "pid")
    connections.rest("ses")
    await connections.closed("ses")
    assert not runs(before)
    assert await _number(raw(), "pid") != before


async def test_a_closed_connection_says_that_it_is(raw: Raw, connections: McpConnections) -> None:
    connection = raw()
    await connection.list_tools()
    connections.rest("ses")
    await connections.closed("ses")
    assert "was closed" in words(await connection.call("pid", {}, 5))


async def test_a_call_ends_when_its_session_rests(raw: Raw, connections: McpConnections) -> None:
    hangs = asyncio.Event()
    call = asyncio.create_task(raw().call("hang", {}, 60, lambda *_: hangs.set()))
    await hangs.wait()
    connections.rest("ses")
    await connections.closed("ses")
    assert "its session came to rest" in words(await call)


async def test_other_words_for_a_server_end_the_older_connection(raw: Raw) -> None:
    before = await _number(raw(TOKEN="first-token"), "pid")
    assert await _number(raw(TOKEN="second-token"), "pid") != before


@pytest.mark.parametrize("end", ["leave", "cancel", "close"])
async def test_no_process_is_left_behind(end: str, bounds: McpBounds) -> None:
    started: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()

    async def session() -> None:
        async with McpConnections(bounds) as connections:
            connection = connections.connection(McpKey("ses", "raw"), raw_spec())
            started.set_result((await _number(connection, "pid"), await _number(connection, "child")))
            if end == "close":
                await connections.aclose()
                assert not any(map(runs, started.result()))
            elif end == "cancel":
                await asyncio.Event().wait()

    running = asyncio.create_task(session())
    server, child = await started
    assert end == "close" or (runs(server) and runs(child))
    if end == "cancel":
        running.cancel()
    await asyncio.wait([running])
    assert running.cancelled() == (end == "cancel")
    assert not runs(server)
    assert not runs(child)


async def test_closing_does_not_wait_for_one_that_is_never_ready(connections: McpConnections, tmp_path: Path) -> None:
    pid_of = tmp_path / "pid"
    os.mkfifo(pid_of)
    script = 'echo $$ > "$0"; exec "$@"'

    def noted(command: Command) -> Command:
        return Command(("/bin/sh", "-c", script, str(pid_of), *command.argv))

    spec = McpServerSpec("raw", Stdio(sys.executable, (str(RAW_SERVER), "silent"), launcher=changed(noted)))
    call = asyncio.create_task(connections.connection(McpKey("ses", "raw"), spec).call("pid", {}, 60))
    pid = int(await asyncio.to_thread(pid_of.read_text))
    await connections.aclose()
    assert (await call).is_error
    assert not runs(pid)


async def test_a_server_that_is_never_ready_is_given_up(clock: MovedClock) -> None:
    async with McpConnections(McpBounds(connect=0.2, close=1.0), clock) as connections:
        connection = connections.connection(McpKey("ses", "raw"), raw_spec("silent"))
        assert "it was not ready within 0.2 s" in words(await connection.call("pid", {}, 60))


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("dead", "it closed the connection; its last words: ModuleNotFoundError: no module named weather"),
        ("refuse", "it says: not today"),
        ("babble", "it goes on saying what is no message"),
    ],
)
async def test_a_server_that_cannot_be_opened_says_why(how: str, why: str, raw: Raw) -> None:
    outcome = await raw(how).call("pid", {}, 5)
    assert outcome.is_error
    assert f"The MCP server raw cannot be used: {why}." in words(outcome)
    with pytest.raises(McpFailure, match="cannot be used"):
        await raw(how).list_tools()


async def test_a_command_that_is_not_there_says_so(connections: McpConnections) -> None:
    spec = McpServerSpec("raw", Stdio("/nowhere/server"))
    outcome = await connections.connection(McpKey("ses", "raw"), spec).call("pid", {}, 5)
    assert "its command cannot be started: No such file or directory" in words(outcome)


async def test_a_server_that_cannot_be_opened_is_left_alone_and_a_call_says_till_when(
    raw: Raw, clock: MovedClock, connections: McpConnections
) -> None:
    assert "It is tried again in 1 s" in words(await raw("dead").call("pid", {}, 5))
    with pytest.raises(McpFailure) as refused:
        await raw("dead").list_tools()
    assert 0.4 < refused.value.retry_in <= 1.0
    clock.moved += 1.0
    assert "It is tried again in 2 s" in words(await raw("dead").call("pid", {}, 5))
    clock.moved += 2.0
    outcome = await raw("dead").call("pid", {}, 5)
    assert "It is tried again in" in words(outcome)


async def test_a_server_that_dies_in_each_call_is_left_alone_too(raw: Raw) -> None:
    lost = "was lost during the call"
    assert lost in words(await raw().call("die", {}, 5))
    assert lost in words(await raw().call("die", {}, 5))
    assert "It is tried again in 1 s" in words(await raw().call("die", {}, 5))


async def test_one_that_was_silent_for_long_is_tried_before_it_is_used(raw: Raw, clock: MovedClock) -> None:
    before = await _number(raw(), "pid")
    clock.moved += McpBounds().idle + 1
    assert await _number(raw(), "pid") == before
    assert json.loads(words(await raw().call("told", {}, 5))).count("ping") == 1


async def test_one_that_does_not_answer_any_more_is_replaced(raw: Raw, clock: MovedClock) -> None:
    before = await _number(raw(), "pid")
    os.kill(before, signal.SIGSTOP)
    clock.moved += McpBounds().idle + 1
    assert await _number(raw(), "pid") != before
    assert not runs(before)


async def test_one_that_is_killed_in_a_call_is_replaced_for_the_next(raw: Raw) -> None:
    connection = raw()
    before = await _number(connection, "pid")
    hangs = asyncio.Event()
    call = asyncio.create_task(connection.call("hang", {}, 60, lambda *_: hangs.set()))
    await hangs.wait()
    os.kill(before, signal.SIGKILL)
    assert "was lost during the call" in words(await call)
    assert await _number(connection, "pid") != before


async def test_without_a_launcher_a_server_has_its_own_environment_and_little_of_ours(
    raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_KEY", "of-nobody-else")
    env = json.loads(words(await raw(CITY="Oslo").call("env", {}, 5)))
    assert env["CITY"] == "Oslo"
    assert env["PATH"] == os.environ["PATH"]
    assert "OUR_KEY" not in env


async def test_a_launcher_decides_what_is_run(connections: McpConnections, tmp_path: Path) -> None:
    asked: list[Command] = []

    def launched(command: Command) -> Command:
        asked.append(command)
        return Command((sys.executable, str(RAW_SERVER)), {"IN": "the sandbox"}, str(tmp_path))

    spec = McpServerSpec("raw", Stdio("server", ("--fast",), {"CITY": "Oslo"}, "work", changed(launched)))
    env = json.loads(words(await connections.connection(McpKey("ses", "raw"), spec).call("env", {}, 5)))
    assert asked == [Command(("server", "--fast"), {"CITY": "Oslo"}, "work")]
    assert env.keys() - {"LC_CTYPE"} == {"IN"}
