"""Whose file it is, who has it, and a start that was cut off at any place."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from managedagents_server.log import DatabaseFault, database
from support.rows import append, events_of, new_session, open_log, seqs

Make = Callable[[Path], None]


def nothing(_: Path) -> None: ...


def an_empty_file(path: Path) -> None:
    path.touch()


def a_database_without_tables(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode = WAL")
    db.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)


def a_cut_off_database(path: Path) -> None:
    database.prepare(path)
    path.write_bytes(path.read_bytes()[:5000])


def a_folder(path: Path) -> None:
    path.mkdir()


def somebody_else_s(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE notes (text TEXT)")
    db.close()


def somebody_else_s_by_its_mark(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA application_id = 7")
    db.close()


def a_newer_version_s(path: Path) -> None:
    database.prepare(path)
    with sqlite3.connect(path) as db:
        (table,) = db.execute("SELECT name FROM sqlite_master WHERE name LIKE '%migrations'").fetchone()
        row = dict(
            zip(
                ("set", "name", "at"),
                db.execute(f"SELECT migration_set, name, applied_at FROM {table}").fetchone(),
                strict=True,
            )
        )
        db.execute(f"INSERT INTO {table} (migration_set, name, applied_at) VALUES (:set, 'm999_later', :at)", row)
    db.close()


async def in_use(path: Path) -> None:
    """The log can be written, and read again by the next one."""
    log = open_log(path)
    session = await log.start_session(new_session())
    await log.append(append(session, 0, 2))
    await log.close()
    again = open_log(path)
    assert again.log_id == log.log_id
    assert seqs(await events_of(again, session)) == [1, 2]
    await again.close()


@pytest.mark.parametrize("make", [nothing, an_empty_file, a_database_without_tables])
async def test_a_log_begins_where_nothing_is(db: Path, make: Make) -> None:
    make(db)
    await in_use(db)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (garbage, "cannot be read as a database"),
        (a_cut_off_database, "cannot be read as a database"),
        (a_folder, "cannot be read as a database"),
        (somebody_else_s, "is not a managedagents database"),
        (somebody_else_s_by_its_mark, "is not a managedagents database"),
        (a_newer_version_s, "was written by a newer managedagents-server"),
    ],
)
def test_a_file_that_cannot_be_ours_is_refused_in_one_line_and_left_as_it_is(db: Path, make: Make, why: str) -> None:
    make(db)
    before = db.read_bytes() if db.is_file() else b""
    # The second refusal shows that the first let go of the lock.
    for _ in range(2):
        with pytest.raises(DatabaseFault, match=why) as caught:
            open_log(db)
        assert str(db) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert (db.read_bytes() if db.is_file() else b"") == before


async def test_a_file_that_a_server_has_is_refused_until_it_lets_go(db: Path) -> None:
    log = open_log(db)
    with pytest.raises(DatabaseFault, match="is in use by another server"):
        open_log(db)
    await log.close()
    await in_use(db)


def test_a_folder_that_is_not_there_is_told(db: Path) -> None:
    with pytest.raises(DatabaseFault, match="cannot write beside"):
        open_log(db.parent / "nowhere" / "log.db")


def test_two_files_have_two_names(db: Path) -> None:
    assert database.prepare(db) != database.prepare(db.with_name("other.db"))


async def test_a_start_killed_before_any_of_its_statements_is_begun_again(
    db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files as they were before each statement are what a SIGKILL would have left."""
    killed: list[Path] = []
    connect = database.connect

    def leave_a_copy(_: str) -> None:
        copy = db.with_name(f"killed-{len(killed)}.db")
        for suffix in ("", "-wal"):
            if db.with_name(db.name + suffix).exists():
                shutil.copy(db.with_name(db.name + suffix), copy.with_name(copy.name + suffix))
        killed.append(copy)

    def watched(path: Path, **how: Any) -> sqlite3.Connection:
        connection = connect(path, **how)
        connection.set_trace_callback(leave_a_copy)
        return connection

    with monkeypatch.context() as patched:
        patched.setattr(database, "connect", watched)
        database.prepare(db)
    assert len(killed) > 15
    for copy in killed:
        await in_use(copy)


@pytest.mark.parametrize(("asked", "is_set"), [({}, 2), ({"synchronous": "FULL"}, 2), ({"synchronous": "NORMAL"}, 1)])
def test_a_commit_waits_for_the_disk_unless_the_operator_says_otherwise(
    tmp_path: Path, asked: dict[str, Any], is_set: int
) -> None:
    """As SQLite counts: in WAL mode 2 is an fsync before each commit returns."""
    db = database.connect(tmp_path / "log.db", **asked)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (is_set,)
    db.close()
