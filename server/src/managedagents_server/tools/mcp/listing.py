"""The tools of a server, as they are declared to models. What a server says is bounded, and judged tool by tool: one
that cannot be used does not cost the others. Imports the library's types."""

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import jsonschema
import mcp_types
from jsonschema.validators import validator_for

from managedagents_server.tools.base import Declaration
from managedagents_server.tools.mcp.bounds import McpBounds
from managedagents_server.tools.mcp.live import Live
from managedagents_server.tools.mcp.schema import normalised, resolved
from managedagents_server.tools.mcp.tool import McpTool
from managedagents_server.words.mcp_names import shown_name

logger = logging.getLogger(__name__)

_PAGES = 128
_NAME = 256
"""Characters."""
_DEEPEST = 40
"""Checkers of schemas, and of inputs against them, call themselves once or more a level."""


async def listed(live: Live, server: str, bounds: McpBounds) -> tuple[McpTool, ...]:
    """All pages. Raises what `Live.page` does."""
    found: dict[str, McpTool] = {}
    left = bounds.listing_bytes
    room = bounds.tools
    cursor: str | None = None
    for _ in range(_PAGES):
        page, cursor = await live.page(cursor)
        # To judge a large schema takes a tenth of a second.
        for made in await asyncio.to_thread(_judged, server, page[:room], bounds):
            if made.declaration.name not in found and (left := left - _size(made)) >= 0:
                found[made.declaration.name] = made
        room -= len(page)
        if left < 0 or room < 0:
            break
        if not cursor:
            return tuple(found.values())
    logger.warning("an MCP server lists more tools than are kept", extra={"mcp_server": server})
    return tuple(found.values())


def _judged(server: str, tools: list[mcp_types.Tool], bounds: McpBounds) -> list[McpTool]:
    return [made for tool in tools if (made := _made(server, tool, bounds)) is not None]


def _size(tool: McpTool) -> int:
    told = tool.declaration
    return sum(len(part) for part in (told.name, told.description, told.input_schema_json, tool.shown_schema_json))


def _made(server: str, tool: mcp_types.Tool, bounds: McpBounds) -> McpTool | None:
    fault = _fault(tool, bounds)
    if fault:
        logger.warning(
            "a tool of an MCP server is left out",
            extra={"mcp_server": server, "tool": tool.name[:_NAME], "fault": fault},
        )
        return None
    hints = tool.annotations
    return McpTool(
        server=server,
        tool=tool.name,
        declaration=Declaration(
            name=shown_name(server, tool.name),
            description=(tool.description or tool.title or "")[: bounds.declaration_bytes // 4],
            input_schema_json=_json(tool.input_schema),
        ),
        shown_schema_json=_json(normalised(tool.input_schema)),
        repeatable=hints is not None and bool(hints.read_only_hint or hints.idempotent_hint),
    )


def _fault(tool: mcp_types.Tool, bounds: McpBounds) -> str:
    """Why inputs could not be checked against its schema, or no model should be told of it. Empty: all is well."""
    if len(tool.name) > _NAME:
        return "its name is too long"
    if _is_deeper(tool.input_schema, _DEEPEST):
        return "its schema is too deep"
    try:
        told = _json(tool.input_schema)
    except ValueError:
        return "its schema has a number that JSON cannot write"
    if len(told.encode()) > bounds.declaration_bytes:
        return "its schema is too large"
    try:
        validator_for(tool.input_schema, default=jsonschema.Draft202012Validator).check_schema(tool.input_schema)
    except jsonschema.SchemaError:
        return "its schema is no JSON Schema"
    for reference in _references(tool.input_schema):
        if resolved(tool.input_schema, reference) is None:
            return "its schema refers to what is not in it"
    return ""


def _is_deeper(value: object, most: int) -> bool:
    """Level by level: the value may be deeper than calls can go."""
    level = [value]
    for _ in range(most):
        level = [inner for outer in level for inner in _inner(outer)]
        if not level:
            return False
    return True


def _inner(value: object) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _references(value: object) -> Iterator[str]:
    """Also what only looks like one, say in an example."""
    if isinstance(value, dict) and isinstance(reference := value.get("$ref"), str):
        yield reference
    for inner in _inner(value):
        yield from _references(inner)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
