"""Servers at a URL: those that do well, and those that do not."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from managedagents_server.tools.mcp import Http, McpBounds, McpConnection, McpConnections, McpKey, McpServerSpec
from managedagents_server.words.addresses import Addresses
from support.spawned import spawned
from unit.tools.mcp.helping import words
from unit.tools.mcp.raw_http import RawHttp, raw_http

pytestmark = pytest.mark.long

_KEY = McpKey("ses", "web")

At = Callable[[], McpConnection]


@pytest.fixture
async def server() -> AsyncIterator[RawHttp]:
    async with raw_http() as made:
        yield made


@pytest.fixture
async def at(server: RawHttp, bounds: McpBounds) -> AsyncIterator[At]:
    """It is closed before the server is."""
    async with McpConnections(bounds) as connections:
        yield lambda: connections.connection(_KEY, _spec(server))


def _spec(server: RawHttp, addresses: Addresses | None = None) -> McpServerSpec:
    return McpServerSpec("web", Http(server.url, {"authorization": "Bearer very-secret-token"}, addresses=addresses))


async def _answers(connection: McpConnection) -> bool:
    return words(await connection.call("any", {}, 5)) == "answered"


async def test_a_call_is_answered_and_the_headers_go_with_each_request(server: RawHttp, at: At) -> None:
    assert await _answers(at())
    assert set(server.headers) == {"Bearer very-secret-token"}


async def test_a_session_at_the_server_ends_with_the_connection(server: RawHttp, bounds: McpBounds) -> None:
    async with McpConnections(bounds) as connections:
        assert await _answers(connections.connection(_KEY, _spec(server)))
    assert server.told[-1] == "DELETE"


async def test_an_answer_may_be_a_stream_with_progress(at: At) -> None:
    heard: list[str | None] = []
    outcome = await at().call("events", {}, 5, lambda _, __, message: heard.append(message))
    assert words(outcome) == "both"
    assert heard == ["half"]


async def test_a_call_that_takes_too_long_times_out_and_the_server_is_told(server: RawHttp, at: At) -> None:
    assert (await at().call("hang", {}, 0.2)).timed_out
    assert await _answers(at())
    assert server.told.index("notifications/cancelled") < server.told.index("ping")
    assert server.told.count("initialize") == 1


@pytest.mark.parametrize(
    ("tool", "why"),
    [
        ("garbage", "Failed to parse JSON response"),
        ("page", "Unexpected content type: text/html"),
        ("huge", "the answer is too long"),
    ],
)
async def test_an_answer_that_is_none_is_an_error_and_the_connection_lives(
    tool: str, why: str, server: RawHttp, at: At
) -> None:
    outcome = await at().call(tool, {"bytes": McpBounds().message_bytes}, 5)
    assert outcome.is_error
    assert why in words(outcome)
    assert await _answers(at())
    assert server.told.count("initialize") == 1


async def test_a_server_that_hangs_up_in_a_call_is_an_error_and_the_next_call_works(at: At) -> None:
    outcome = await at().call("break", {}, 5)
    assert outcome.is_error
    assert "was lost during the call" in words(outcome)
    assert await _answers(at())


async def test_a_server_that_forgot_the_session_gets_a_new_one(server: RawHttp, at: At) -> None:
    assert await _answers(at())
    await at().call("forget", {}, 5)
    outcome = await at().call("any", {}, 5)
    assert outcome.is_error
    assert "it does not know this connection any more" in words(outcome)
    assert await _answers(at())
    assert server.told.count("initialize") == 2


async def test_a_server_that_forgot_the_session_and_says_so_wrongly_gets_a_new_one(server: RawHttp, at: At) -> None:
    server.forgotten = 400
    await at().call("forget", {}, 5)
    assert (await at().call("any", {}, 5)).is_error
    assert await _answers(at())
    assert server.told.count("initialize") == 2


async def test_a_server_that_refuses_says_how_and_no_key_is_told(server: RawHttp, at: At) -> None:
    server.refuses = 401
    outcome = await at().call("any", {}, 5)
    assert outcome.is_error
    assert "(HTTP 401)" in words(outcome)
    assert "very-secret-token" not in words(outcome) + repr(at().spec)
    assert server.url not in words(outcome)


async def test_nobody_at_the_address_is_an_error(bounds: McpBounds) -> None:
    async with raw_http() as server:
        gone = _spec(server)
    async with McpConnections(bounds) as connections:
        assert "nobody answers at its address" in words(await connections.connection(_KEY, gone).call("any", {}, 5))


async def test_a_guard_before_the_network_has_the_last_word(server: RawHttp, bounds: McpBounds) -> None:
    async with McpConnections(bounds) as connections:
        outcome = await connections.connection(_KEY, _spec(server, Addresses())).call("any", {}, 5)
    assert "127.0.0.1 has no public address" in words(outcome)
    assert server.told == []


async def test_calls_to_a_server_that_hangs_up_all_end(at: At) -> None:
    hanging = [asyncio.create_task(at().call("hang", {}, 30)) for _ in range(3)]
    await _answers(at())
    assert (await at().call("break", {}, 5)).is_error
    assert all(outcome.is_error for outcome in await asyncio.gather(*hanging))


@pytest.mark.parametrize(("transport", "path"), [("sse", "/sse"), ("streamable-http", "/mcp")])
async def test_a_server_of_the_official_library_is_spoken_to(transport: str, path: str, bounds: McpBounds) -> None:
    command = (sys.executable, str(Path(__file__).parent / "sdk_server.py"), transport)
    async with spawned(command, "INFO:     Uvicorn running on") as base, McpConnections(bounds) as connections:
        spec = McpServerSpec("sdk", Http(base + path, sse=transport == "sse"))
        connection = connections.connection(_KEY, spec)
        assert [tool.declaration.name for tool in await connection.list_tools()] == ["sdk__add", "sdk__steps"]
        added = await connection.call("add", {"a": 1, "b": 2}, 5)
        assert words(added) == "3"
        assert json.loads(added.structured_content_json) == {"result": 3}
        heard: list[tuple[float, float | None, str | None]] = []
        assert words(await connection.call("steps", {}, 5, lambda *step: heard.append(step))) == "done"
        assert heard == [(1, 2, "half")]
