"""MCP servers that other people wrote, from npm: as processes that a connection starts, and at a URL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Literal

from support import node
from support.spawned import spawned

SOURCE = node.ROOT / "tests/mcp_servers"
_INSTALLED = node.ROOT / ".cache/mcp_servers"
_PACKAGES = _INSTALLED / "node_modules/@modelcontextprotocol"
_LOOPBACK = SOURCE / "loopback.cjs"

Command = tuple[str, ...]


async def everything() -> Command:
    """A server that has one of everything there is in the protocol."""
    return (await _node(), str(_PACKAGES / "server-everything/dist/index.js"), "stdio")


async def filesystem(folder: Path) -> Command:
    """A server of the files below a folder."""
    return (await _node(), str(_PACKAGES / "server-filesystem/dist/index.js"), str(folder))


@asynccontextmanager
async def everything_at_a_url(
    transport: Literal["streamableHttp", "sse"] = "streamableHttp", port: int = 0
) -> AsyncIterator[str]:
    """It is killed at the end. `port`: where it stands; 0: a free one."""
    program, index, _ = await everything()
    command = ("/usr/bin/env", f"PORT={port}", program, "--require", str(_LOOPBACK), index, transport)
    path = "/mcp" if transport == "streamableHttp" else "/sse"
    listening: AbstractAsyncContextManager[str] = spawned(command, "loopback listens on")
    async with listening as base:
        yield base + path


async def _node() -> str:
    return await asyncio.to_thread(node.installed, SOURCE, _INSTALLED)
