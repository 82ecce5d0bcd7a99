"""What the library raises, in words that say what to do about it. Imports the library, and httpx2."""

from collections.abc import Iterator

import httpx2
import pydantic
from mcp import MCPError
from mcp_types import CONNECTION_CLOSED

from managedagents_server.tools.mcp.bounds import McpBounds
from managedagents_server.tools.mcp.http import TooLong
from managedagents_server.tools.mcp.stdio import NoMessage
from managedagents_server.tools.sandbox import SandboxError
from managedagents_server.words.addresses import AddressNotAllowed

ANSWERED: tuple[type[Exception], ...] = (MCPError, pydantic.ValidationError)
"""What a request on a connection that stands may end in."""

LONGEST = 500
"""Characters of a server's words that are kept."""


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Those in a group, and theirs. Tasks of the library fail together."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def is_closed(error: BaseException) -> bool:
    """The connection is. Perhaps: servers give the same code to errors of their own."""
    return any(isinstance(leaf, MCPError) and leaf.code == CONNECTION_CLOSED for leaf in leaves(error))


def words(error: BaseException, bounds: McpBounds) -> str:
    """Empty: this is nothing that a server may bring about."""
    for known in (_words(_root(leaf), bounds) for leaf in leaves(error)):
        if known:
            return known
    return ""


def _words(error: BaseException, bounds: McpBounds) -> str:
    match error:
        case AddressNotAllowed() | NoMessage() | TooLong():
            return str(error)
        case SandboxError():
            return f"it cannot be started: {error}"
        case MCPError():
            return f"it says: {error.message[:LONGEST]}"
        case pydantic.ValidationError():
            return "it answered with what is no result of the protocol"
        case httpx2.HTTPStatusError():
            return f"it answers with HTTP {error.response.status_code}"
        case httpx2.InvalidURL() | httpx2.UnsupportedProtocol():
            return "its URL is none"
        case httpx2.ConnectError() | httpx2.ConnectTimeout():
            return "nobody answers at its address"
        case httpx2.HTTPError() | httpx2.StreamError():
            return f"the connection to it broke ({type(error).__name__})"
        case TimeoutError():
            return f"it was not ready within {bounds.connect:g} s"
        case FileNotFoundError() | PermissionError() | NotADirectoryError():
            return f"its command cannot be started: {error.strerror}"
        case OSError() | ValueError():
            return f"it cannot be started or reached ({type(error).__name__})"
        case RuntimeError():
            # The library, of a version of the protocol that it does not know.
            return "it speaks a version of the protocol that this server does not"
    return ""


def _root(error: BaseException) -> BaseException:
    """A guard's refusal stands at the end of the chain; of other chains the first link says more."""
    last = error
    while last.__cause__ is not None:
        last = last.__cause__
    return last if isinstance(last, AddressNotAllowed) else error
