"""Every statement on sessions and their events, each in a function of its own. Writing ones run inside the writer's
transaction."""

import json
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from typing import TypeVar

from managedagents_server.log import secret_statements
from managedagents_server.log.database import Db
from managedagents_server.log.faults import AgentConflict, LogConflict
from managedagents_server.log.records import AgentUsage, Append, EventRow, NewSession, SessionRow, Stretch, VerbatimRow
from managedagents_server.words.request import KeptAnswer, RequestKey

R = TypeVar("R")

_INSERT_EVENT = (
    "INSERT INTO events (session, seq, kind, create_time, turn, first_seq, frame) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_SESSION = (
    "SELECT session, tenant, session_id, agent_id, agent_version, metadata, create_time, update_time, head_seq,"
    " log_bytes, status, checkpoint, overrides, environment FROM sessions"
)
_EVENT = "SELECT seq, kind, create_time, turn, first_seq, frame FROM events"

# A sum that would pass 64 bits (292 years of model time) stops there: SQLite would make a float of it.
_ADD_USAGE = "INSERT INTO agent_usage VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (agent) DO UPDATE SET " + ", ".join(
    f"{name} = min({name} + excluded.{name}, {2**63 - 1})" for name in AgentUsage._fields[1:]
)

# Metadata is a JSON object of strings; a filter matches when each of its entries is there.
HAS_METADATA = (
    " AND NOT EXISTS (SELECT 1 FROM json_each(:wanted) w WHERE NOT EXISTS"
    " (SELECT 1 FROM json_each(metadata) m WHERE m.key = w.key AND m.value = w.value))"
)


def append(db: Db, append: Append) -> None:
    moved = db.execute(
        "UPDATE sessions SET head_seq = ?, log_bytes = ?, status = ?, wake_time = ?, checkpoint = ?, open_turn = ?,"
        " update_time = ? WHERE session = ? AND head_seq = ? AND deleted = 0",
        (*append.fields, append.update_time, append.session, append.expected_head),
    )
    if moved.rowcount != 1:
        raise LogConflict(f"the log is not at {append.expected_head}")
    _insert_events(db, append.session, append.events)
    if append.verbatim is not None:
        row = append.verbatim
        db.execute(
            "INSERT INTO verbatim (session, seq, provider, blob) VALUES (?, ?, ?, ?)",
            (append.session, row.seq, row.provider, row.blob),
        )
    if append.usage is not None:
        db.execute(_ADD_USAGE, append.usage)
    if append.kept is not None:
        keep(db, append.kept, append.update_time)


def _insert_events(db: Db, session: int, events: Iterable[EventRow]) -> None:
    for row in events:
        db.execute(_INSERT_EVENT, (session, *row))


def start_session(db: Db, new: NewSession) -> int:
    fields = new.fields
    archived = db.execute(
        "SELECT 1 FROM agents WHERE tenant = ? AND agent_id = ? AND archive_time IS NOT NULL",
        (new.tenant, new.agent_id),
    )
    if archived.fetchone() is not None:
        raise AgentConflict("the agent is archived")
    key = db.execute(
        "INSERT INTO sessions (tenant, session_id, agent_id, agent_version, metadata, create_time, update_time,"
        " head_seq, log_bytes, status, wake_time, checkpoint, open_turn, overrides,"
        " environment) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            new.tenant,
            new.session_id,
            new.agent_id,
            new.agent_version,
            new.metadata,
            new.create_time,
            new.create_time,
            fields.head_seq,
            fields.log_bytes,
            fields.status,
            fields.wake_time,
            fields.checkpoint,
            fields.open_turn,
            new.overrides,
            new.environment,
        ),
    ).lastrowid
    assert key is not None
    _insert_events(db, key, new.events)
    if new.secret is not None:
        (agent,) = db.execute(
            "SELECT agent FROM agents WHERE tenant = ? AND agent_id = ?", (new.tenant, new.agent_id)
        ).fetchone()
        secret_statements.add(db, agent, new.agent_version, key, new.secret)
    if new.kept is not None:
        keep(db, new.kept, new.create_time)
    return key


def keep(db: Db, kept: KeptAnswer, now: int) -> None:
    key = kept.key
    # OR REPLACE: only an answer that is past its time can be in the way.
    db.execute(
        "INSERT OR REPLACE INTO requests (tenant, method, request_id, digest, response, create_time)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (key.tenant, key.method, key.request_id, key.digest, kept.response, now),
    )


def bury(db: Db, session: int, now: int, kept: KeptAnswer | None) -> None:
    buried = db.execute(
        "UPDATE sessions SET deleted = 1, wake_time = NULL WHERE session = ? AND deleted = 0", (session,)
    )
    if buried.rowcount != 1:
        raise LogConflict("the session is deleted")
    if kept is not None:
        keep(db, kept, now)


def purge(db: Db, session: int, events: int) -> bool:
    removed = db.execute(
        "DELETE FROM events WHERE rowid IN (SELECT rowid FROM events WHERE session = ? LIMIT ?)", (session, events)
    ).rowcount
    removed += db.execute(
        "DELETE FROM verbatim WHERE session = ? AND seq IN (SELECT seq FROM verbatim WHERE session = ? LIMIT ?)",
        (session, session, events),
    ).rowcount
    if removed:
        return False
    secret_statements.erase_session(db, session)
    db.execute("DELETE FROM sessions WHERE session = ?", (session,))
    return True


