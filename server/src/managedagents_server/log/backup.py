"""A copy of a log while it is in use, and the one supported way back to it."""

import os
import sqlite3
from pathlib import Path

from managedagents_server.log.database import DatabaseFault, FileLock, check_ours, connect
from managedagents_server.words import ids


def backup(db: Path, to: Path) -> None:
    """Writes a consistent copy of `db` to the new file `to`. The server may be running. Raises DatabaseFault."""
    _must_be_ours(db)
    if to.exists():
        raise DatabaseFault(f"{to} exists already")
    _copy(db, to)


def restore(db: Path, source: Path) -> str:
    """Puts the backup `source` in the place of `db`, under a new log id, which it gives. The server must not be
    running. A crash in between leaves the old file. Raises DatabaseFault."""
    _must_be_ours(source)
    lock = FileLock(db)
    try:
        check_ours(db)
        fresh = db.with_name(db.name + ".restoring")
        _remove(fresh)
        _copy(source, fresh)
        log_id = ids.log_id()
        copy = connect(fresh)
        copy.execute("UPDATE meta SET value = ? WHERE key = 'log_id'", (log_id,))
        # One file again, so that one rename moves all of it.
        copy.execute("PRAGMA journal_mode = DELETE")
        copy.close()
        _sync(fresh)
        # The old file's WAL must not be applied to the new file, so it is folded in first.
        if db.exists():
            old = connect(db)
            old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            old.execute("PRAGMA journal_mode = DELETE")
            old.close()
        fresh.replace(db)
        _sync(db.parent)
    except (sqlite3.Error, OSError) as error:
        raise DatabaseFault(f"{db} cannot be restored from {source}: {error}") from error
    finally:
        lock.release()
    return log_id


def _must_be_ours(path: Path) -> None:
    if not path.exists() or path.stat().st_size == 0:
        raise DatabaseFault(f"{path} does not exist")
    check_ours(path)


def _copy(source: Path, to: Path) -> None:
    part = to.with_name(to.name + ".part")
    _remove(part)
    try:
        reading = connect(source, readonly=True)
        writing = sqlite3.connect(part)
        try:
            # In one step: pages copied in several would start over at every commit of the server.
            reading.backup(writing)
        finally:
            writing.close()
            reading.close()
        _sync(part)
        part.replace(to)
        _sync(to.absolute().parent)
    except (sqlite3.Error, OSError) as error:
        _remove(part)
        raise DatabaseFault(f"{source} cannot be copied to {to}: {error}") from error


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
