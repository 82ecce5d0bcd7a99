"""What a model calls the tools of an MCP server: SERVER__TOOL, in letters that every provider takes."""

import hashlib
import re

_LONGEST = 64
_BETWEEN = "__"
_DIGEST = 10
_KEPT = _LONGEST - _DIGEST - 1
"""Characters of a name that are left before a digest."""
_OTHER = re.compile(r"[^A-Za-z0-9_-]")
_BEGINNING = re.compile(r"[A-Za-z_]")


def may_be_of(name: str, server: str) -> bool:
    """Whether a tool of that server might be shown under this name."""
    return name.startswith(_headed(server + _BETWEEN)[:_KEPT])


def shown_name(server: str, tool: str) -> str:
    """The same for the same two names, whatever other tools there are. A name that had to be changed, or that could be
    that of another pair, ends in a digest of both."""
    whole = _headed(_OTHER.sub("_", server) + _BETWEEN + _OTHER.sub("_", tool))
    # Names are parted at the first `__`, so the server's must neither have it nor lend a half to it.
    is_plain = whole == server + _BETWEEN + tool and _BETWEEN not in server and not server.endswith("_")
    if is_plain and len(whole) <= _LONGEST:
        return whole
    digest = hashlib.sha256(f"{len(server)} {server} {tool}".encode()).hexdigest()[:_DIGEST]
    return f"{whole[:_KEPT]}_{digest}"


def _headed(whole: str) -> str:
    return whole if _BEGINNING.match(whole) else f"_{whole}"
