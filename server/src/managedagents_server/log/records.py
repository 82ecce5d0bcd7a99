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
    """Counted, not read: where a row is missing, the last frame's is another."""
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
    open_turn: bool = False
    """A turn has begun and not ended: the keys that it may need are not erased."""


class AgentUsage(NamedTuple):
    """What model answers used: tokens by kind, requests, and the models' time in nanoseconds."""

    agent: int
    """The agent's key."""
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    requests: int
    model_time: int


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
    usage: AgentUsage | None = None
    """Of the model answer that is written; added to what its agent has used."""


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
    overrides: bytes | None = None
    """A serialized SessionOverrides without its inline key. None: there are none."""
    secret: bytes | None = None
    """The inline key of the overrides, encrypted."""
    environment: bytes | None = None
    """A serialized EnvironmentConfig. None: there is none."""


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
    overrides: bytes | None
    environment: bytes | None


class NewVersion(NamedTuple):
    """A version of an agent: its first, or one more."""

    tenant: str
    agent_id: str
    version: int
    definition: bytes
    """Without its inline key."""
    metadata: str
    """A JSON object of strings."""
    create_time: int
    secret: bytes | None = None
    """The inline key of the definition, encrypted."""


class AgentRow(NamedTuple):
    """An agent, as one of its versions shows it."""

    key: int
    """Short for (tenant, agent_id) in the other tables; rises with the time of the creation."""
    tenant: str
    agent_id: str
    create_time: int
    archive_time: int | None
    version: int
    definition: bytes
    update_time: int
    """When this version was made."""
    usage: AgentUsage
    """Of all versions."""
