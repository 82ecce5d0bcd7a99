"""Every bound on what an MCP server may make this server wait for or keep."""

from dataclasses import dataclass

_KIB = 1024
_MIB = 1024 * _KIB


@dataclass(frozen=True, slots=True)
class McpBounds:
    """Seconds and bytes."""

    connect: float = 30.0
    """From the start of the process, or of the first request, to the end of the handshake."""
    close: float = 5.0
    """For a server to end by itself before it is ended."""
    idle: float = 60.0
    """Silence after which a connection is tried before it is used."""
    ping: float = 5.0
    """For the answer to that."""
    call: float = 3600.0
    """One call that goes on telling of its progress."""
    listing: float = 30.0
    """For all pages of the list of tools."""
    listing_kept: float = 600.0
    """A list is asked for again after this, should the notice of a change have been lost with its stream."""
    retry_first: float = 1.0
    """After the first failure; doubles with each further one."""
    retry_most: float = 60.0
    """The longest of these delays."""
    tools: int = 512
    """Of one server. The rest of its list is left out."""
    declaration_bytes: int = 64 * _KIB
    """A tool whose schema is larger is left out; a longer description is cut."""
    listing_bytes: int = 2 * _MIB
    """Of all declarations of a server together."""
    message_bytes: int = 8 * _MIB
    """Of one message of a server: more of it is never held."""
    result_bytes: int = _MIB
    """What is kept of one result. An event takes 2 MiB."""
