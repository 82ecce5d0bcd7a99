"""How servers of the protocol from 2026-07-28 on say that their tools changed: to who asked to be told. Older ones say
it unasked, to the message handler. Imports the library."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mcp import Client, MCPError
from mcp.client.subscriptions import SubscriptionLost
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

logger = logging.getLogger(__name__)


@asynccontextmanager
async def told_of_changes(client: Client, on_change: Callable[[], None]) -> AsyncIterator[None]:
    """Without it, or when it breaks off, a list of tools is kept no longer than its bound."""
    tools = client.server_capabilities.tools
    if client.protocol_version not in MODERN_PROTOCOL_VERSIONS or tools is None or not tools.list_changed:
        yield
        return
    listening = asyncio.create_task(_listen(client, on_change))
    try:
        yield
    finally:
        listening.cancel()
        await asyncio.wait([listening])


async def _listen(client: Client, on_change: Callable[[], None]) -> None:
    try:
        async with client.listen(tools_list_changed=True) as subscription:
            async for _ in subscription:
                on_change()
    except (MCPError, SubscriptionLost, TimeoutError) as error:
        logger.info("an MCP server tells no changes any more", extra={"error": type(error).__name__})
