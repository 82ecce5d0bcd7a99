"""The rows, as the layers above hand them down and get them back. Times are wall time in nanoseconds since 1970.

Tuples, because a replay makes one of every row that it reads.
"""

from collections.abc import Sequence
from typing import NamedTuple

from managedagents_server.words.request import KeptAnswer


class EventRow(NamedTuple):
    """One event. `frame` is its wire bytes as an element of EventBatch.events: frames joined are a batch."""

    seq: int
    kind: str
    create_time: int
    turn: int
    group: int
    """The seq of the first event of the same write; a stream never splits a group."""
    frame: bytes


class Stretch(NamedTuple):
    """Consecutive events, with no more of them than a stream without a filter needs."""

    frames: Sequence[bytes]
    last_seq: int
    last_kind: str


class VerbatimRow(NamedTuple):
    """What a provider needs back as it gave it, kept beside the first event of its response."""

    seq: int
    provider: str
    blob: bytes


class SessionFields(NamedTuple):
    """What the session's row says as of `head_seq`: always written together with the events that made it so."""

    head_seq: int
    log_bytes: int
    status: int
    """The SessionStatus as Status gives it."""
    wake_time: int | None
    """When the session must be looked at next; 0: at once. None: not until somebody calls."""
    checkpoint: str
    """The state folded from the log up to head_seq: a cache, made anew from the events where it is missing."""


class Append(NamedTuple):
    """One write to a session's log."""

    session: int
    expected_head: int
    """The head that the write stands on; another one is a LogConflict."""
    events: Sequence[EventRow]
    fields: SessionFields
    update_time: int
    verbatim: VerbatimRow | None = None
    kept: KeptAnswer | None = None


class NewSession(NamedTuple):
    tenant: str
    session_id: str
    agent_id: str
    agent_version: int
    metadata: str
    """A JSON object of strings."""
    create_time: int
    events: Sequence[EventRow]
    fields: SessionFields
    kept: KeptAnswer | None = None


class SessionRow(NamedTuple):
    key: int
    """Short for (tenant, session_id) in the other tables; rises with the time of the start."""
    tenant: str
    session_id: str
    agent_id: str
    agent_version: int
    metadata: str
    create_time: int
    update_time: int
    head_seq: int
    log_bytes: int
    status: int
    checkpoint: str


class AgentRow(NamedTuple):
    key: int
    tenant: str
    agent_id: str
    version: int
    definition: bytes
    metadata: str
    create_time: int
    update_time: int
    archive_time: int | None
