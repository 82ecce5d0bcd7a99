"""Connections to servers that run for one test."""

from collections.abc import AsyncIterator

import pytest

from managedagents_server.tools.mcp import McpBounds, McpConnection, McpConnections, McpKey
from unit.tools.mcp.helping import MovedClock, Raw, raw_spec


@pytest.fixture
def bounds() -> McpBounds:
    return McpBounds(connect=10.0, close=0.5, ping=0.5)


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def connections(bounds: McpBounds, clock: MovedClock) -> AsyncIterator[McpConnections]:
    async with McpConnections(bounds, clock) as made:
        yield made


@pytest.fixture
def raw(connections: McpConnections) -> Raw:
    """A connection to the server by hand, which opens nothing yet."""

    def made(*arguments: str, session: str = "ses", **env: str) -> McpConnection:
        return connections.connection(McpKey(session, "raw"), raw_spec(*arguments, **env))

    return made
