"""One thread writes: what came in together is one commit, and what fails takes nothing with it."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from managedagents_server.log.database import connect
from managedagents_server.log.writer import Writer
from managedagents_server.words.errors import LogUnavailable

Job = Callable[[sqlite3.Cursor], int]


class Watched:
    """A writer on a table of numbers, and all that it says."""

    def __init__(self, path: Path) -> None:
        self.db = connect(path)
        self.db.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY, text TEXT)")
        self.statements: list[str] = []
        self.fatal: list[str] = []
        self.full: list[bool] = []
        self.died = threading.Event()
        self.db.set_trace_callback(self.statements.append)
        self.writer = Writer(self.db, on_fatal=self._die, on_full=self.full.append)
        self._path = path

    def _die(self, reason: str) -> None:
        self.fatal.append(reason)
        self.died.set()

    @property
    def commits(self) -> int:
        return self.statements.count("COMMIT")

    def numbers(self) -> list[int]:
        """As another process sees them."""
        other = connect(self._path, readonly=True)
        try:
            return [number for (number,) in other.execute("SELECT number FROM numbers ORDER BY rowid")]
        finally:
            other.close()


@pytest_asyncio.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    watched = Watched(tmp_path / "writer.db")
    yield watched
    await watched.writer.close()


def add(number: int, text: str = "") -> Job:
    def run(db: sqlite3.Cursor) -> int:
        db.execute("INSERT INTO numbers VALUES (?, ?)", (number, text))
        return number

    return run


def add_and_fail(number: int) -> Job:
    def run(db: sqlite3.Cursor) -> int:
        add(number)(db)
        raise LookupError(number)

    return run


async def test_what_came_in_together_is_one_commit(watched: Watched) -> None:
    done = [watched.writer.submit(add(number)) for number in range(1, 101)]
    assert [await future for future in done] == list(range(1, 101))
    assert watched.commits == 1
    assert watched.numbers() == list(range(1, 101))


async def test_a_long_queue_is_cut_into_commits_of_about_512_jobs(watched: Watched) -> None:
    free = threading.Event()
    first = watched.writer.submit(lambda _: free.wait(10))
    jobs = []
    for batch in range(10):
        jobs += [watched.writer.submit(add(batch * 200 + number)) for number in range(200)]
        await asyncio.sleep(0)
    free.set()
    await first
    for job in jobs:
        await job
    # 600 + 600 + 600 + 200, and perhaps a part of the first with the one that held the thread up.
    assert watched.commits in (4, 5)


async def test_a_job_that_fails_takes_nothing_with_it_and_leaves_nothing(watched: Watched) -> None:
    before, failing, after = (watched.writer.submit(job) for job in (add(1), add_and_fail(2), add(3)))
    with pytest.raises(LookupError):
        await failing
    assert (await before, await after) == (1, 3)
    assert watched.commits == 1
    assert watched.numbers() == [1, 3]


async def test_jobs_run_in_the_order_of_the_calls(watched: Watched) -> None:
    order: list[int] = []

    def noted(number: int, _: sqlite3.Cursor) -> None:
        order.append(number)

    for number in range(50):
        watched.writer.submit(partial(noted, number))
        await asyncio.sleep(0)
    await watched.writer.submit(lambda _: None)
    assert order == list(range(50))


async def test_followers_are_told_after_the_commit_and_before_the_caller(watched: Watched) -> None:
    told: list[object] = []
    done = watched.writer.submit(add(1), committed=lambda: told.append(watched.numbers()))
    done.add_done_callback(lambda _: told.append("caller"))
    await watched.writer.submit(lambda _: 0)
    assert told == [[1], "caller"]


async def test_nobody_is_told_of_a_job_that_failed(watched: Watched) -> None:
    told: list[str] = []
    failing = watched.writer.submit(add_and_fail(1), committed=lambda: told.append("follower"))
    with pytest.raises(LookupError):
        await failing
    assert told == []


async def test_a_caller_that_hung_up_does_not_undo_its_job(watched: Watched) -> None:
    told: list[str] = []
    watched.writer.submit(add(1), committed=lambda: told.append("follower")).cancel()
    await watched.writer.submit(add(2))
    assert watched.numbers() == [1, 2]
    assert told == ["follower"]


async def test_closing_settles_what_was_submitted_before(watched: Watched) -> None:
    done = [watched.writer.submit(add(number)) for number in range(1, 1001)]
    await watched.writer.close()
    assert [future.result() for future in done] == list(range(1, 1001))
    assert watched.numbers() == list(range(1, 1001))


async def test_a_full_disk_refuses_the_whole_commit_and_is_told_once_until_there_is_room(watched: Watched) -> None:
    (pages,) = watched.db.execute("PRAGMA page_count").fetchone()
    watched.db.execute(f"PRAGMA max_page_count = {pages}")
    for _ in range(2):
        small, big = watched.writer.submit(add(1)), watched.writer.submit(add(2, "x" * 100_000))
        for job in (small, big):
            with pytest.raises(LogUnavailable) as caught:
                await job
            assert caught.value.retry_after
    assert watched.numbers() == []
    assert watched.full == [True]
    watched.db.execute("PRAGMA max_page_count = 1000000")
    await watched.writer.submit(add(2, "x" * 100_000))
    assert watched.numbers() == [2]
    assert watched.full == [True, False]


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        pytest.param("INSERT INTO nowhere VALUES (1)", (), id="of SQLite"),
        pytest.param("INSERT INTO numbers VALUES (?, ?)", (object(), ""), id="of its Python module"),
    ],
)
async def test_any_other_fault_of_the_database_is_fatal(
    watched: Watched, statement: str, values: tuple[object, ...]
) -> None:
    done = watched.writer.submit(lambda db: db.execute(statement, values))
    done.add_done_callback(lambda done: done.exception())
    assert await asyncio.to_thread(watched.died.wait, 5)
    assert len(watched.fatal) == 1
    assert watched.fatal[0].startswith("the log cannot be written: ")
