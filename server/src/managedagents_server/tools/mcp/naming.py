"""What a model calls the tools of a server: SERVER__TOOL, in letters that every provider takes."""

import hashlib
import re
from dataclasses import dataclass

from managedagents_server.tools.base import Declaration

_LONGEST = 64
_BETWEEN = "__"
_DIGEST = 10
_OTHER = re.compile(r"[^A-Za-z0-9_-]")
_BEGINNING = re.compile(r"[A-Za-z_]")


@dataclass(frozen=True, slots=True)
class McpTool:
    server: str
    tool: str
    """As the server calls it."""
    declaration: Declaration
    """With the server's own schema: inputs are checked against this one."""
    shown_schema_json: str
    """The same for a model's request: it allows what the server's allows, and perhaps more."""
    repeatable: bool
    """The server says that a call reads only, or does the same however often it runs."""


def shown_name(server: str, tool: str) -> str:
    """The same for the same two names, whatever other tools there are. A name that had to be changed, or that could be
    that of another pair, ends in a digest of both."""
    whole = _OTHER.sub("_", server) + _BETWEEN + _OTHER.sub("_", tool)
    if not _BEGINNING.match(whole):
        whole = f"_{whole}"
    # Names are parted at the first `__`, so the server's must neither have it nor lend a half to it.
    is_plain = whole == server + _BETWEEN + tool and _BETWEEN not in server and not server.endswith("_")
    if is_plain and len(whole) <= _LONGEST:
        return whole
    digest = hashlib.sha256(f"{len(server)} {server} {tool}".encode()).hexdigest()[:_DIGEST]
    return f"{whole[: _LONGEST - _DIGEST - 1]}_{digest}"
