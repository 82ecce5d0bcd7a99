"""Rows for a log without sessions above it, and a clock that stands still until it is moved."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from managedagents_server.log import Append, EventRow, Log, NewSession, NewVersion, SessionFields, VerbatimRow
from managedagents_server.session.views import dump_metadata
from managedagents_server.words.limits import Limits
from managedagents_server.words.request import TENANT, KeptAnswer, RequestKey

HOUR = 3600.0
START = 1_800_000_000_000_000_000


class StillClock:
    def __init__(self) -> None:
        self.now = START

    def wall(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now / 1e9

    async def sleep(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)

    def move(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)


def not_fatal(reason: str) -> None:
    raise AssertionError(reason)


def open_log(db: Path, clock: StillClock | None = None, limits: Limits | None = None) -> Log:
    # NORMAL: no test of these pulls the plug, and hundreds of commits need not wait for the disk.
    return Log.open(
        db, clock=clock or StillClock(), limits=limits or Limits(), synchronous="NORMAL", on_fatal=not_fatal
    )


def row(seq: int, *, group: int = 0, size: int = 10, kind: str = "user.message") -> EventRow:
    """A row of its own group, or of the one given; its frame tells its seq and is of about the given size."""
    return EventRow(seq, kind, START, seq, group or seq, f"{seq}:".encode().ljust(size, b"."))


def fields(head: int, *, status: int = 1, wake_time: int | None = None) -> SessionFields:
    return SessionFields(head, 10 * head, status, wake_time, f"as of {head}")


def append(session: int, after: int, count: int = 1, *, size: int = 10, **more: Any) -> Append:
    """A write of one group; `more` are fields of Append."""
    rows = [row(after + n, group=after + 1, size=size) for n in range(1, count + 1)]
    return Append(session, after, rows, fields(after + count), START, **more)


def new_session(
    session_id: str = "ses_1",
    *events: EventRow,
    agent_id: str = "agt_1",
    status: int = 1,
    wake_time: int | None = None,
    metadata: Mapping[str, str] | None = None,
    kept: KeptAnswer | None = None,
) -> NewSession:
    state = fields(len(events), status=status, wake_time=wake_time)
    return NewSession(TENANT, session_id, agent_id, 1, dump_metadata(metadata or {}), START, events, state, kept)


def new_version(agent_id: str = "agt_1", version: int = 1, **more: Any) -> NewVersion:
    """`more` are fields of NewVersion."""
    definition = f"{agent_id} {version}".encode()
    return NewVersion(TENANT, agent_id, version, definition, "{}", START + version)._replace(**more)


def kept(request_id: str = "r", response: bytes = b"answer", *, method: str = "SendEvent") -> KeptAnswer:
    return KeptAnswer(RequestKey(TENANT, method, request_id, b"digest"), response)


def verbatim(seq: int, blob: bytes = b"signed") -> VerbatimRow:
    return VerbatimRow(seq, "scripted", blob)


async def events_of(log: Log, session: int, after: int = 0) -> list[EventRow]:
    return await log.events(session, after, most_rows=10_000, most_bytes=1 << 30)


def seqs(rows: Sequence[EventRow]) -> list[int]:
    return [row.seq for row in rows]
