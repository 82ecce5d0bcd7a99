"""The ceiling of everything that touches the disk: SQLite alone, with the log's schema and pragmas."""

import time
from collections import deque
from pathlib import Path

from managedagents_server.log.database import connect, prepare
from managedagents_server.session.state import State

_INSERT = "INSERT INTO events (session, seq, kind, create_time, turn, first_seq, frame) VALUES (?, ?, ?, ?, ?, ?, ?)"
_UPDATE = (
    "UPDATE sessions SET head_seq = ?, log_bytes = ?, status = ?, wake_time = ?, checkpoint = ?, update_time = ?"
    " WHERE session = ? AND head_seq = ? AND deleted = 0"
)
_SESSION = (
    "INSERT INTO sessions (tenant, session_id, agent_id, agent_version, metadata, create_time, update_time, head_seq,"
    " log_bytes, status, checkpoint) VALUES ('default', ?, 'agt_bench', 1, '{}', 1, 1, 0, 0, 1, ?)"
)
FRAME = b"\x0a\xc5\x01" + bytes(197)
"""Of 200 bytes."""
CHECKPOINT = State(head=1_000, log_bytes=200_000).dump()


class RawLog:
    """A file with so many sessions, and a connection that writes to it."""

    def __init__(self, path: Path, sessions: int) -> None:
        prepare(path)
        self._db = connect(path)
        self._seq = 0
        self._sessions = range(1, sessions + 1)
        self._db.execute("BEGIN")
        self._db.executemany(_SESSION, [(f"ses_{number}", CHECKPOINT) for number in self._sessions])
        self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()

    def commit(self, *, with_sessions: bool) -> None:
        """One event to each session; `with_sessions`: and its row's new head, as an append writes it."""
        self._seq += 1
        seq = self._seq
        self._db.execute("BEGIN IMMEDIATE")
        if with_sessions:
            heads = [(seq, 200 * seq, 3, None, CHECKPOINT, seq, session, seq - 1) for session in self._sessions]
            self._db.executemany(_UPDATE, heads)
        self._db.executemany(
            _INSERT, [(session, seq, "user.message", seq, seq, seq, FRAME) for session in self._sessions]
        )
        self._db.execute("COMMIT")

    def commit_seconds(self) -> float:
        """What one commit of one event to every session took, without the sessions' rows."""
        start = time.perf_counter()
        self.commit(with_sessions=False)
        return time.perf_counter() - start

    def insert_rate(self, commits: int, *, with_sessions: bool) -> float:
        """Events a second."""
        start = time.perf_counter()
        for _ in range(commits):
            self.commit(with_sessions=with_sessions)
        return commits * len(self._sessions) / (time.perf_counter() - start)


ROWS = "seq, kind, create_time, turn, first_seq, frame"
FRAMES = "seq, first_seq, frame"
"""What a replay without a filter reads of a row, and the seq that says it was all."""


def read_rate(path: Path, session: int, events: int, columns: str) -> float:
    """Events a second of a SELECT of the columns, seq first, of a session's events."""
    db = connect(path, readonly=True)
    start = time.perf_counter()
    cursor = db.execute(f"SELECT {columns} FROM events WHERE session = ? AND seq > 0 ORDER BY seq", (session,))
    (last,) = deque(cursor, maxlen=1)
    seconds = time.perf_counter() - start
    db.close()
    assert last[0] == events
    return events / seconds
