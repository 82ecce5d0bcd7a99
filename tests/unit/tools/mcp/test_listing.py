"""The tools of a server as they are declared, whatever it says of them."""

import json
from typing import Any

import mcp_types
import pytest

from managedagents_server.tools.mcp import McpBounds, McpConnections, McpFailure, McpKey
from managedagents_server.tools.mcp.listing import listed
from managedagents_server.tools.mcp.live import Live
from unit.tools.mcp.helping import MovedClock, Raw, raw_spec

pytestmark = pytest.mark.long


class _Server:
    """A connection that stands, with these pages."""

    def __init__(self, *pages: list[dict[str, Any]], endless: bool = False) -> None:
        self._pages = pages
        self._endless = endless

    async def page(self, cursor: str | None) -> tuple[list[mcp_types.Tool], str | None]:
        number = int(cursor or 0)
        tools = [mcp_types.Tool.model_validate(tool) for tool in self._pages[number % len(self._pages)]]
        return tools, str(number + 1) if self._endless or number + 1 < len(self._pages) else None


async def _listed(*tools: dict[str, Any], bounds: McpBounds | None = None) -> list[str]:
    server = _Server(list(tools))
    return [tool.tool for tool in await listed(_as_live(server), "srv", bounds or McpBounds())]


def _as_live(server: Any) -> Live:
    made: Live = server
    return made


def _tool(name: str, schema: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": schema or {"type": "object"}, **more}


async def test_the_list_is_followed_to_its_end(raw: Raw) -> None:
    tools = await raw("--pages", "7").list_tools()
    assert [tool.tool for tool in tools] == [f"page{page}-{number}" for page in range(7) for number in range(10)]


async def test_it_is_asked_for_once(raw: Raw) -> None:
    first = await raw().list_tools()
    assert await raw().list_tools() is first


@pytest.mark.parametrize("mode", [(), ("modern",)])
async def test_it_is_asked_for_again_when_the_server_says_that_it_changed(mode: tuple[str, ...], raw: Raw) -> None:
    first = await raw(*mode).list_tools()
    assert "found" not in [tool.tool for tool in first]
    await raw(*mode).call("change", {"to": "found"}, 5)
    assert [tool.tool for tool in await raw(*mode).list_tools()] == ["echo", "change", "found"]


async def test_it_is_asked_for_again_when_it_is_old(raw: Raw, clock: MovedClock) -> None:
    first = await raw().list_tools()
    clock.moved += McpBounds().listing_kept + 1
    assert await raw().list_tools() is not first


async def test_it_is_asked_for_again_when_the_server_died(raw: Raw) -> None:
    first = await raw().list_tools()
    await raw().call("die", {}, 5)
    assert await raw().list_tools() is not first


async def test_a_list_without_end_is_bounded() -> None:
    server = _Server([_tool("again")], endless=True)
    assert len(await listed(_as_live(server), "srv", McpBounds())) == 1
    many = [_tool(f"tool{number}") for number in range(600)]
    assert len(await listed(_as_live(_Server(many)), "srv", McpBounds())) == 512


async def test_all_declarations_together_are_bounded() -> None:
    large = [_tool(f"tool{number}", description="x" * 2000) for number in range(100)]
    assert len(await _listed(*large, bounds=McpBounds(listing_bytes=50_000))) == 24


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "strange"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/missing"}}},
        {"type": "object", "properties": {"a": {"$ref": "https://example.com/schema.json"}}},
        {"type": "object", "description": "x" * 100_000},
        {"type": "object", "properties": {"a": {"maximum": float("inf")}}},
    ],
    ids=["no schema", "a reference to nothing", "a reference outside", "too large", "infinite"],
)
async def test_a_tool_that_cannot_be_checked_is_left_out_alone(schema: dict[str, Any]) -> None:
    assert await _listed(_tool("bad", schema), _tool("good")) == ["good"]


async def test_a_tool_whose_schema_is_too_deep_is_left_out_alone() -> None:
    deep: dict[str, Any] = {"type": "object"}
    for _ in range(200):
        deep = {"type": "object", "properties": {"a": deep}}
    assert await _listed(_tool("bad", deep), _tool("good")) == ["good"]


async def test_a_name_that_comes_twice_is_declared_once() -> None:
    assert await _listed(_tool("twice"), _tool("twice")) == ["twice"]


async def test_the_servers_own_schema_is_what_inputs_are_checked_against() -> None:
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {"a": {"const": 1}}}
    (tool,) = await listed(_as_live(_Server([_tool("t", schema)])), "srv", McpBounds())
    assert json.loads(tool.declaration.input_schema_json) == schema
    assert json.loads(tool.shown_schema_json) == {"type": "object", "properties": {"a": {"enum": [1]}}}


@pytest.mark.parametrize(
    ("hints", "repeatable"),
    [
        (None, False),
        ({}, False),
        ({"readOnlyHint": True}, True),
        ({"idempotentHint": True, "destructiveHint": True}, True),
        ({"destructiveHint": False}, False),
    ],
)
async def test_a_call_may_be_repeated_when_the_server_says_so(hints: dict[str, bool] | None, repeatable: bool) -> None:
    more = {} if hints is None else {"annotations": hints}
    (tool,) = await listed(_as_live(_Server([_tool("t", **more)])), "srv", McpBounds())
    assert tool.repeatable is repeatable


async def test_a_server_that_does_not_list_in_time_is_a_failure(clock: MovedClock) -> None:
    async with McpConnections(McpBounds(listing=0.1), clock) as connections:
        connection = connections.connection(McpKey("ses", "raw"), raw_spec("mute"))
        with pytest.raises(McpFailure, match=r"it did not list its tools within 0\.1 s"):
            await connection.list_tools()
