"""The one thread that writes, with group commit.

Whatever waits when the thread is free becomes one transaction and one fsync. A job that fails takes nothing with it;
whoever submitted it is told after the commit. Jobs are functions of the database alone: one may be run twice before its
commit.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from managedagents_server.words import failpoints
from managedagents_server.words.errors import LogUnavailable

T = TypeVar("T")

# About how many jobs one commit takes: a bound on what its first one waits for.
_JOBS_A_COMMIT = 512


@dataclass(slots=True, eq=False)
class _Job:
    run: Callable[[sqlite3.Cursor], Any]
    future: asyncio.Future[Any]
    label: str
    """What it writes, where a failpoint may ask for it; else empty."""
    committed: Callable[[], None] | None
    result: Any = None
    error: BaseException | None = None


class Writer:
    """Must be made in a running event loop; futures are resolved there."""

    def __init__(
        self,
        db: sqlite3.Connection,
        *,
        on_fatal: Callable[[str], None],
        on_full: Callable[[bool], None],
    ) -> None:
        self._db = db
        # One for all statements: each would else make one of its own.
        self._cursor = db.cursor()
        self._loop = asyncio.get_running_loop()
        self._on_fatal = on_fatal
        self._on_full = on_full
        self._full = False
        self._gathered: list[_Job] = []
        self._batches: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="log-writer", daemon=True)
        self._thread.start()

    def submit(
        self,
        run: Callable[[sqlite3.Cursor], T],
        label: str = "",
        committed: Callable[[], None] | None = None,
    ) -> "asyncio.Future[T]":
        """Runs in the order of the calls. The future's result comes after the commit, and after `committed` was called
        in the event loop; LogUnavailable when the disk is full, and then nothing of the job was written."""
        job = _Job(run, self._loop.create_future(), label, committed)
        # Handed over once for each turn of the event loop: what came in together is committed together, where the
        # first one would else be alone in a commit that all the others wait for.
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(job)
        return job.future

    def _hand_over(self) -> None:
        if self._gathered:
            self._batches.put(self._gathered)
            self._gathered = []

    async def close(self) -> None:
        """Returns when everything submitted is settled."""
        self._hand_over()
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)
        self._db.close()

    def _work(self) -> None:
        more = True
        while more:
            batch = self._batches.get()
            more = batch is not None
            while batch is not None and len(batch) < _JOBS_A_COMMIT and not self._batches.empty():
                # This thread is the only taker: what is there now is there at the get.
                next_ = self._batches.get()
                more = next_ is not None
                if next_ is None:
                    break
                batch += next_
            if batch is not None:
                self._commit(batch)
                self._loop.call_soon_threadsafe(self._settle, batch)

    def _commit(self, batch: list[_Job]) -> None:
        try:
            self._transact(batch)
        except sqlite3.Error as error:
            self._fail(batch, error)
        else:
            self._tell_full(False)

    def _transact(self, batch: list[_Job]) -> None:
        db = self._cursor
        db.execute("BEGIN IMMEDIATE")
        try:
            for job in batch:
                job.result = job.run(db)
        except sqlite3.Error:
            raise
        except Exception:  # noqa: BLE001  (found again below, where it takes nothing with it)
            db.execute("ROLLBACK")
            db.execute("BEGIN IMMEDIATE")
            self._run_apart(batch)
        self._failpoint("before_commit", batch)
        db.execute("COMMIT")
        self._failpoint("after_commit", batch)

    def _run_apart(self, batch: list[_Job]) -> None:
        """Each in a savepoint of its own. Savepoints cost a fifth of an append, so they are for batches that hold one
        that fails."""
        db = self._cursor
        for job in batch:
            db.execute("SAVEPOINT job")
            try:
                job.result = job.run(db)
            except sqlite3.Error:
                raise
            except Exception as error:  # noqa: BLE001  (handed to whoever submitted the job)
                db.execute("ROLLBACK TO job")
                job.error = error
            db.execute("RELEASE job")

    @staticmethod
    def _failpoint(where: str, batch: list[_Job]) -> None:
        if failpoints.armed:
            for job in batch:
                failpoints.hit(f"{where}:{job.label}")

    def _fail(self, batch: list[_Job], error: sqlite3.Error) -> None:
        # What Python's module itself raises has no code.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_FULL:
            name = getattr(error, "sqlite_errorname", type(error).__name__)
            self._on_fatal(f"the log cannot be written: {error} ({name})")
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        for job in batch:
            job.error = LogUnavailable("the log cannot be written: the disk is full", retry_after=1.0)
        self._tell_full(True)

    def _tell_full(self, full: bool) -> None:
        if full != self._full:
            self._full = full
            self._loop.call_soon_threadsafe(self._on_full, full)

    @staticmethod
    def _settle(batch: list[_Job]) -> None:
        for job in batch:
            if job.error is None and job.committed is not None:
                job.committed()
            if job.future.cancelled():
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)
