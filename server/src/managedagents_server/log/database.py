"""Opening the file: whose it is, who else has it, and how SQLite is set."""

import fcntl
import logging
import os
import sqlite3
from pathlib import Path
from typing import Literal

from sqlite_utils import Database

from managedagents_server.log.schema import APPLICATION_ID, migrations
from managedagents_server.words import ids

Synchronous = Literal["FULL", "NORMAL"]

Db = sqlite3.Connection | sqlite3.Cursor
"""What a statement runs on. Readers bring a connection; the writer its one cursor, which spares making one for each."""


logger = logging.getLogger(__name__)

# Appends wait for as long.
_WAL_MILLISECONDS = 500


class DatabaseFault(Exception):
    """The file cannot be used. The message is one line for a person: what is wrong with which file."""


class FileLock:
    """Held by whoever may write the file. Beside the database, not on it: SQLite's own locks would be dropped when any
    other descriptor of the same file is closed (POSIX advisory locks)."""

    def __init__(self, db: Path) -> None:
        path = db.with_name(db.name + ".lock")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatabaseFault(f"cannot write beside {db}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise DatabaseFault(f"{db} is in use by another server") from error

    def release(self) -> None:
        os.close(self._file)


def connect(path: Path, *, synchronous: Synchronous = "FULL", readonly: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode: transactions are begun by hand. Used by one thread at a time."""
    uri = f"{path.absolute().as_uri()}{'?mode=ro' if readonly else ''}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=10)
    # WAL: readers never wait for the writer. FULL: a commit is on the disk when it returns.
    if not readonly:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {synchronous}")
    # A page cache of 8 MiB a connection; sorting and temporary tables stay in memory.
    db.execute("PRAGMA cache_size = -8192")
    db.execute("PRAGMA temp_store = MEMORY")
    return db


def check_ours(path: Path) -> None:
    """Raises DatabaseFault unless the file is absent, empty, or a database of ours that this version knows."""
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        db = connect(path, readonly=True)
        try:
            (owner,) = db.execute("PRAGMA application_id").fetchone()
            (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if owner == 0 and tables == 0:
                return  # A start that was killed before it made anything.
            if owner != APPLICATION_ID:
                raise DatabaseFault(f"{path} is not a managedagents database")
            known = {migration.name for migration in migrations.pending(Database(memory=True))}
            applied = {migration.name for migration in migrations.applied(Database(db))}
        finally:
            db.close()
    except sqlite3.DatabaseError as error:
        raise DatabaseFault(f"{path} cannot be read as a database: {error}") from error
    if applied - known:
        raise DatabaseFault(f"{path} was written by a newer managedagents-server; use that one, or a later one")


def prepare(path: Path) -> str:
    """Makes the schema, or brings it up to date. Gives the log id."""
    try:
        db = connect(path)
        try:
            if db.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
                # Inside the file's header, so it is set before any table: a crash in between leaves a file that is
                # ours.
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            migrations.apply(Database(db))
            db.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('log_id', ?)", (ids.log_id(),))
            (log_id,) = db.execute("SELECT value FROM meta WHERE key = 'log_id'").fetchone()
        finally:
            db.close()
    except sqlite3.Error as error:
        raise DatabaseFault(f"{path} cannot be opened: {error}") from error
    return str(log_id)


def empty_wal(path: Path) -> None:
    """Moves the WAL into the file, and leaves nothing of it behind. Waits a moment for those who read just now. Where
    they take longer, or the disk is full, the WAL is left to the next time, at the latest to the next start."""
    try:
        db = connect(path)
        try:
            db.execute(f"PRAGMA busy_timeout = {_WAL_MILLISECONDS}")
            (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            db.close()
    except sqlite3.Error as error:
        logger.warning("the WAL could not be emptied: %s", error)
    else:
        if busy:
            logger.info("the WAL could not be emptied: the log is being read")
