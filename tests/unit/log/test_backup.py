"""A copy of a log in use is a moment of it; the way back renews the log's name."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from managedagents_server.log import DatabaseFault, Log, backup, restore
from support.rows import append, events_of, new_session, open_log, seqs


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "copy.db"


async def fill(log: Log, session: int, *heads: int) -> None:
    await asyncio.gather(*(log.append(append(session, after)) for after in heads))


async def content(db: Path) -> tuple[str, list[int]]:
    """The log's name and the seqs of its first session."""
    log = open_log(db)
    try:
        row = await log.session("default", "ses_1")
        assert row is not None
        events = seqs(await events_of(log, row.key))
        assert row.head_seq == len(events)
        return log.log_id, events
    finally:
        await log.close()


async def test_a_backup_taken_while_the_server_writes_is_one_moment_of_the_log(
    db: Path, log: Log, session: int, to: Path
) -> None:
    await fill(log, session, *range(300))
    copying = asyncio.create_task(asyncio.to_thread(backup, db, to))
    head = 300
    while not copying.done():
        await log.append(append(session, head))
        head += 1
    await copying
    log_id, events = await content(to)
    assert log_id == log.log_id
    assert events == list(range(1, len(events) + 1))
    assert 300 <= len(events) <= head


async def test_what_was_acknowledged_before_the_backup_began_is_in_it(
    db: Path, log: Log, session: int, to: Path
) -> None:
    await fill(log, session, 0, 1)
    backup(db, to)
    await fill(log, session, 2)
    assert (await content(to))[1] == [1, 2]


async def test_a_restored_log_is_the_backup_under_a_new_name(db: Path, to: Path) -> None:
    log = open_log(db)
    session = await log.start_session(new_session())
    await fill(log, session, 0, 1)
    backup(db, to)
    await fill(log, session, 2, 3)
    await log.close()
    named = restore(db, to)
    assert named != log.log_id
    assert await content(db) == (named, [1, 2])
    assert (await content(to))[0] == log.log_id
    assert restore(db, to) != named


async def test_a_log_that_was_lost_can_be_restored(db: Path, log: Log, session: int, to: Path, tmp_path: Path) -> None:
    await fill(log, session, 0)
    backup(db, to)
    new = tmp_path / "new.db"
    named = restore(new, to)
    assert await content(new) == (named, [1])


async def test_a_log_in_use_is_not_restored(db: Path, log: Log, session: int, to: Path) -> None:
    backup(db, to)
    with pytest.raises(DatabaseFault, match="is in use by another server"):
        restore(db, to)
    await fill(log, session, 0)
    assert seqs(await events_of(log, session)) == [1]


async def test_a_killed_server_s_last_writes_do_not_leak_into_what_is_restored(db: Path, to: Path) -> None:
    log = open_log(db)
    session = await log.start_session(new_session())
    await fill(log, session, 0)
    backup(db, to)
    await fill(log, session, 1, 2)
    wal = db.with_name(db.name + "-wal").read_bytes()
    assert wal
    await log.close()
    db.with_name(db.name + "-wal").write_bytes(wal)
    named = restore(db, to)
    assert await content(db) == (named, [1])


def nothing(_: Path) -> None: ...


def an_empty_file(path: Path) -> None:
    path.touch()


def garbage(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)


@pytest.mark.parametrize("make", [nothing, an_empty_file, garbage])
async def test_what_is_no_backup_is_not_restored(db: Path, to: Path, make: Callable[[Path], None]) -> None:
    log = open_log(db)
    session = await log.start_session(new_session())
    await fill(log, session, 0)
    await log.close()
    make(to)
    with pytest.raises(DatabaseFault, match=to.name):
        restore(db, to)
    assert await content(db) == (log.log_id, [1])


async def test_a_restore_that_fails_half_way_leaves_the_old_log(
    db: Path, to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(db)
    session = await log.start_session(new_session())
    backup(db, to)
    await fill(log, session, 0)
    await log.close()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(DatabaseFault, match="No space left"):
            restore(db, to)
    assert await content(db) == (log.log_id, [1])


def test_a_foreign_file_is_not_replaced_by_a_backup(db: Path, to: Path) -> None:
    database = db.with_name("ours.db")
    asyncio.run(_made(database))
    backup(database, to)
    db.write_bytes(b"somebody's precious text, longer than a header" * 100)
    with pytest.raises(DatabaseFault, match="cannot be read as a database"):
        restore(db, to)
    assert db.read_bytes().startswith(b"somebody's precious text")


async def _made(db: Path) -> None:
    await open_log(db).close()


def test_a_backup_overwrites_nothing(db: Path, to: Path) -> None:
    asyncio.run(_made(db))
    to.write_text("mine")
    with pytest.raises(DatabaseFault, match="exists already"):
        backup(db, to)
    assert to.read_text() == "mine"


def test_a_log_that_is_not_there_has_no_backup(db: Path, to: Path) -> None:
    with pytest.raises(DatabaseFault, match="does not exist"):
        backup(db, to)
    assert not to.exists()
