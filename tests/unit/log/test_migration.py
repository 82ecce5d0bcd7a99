"""A database of an earlier version comes up with all that was in it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from managedagents_server.log.database import connect
from managedagents_server.log.records import AgentUsage
from managedagents_server.log.schema import APPLICATION_ID, migrations
from support.rows import events_of, open_log, seqs

SECOND = "m002_agents_that_last"
FAILED = 7


@pytest.fixture
def old(db: Path) -> Iterator[sqlite3.Connection]:
    """A database as the first version made it, without any row."""
    with closing(connect(db)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrations.apply(Database(connection), stop_before=SECOND)
        connection.execute("INSERT INTO meta VALUES ('log_id', 'log_old')")
        yield connection


def add_agent(db: sqlite3.Connection, agent_id: str, archive_time: int | None = None) -> None:
    db.execute(
        "INSERT INTO agents (tenant, agent_id, version, definition, metadata, create_time, update_time, archive_time)"
        " VALUES ('default', ?, 1, ?, '{\"team\": \"a\"}', 7, 8, ?)",
        (agent_id, agent_id.encode(), archive_time),
    )


def add_session(db: sqlite3.Connection, session_id: str, agent_id: str, checkpoint: str, status: int = 2) -> None:
    session = db.execute(
        "INSERT INTO sessions (tenant, session_id, agent_id, agent_version, metadata, create_time, update_time,"
        " head_seq, log_bytes, status, wake_time, checkpoint)"
        " VALUES ('default', ?, ?, 1, '{}', 7, 8, 1, 5, ?, 0, ?)",
        (session_id, agent_id, status, checkpoint),
    ).lastrowid
    db.execute("INSERT INTO events VALUES (?, 1, 'user.message', 7, 1, 1, x'01')", (session,))


def checkpoint(turn: int, *spent: int) -> str:
    return json.dumps({"fold": 1, "turn": turn, "spent": spent})


async def test_agents_and_sessions_are_all_there(db: Path, old: sqlite3.Connection) -> None:
    add_agent(old, "agt_1")
    add_agent(old, "agt_2", archive_time=9)
    add_session(old, "ses_1", "agt_1", checkpoint(1, 1, 2, 3, 4, 5, 6, 7))
    old.close()
    log = open_log(db)
    try:
        assert log.log_id == "log_old"
        for version in (None, 1):
            agent = await log.agent("default", "agt_1", version)
            assert agent is not None
            assert (agent.version, agent.definition) == (1, b"agt_1")
            assert (agent.create_time, agent.update_time, agent.archive_time) == (7, 8, None)
        archived = await log.agent("default", "agt_2")
        assert archived is not None
        assert archived.archive_time == 9
        found, _ = await log.agents(
            "default", before=None, metadata={"team": "a"}, archived=True, most_rows=9, most_bytes=99
        )
        assert [row.agent_id for row in found] == ["agt_2", "agt_1"]
        session = await log.session("default", "ses_1")
        assert session is not None
        assert (session.agent_id, session.agent_version, session.overrides) == ("agt_1", 1, None)
        assert seqs(await events_of(log, session.key)) == [1]
        assert await log.to_wake() == [("default", "ses_1", 0)]
    finally:
        await log.close()


async def test_what_the_sessions_used_is_the_agent_s(db: Path, old: sqlite3.Connection) -> None:
    add_agent(old, "agt_1")
    add_agent(old, "agt_2")
    large = 10**12
    add_session(old, "ses_1", "agt_1", checkpoint(0, large, 2, 3, 4, 5, 6, 7))
    add_session(old, "ses_2", "agt_1", checkpoint(0, large, 1, 1, 1, 1, 1, 1))
    add_session(old, "ses_3", "agt_1", "no JSON")
    add_session(old, "ses_4", "agt_1", "[]")
    old.close()
    log = open_log(db)
    one, other = await log.agent("default", "agt_1"), await log.agent("default", "agt_2")
    await log.close()
    assert one is not None
    assert other is not None
    assert one.usage == AgentUsage(one.key, 2 * large, 3, 4, 5, 6, 7, 8)
    assert other.usage == AgentUsage(other.key, 0, 0, 0, 0, 0, 0, 0)


async def test_open_turns_are_known(db: Path, old: sqlite3.Connection) -> None:
    add_agent(old, "agt_1")
    for number, (turn, status) in enumerate([(1, 2), (0, 3), (1, 3), (1, FAILED)], 1):
        add_session(old, f"ses_{number}", "agt_1", checkpoint(turn, 0), status)
    add_session(old, "ses_5", "agt_1", "no JSON")
    old.close()
    await open_log(db).close()
    with closing(sqlite3.connect(db)) as new:
        rows = new.execute("SELECT session_id FROM sessions WHERE open_turn = 1 ORDER BY session").fetchall()
    assert rows == [("ses_1",), ("ses_3",)]


async def test_a_second_start_changes_nothing(db: Path, old: sqlite3.Connection) -> None:
    add_agent(old, "agt_1")
    add_session(old, "ses_1", "agt_1", checkpoint(1, 1, 2, 3, 4, 5, 6, 7))
    old.close()
    dumps = []
    for _ in range(2):
        await open_log(db).close()
        with closing(sqlite3.connect(db)) as new:
            dumps.append(list(new.iterdump()))
    assert dumps[0] == dumps[1]
