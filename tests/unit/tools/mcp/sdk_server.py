"""An MCP server as most people write one, with the official library, at a URL.

python sdk_server.py sse | streamable-http
"""

import sys

from mcp.server import MCPServer
from mcp.server.mcpserver import Context

server = MCPServer("sdk", log_level="INFO")


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
async def steps(context: Context) -> str:
    """Tells how far it is."""
    await context.report_progress(1, 2, "half")
    return "done"


if __name__ == "__main__":
    if sys.argv[1] == "sse":
        server.run("sse", port=0)
    else:
        server.run("streamable-http", port=0)
