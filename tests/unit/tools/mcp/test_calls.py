"""What a call comes to, with a server that does well and with one that does not."""

import asyncio
import json

import pytest

from managedagents_server.tools.mcp import McpBounds
from unit.tools.mcp.helping import Raw, words

pytestmark = pytest.mark.long


async def _told(raw: Raw) -> list[str]:
    """The methods of what the server was told."""
    methods: list[str] = json.loads(words(await raw().call("told", {}, 5)))
    return methods


async def _pid(raw: Raw, **of: str) -> str:
    return words(await raw(**of).call("pid", {}, 5))


async def test_a_call_gets_what_the_tool_answers(raw: Raw) -> None:
    outcome = await raw().call("echo", {"content": [{"type": "text", "text": "hello"}]}, 5)
    assert words(outcome) == "hello"
    assert not outcome.is_error
    assert not outcome.timed_out


async def test_a_tools_own_failure_stays_one(raw: Raw) -> None:
    outcome = await raw().call("echo", {"content": [{"type": "text", "text": "no such city"}], "isError": True}, 5)
    assert outcome.is_error
    assert words(outcome) == "no such city"


async def test_an_unknown_tool_is_an_error_that_names_it(raw: Raw) -> None:
    outcome = await raw().call("weather", {}, 5)
    assert outcome.is_error
    assert words(outcome) == "The MCP server raw failed the call: it says: no tool weather"


async def test_calls_run_side_by_side(raw: Raw) -> None:
    hangs = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(raw().call("hang", {}, 60, lambda *_: hangs.set()))
        await hangs.wait()
        assert words(await raw().call("stray", {}, 5)) == "answered"
        hanging.cancel()


async def test_progress_is_told_in_order(raw: Raw) -> None:
    heard: list[tuple[float, float | None, str | None]] = []
    outcome = await raw().call("steps", {}, 5, lambda *step: heard.append(step))
    assert words(outcome) == "done"
    assert heard == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]


async def test_a_call_that_takes_too_long_times_out_and_the_server_is_told(raw: Raw) -> None:
    before = await _pid(raw)
    outcome = await raw().call("hang", {}, 0.1)
    assert outcome.timed_out
    assert outcome.is_error
    assert "within 0.1 s" in words(outcome)
    assert await _pid(raw) == before
    told = await _told(raw)
    assert told.index("notifications/cancelled") < told.index("ping"), "it is tried before it is used again"


async def test_a_cancelled_call_is_told_to_the_server_and_leaves_the_connection(raw: Raw) -> None:
    before = await _pid(raw)
    hangs = asyncio.Event()
    call = asyncio.create_task(raw().call("hang", {}, 60, lambda *_: hangs.set()))
    await hangs.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await _pid(raw) == before
    assert "notifications/cancelled" in await _told(raw)


async def test_a_server_that_dies_in_a_call_is_an_error_and_the_next_call_works(raw: Raw) -> None:
    outcome = await raw().call("die", {}, 5)
    assert outcome.is_error
    assert not outcome.timed_out
    assert "was lost during the call" in words(outcome)
    assert "the disk is full" in words(outcome)
    assert not (await raw().call("stray", {}, 5)).is_error


async def test_a_call_does_not_wait_for_what_a_dead_server_left_behind(raw: Raw) -> None:
    assert not (await raw().call("child", {}, 5)).is_error
    assert "was lost during the call" in words(await raw().call("die", {}, 30))


async def test_all_calls_of_a_server_that_dies_end(raw: Raw) -> None:
    hangs = asyncio.Event()
    hanging = asyncio.create_task(raw().call("hang", {}, 60, lambda *_: hangs.set()))
    await hangs.wait()
    assert (await raw().call("die", {}, 5)).is_error
    assert "was lost during the call" in words(await hanging)


async def test_an_answer_that_is_no_message_is_an_error_and_the_next_call_works(raw: Raw) -> None:
    outcome = await raw().call("garbage", {}, 5)
    assert outcome.is_error
    assert "no message of the protocol" in words(outcome)
    assert not (await raw().call("stray", {}, 5)).is_error


async def test_a_result_that_is_none_is_an_error_and_the_connection_lives(raw: Raw) -> None:
    before = await _pid(raw)
    outcome = await raw().call("echo", {"content": "hello"}, 5)
    assert outcome.is_error
    assert "no result of the protocol" in words(outcome)
    assert await _pid(raw) == before


async def test_lines_that_are_no_messages_are_passed_over(raw: Raw) -> None:
    assert words(await raw().call("stray", {}, 5)) == "answered"


async def test_a_long_result_is_cut_and_says_so(raw: Raw) -> None:
    outcome = await raw().call("huge", {"bytes": 3_000_000}, 10)
    assert not outcome.is_error
    assert words(outcome).endswith("[cut here: the text has 3000000 bytes]")
    assert len(words(outcome)) < McpBounds().result_bytes + 100


async def test_a_message_without_end_is_an_error_and_the_next_call_works(raw: Raw) -> None:
    outcome = await raw().call("endless", {"bytes": McpBounds().message_bytes + 1_000_000}, 10)
    assert outcome.is_error
    assert "a message that is too long" in words(outcome)
    assert not (await raw().call("stray", {}, 5)).is_error


async def test_a_key_that_the_server_was_given_is_in_no_error(raw: Raw) -> None:
    outcome = await raw(TOKEN="a-very-secret-word").call("fail", {}, 5)
    assert outcome.is_error
    assert words(outcome).endswith("it failed with [hidden]. Nobody knows whether the call took effect.")


async def test_a_server_of_the_newest_protocol_is_spoken_to_in_it(raw: Raw) -> None:
    connection = raw("modern")
    assert "change" in [tool.tool for tool in await connection.list_tools()]
    assert words(await connection.call("stray", {}, 5)) == "answered"
    assert (await connection.call("hang", {}, 0.1)).timed_out
    told: list[str] = json.loads(words(await connection.call("told", {}, 5)))
    assert "initialize" not in told
    assert told.count("server/discover") == 2, "for the handshake, and to try it after the call that timed out"
