"""Tools of MCP servers. spec.py says how a server is named and reached, connections.py is where a session begins.

The protocol's library takes half a second to import: modules that import it (live, stdio, http, results) are imported
with the first connection, in a thread.
"""

from managedagents_server.tools.mcp.bounds import McpBounds
from managedagents_server.tools.mcp.connection import McpConnection, OnProgress
from managedagents_server.tools.mcp.connections import McpConnections, McpKey
from managedagents_server.tools.mcp.failure import McpFailure
from managedagents_server.tools.mcp.media import IMAGES
from managedagents_server.tools.mcp.schema import normalised
from managedagents_server.tools.mcp.spec import Command, Http, Launcher, McpServerSpec, Stdio
from managedagents_server.tools.mcp.tool import McpTool

__all__ = [
    "IMAGES",
    "Command",
    "Http",
    "Launcher",
    "McpBounds",
    "McpConnection",
    "McpConnections",
    "McpFailure",
    "McpKey",
    "McpServerSpec",
    "McpTool",
    "OnProgress",
    "Stdio",
    "normalised",
]