def forget_requests(db: Db, before: int) -> int:
    return db.execute(
        "DELETE FROM requests WHERE (tenant, method, request_id) IN"
        " (SELECT tenant, method, request_id FROM requests WHERE create_time < ? LIMIT 200)",
        (before,),
    ).rowcount


def probe(db: Db) -> None:
    """Needs a little room in the file, and changes nothing that anybody reads."""
    db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', hex(randomblob(4096)))")


def session(db: Db, tenant: str, session_id: str) -> SessionRow | None:
    row = db.execute(f"{_SESSION} WHERE tenant = ? AND session_id = ? AND deleted = 0", (tenant, session_id)).fetchone()
    return None if row is None else SessionRow(*row)


def sessions(
    db: Db,
    tenant: str,
    before: int | None,
    agent_id: str,
    statuses: Collection[int],
    wanted: str,
    most_rows: int,
    most_bytes: int,
) -> tuple[list[SessionRow], bool]:
    # With the plus, rows are read in their order until the page is full; by an index of tenants all would be sorted.
    where = " WHERE +tenant = :tenant"
    if agent_id:
        where = " WHERE tenant = :tenant AND agent_id = :agent_id"
    where += " AND deleted = 0"
    if before is not None:
        where += " AND session < :before"
    if statuses:
        where += " AND status IN (SELECT value FROM json_each(:statuses))"
    if wanted != "{}":
        where += HAS_METADATA
    values = {
        "tenant": tenant,
        "before": before,
        "agent_id": agent_id,
        "statuses": json.dumps(list(statuses)),
        "wanted": wanted,
        "most_rows": most_rows,
    }
    with closing(db.execute(f"{_SESSION}{where} ORDER BY session DESC LIMIT :most_rows + 1", values)) as found:
        return page(map(SessionRow._make, found), most_rows, most_bytes, lambda row: len(row.overrides or b""))


def page(rows: Iterable[R], most_rows: int, most_bytes: int, size_of: Callable[[R], int]) -> tuple[list[R], bool]:
    """The first rows, at least one, and whether there are more."""
    read: list[R] = []
    size = 0
    for row in rows:
        size += size_of(row)
        if len(read) == most_rows or (read and size > most_bytes):
            return read, True
        read.append(row)
    return read, False


def events(db: Db, session: int, after: int, most_rows: int, most_bytes: int) -> list[EventRow]:
    cursor = db.execute(f"{_EVENT} WHERE session = ? AND seq > ? ORDER BY seq", (session, after))
    rows: list[EventRow] = []
    size = 0
    group = 0
    for row in cursor:
        if row[4] != group:
            if rows and (size + len(row[5]) > most_bytes or len(rows) >= most_rows):
                break
            group = row[4]
        size += len(row[5])
        rows.append(EventRow._make(row))
    cursor.close()
    return rows


def stretch(db: Db, session: int, after: int, most_rows: int, most_bytes: int) -> Stretch | None:
    rows = db.execute(
        "SELECT first_seq, frame FROM events WHERE session = ? AND seq > ? ORDER BY seq", (session, after)
    )
    frames: list[bytes] = []
    size = 0
    group = 0
    for first_seq, frame in rows:
        if first_seq != group:
            if frames and (size + len(frame) > most_bytes or len(frames) >= most_rows):
                break
            group = first_seq
        size += len(frame)
        frames.append(frame)
    rows.close()
    last = after + len(frames)
    kind = db.execute("SELECT kind FROM events WHERE session = ? AND seq = ?", (session, last)).fetchone()
    return Stretch(frames, last, "" if kind is None else kind[0]) if frames else None


def frames(db: Db, session: int) -> list[bytes]:
    return [row[0] for row in db.execute("SELECT frame FROM events WHERE session = ? ORDER BY seq", (session,))]


def event(db: Db, session: int, seq: int) -> EventRow | None:
    row = db.execute(f"{_EVENT} WHERE session = ? AND seq = ?", (session, seq)).fetchone()
    return None if row is None else EventRow._make(row)


def verbatims(db: Db, session: int) -> list[VerbatimRow]:
    rows = db.execute("SELECT seq, provider, blob FROM verbatim WHERE session = ? ORDER BY seq", (session,))
    return [VerbatimRow._make(row) for row in rows]


def kept_answer(db: Db, key: RequestKey, oldest: int) -> KeptAnswer | None:
    row = db.execute(
        "SELECT digest, response FROM requests WHERE tenant = ? AND method = ? AND request_id = ? AND create_time >= ?",
        (key.tenant, key.method, key.request_id, oldest),
    ).fetchone()
    if row is None:
        return None
    return KeptAnswer(RequestKey(key.tenant, key.method, key.request_id, row[0]), row[1])


def to_wake(db: Db) -> list[tuple[str, str, int]]:
    return db.execute(
        "SELECT tenant, session_id, wake_time FROM sessions WHERE wake_time IS NOT NULL ORDER BY session"
    ).fetchall()


def to_purge(db: Db) -> list[tuple[int, str]]:
    return db.execute("SELECT session, session_id FROM sessions WHERE deleted = 1 ORDER BY session").fetchall()
