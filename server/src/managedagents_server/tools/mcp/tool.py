"""A tool of an MCP server, as a session has it."""

from dataclasses import dataclass

from managedagents_server.tools.base import Declaration


@dataclass(frozen=True, slots=True)
class McpTool:
    server: str
    tool: str
    """As the server calls it."""
    declaration: Declaration
    """With the server's own schema."""
    shown_schema_json: str
    """The same for a model's request: it allows what the server's allows, and perhaps more. Inputs are checked against
    this one, without its patterns; the server checks them against its own."""
    repeatable: bool
    """The server says that a call reads only, or does the same however often it runs."""
