"""What the log's interface costs above SQLite: one event an append, each awaited, so many at once."""

import asyncio
import time

from bench.measure import Bench, in_turns
from bench.raw import CHECKPOINT, FRAME, RawLog
from bench.report import Row
from managedagents_server.log import Append, EventRow, Log, SessionFields
from managedagents_server.words.clock import SystemClock
from managedagents_server.words.limits import Limits

_WAITING = 128


async def appends(bench: Bench) -> list[Row]:
    commits = bench.size(25, 10)
    files = [bench.folder / f"{name}.db" for name in ("log", "events", "rows")]
    RawLog(files[0], _WAITING).close()
    events_alone, same_rows = RawLog(files[1], _WAITING), RawLog(files[2], _WAITING)
    log = Log.open(files[0], clock=SystemClock(), limits=Limits(), on_fatal=_fatal)
    appending = _Appending(log)

    async def subject() -> float:
        return await appending.rate(commits)

    async def alone() -> float:
        return events_alone.insert_rate(commits, with_sessions=False)

    async def same() -> float:
        return same_rows.insert_rate(commits, with_sessions=True)

    appended, inserted, written = await in_turns(bench.size(21, 2), subject, alone, same)
    await log.close()
    events_alone.close()
    same_rows.close()
    what = f"{_WAITING} waiting, 200 bytes"
    return [
        # Less than an append writes: without a target, to see what it costs to keep the session's row with it.
        Row("appends", what, "events/s", appended, inserted, "SQLite, event rows alone"),
        Row("appends", what, "events/s", appended, written, "SQLite, the same rows", at_least=0.5),
    ]


class _Appending:
    def __init__(self, log: Log) -> None:
        self._log = log
        self._head = 0

    async def rate(self, commits: int) -> float:
        head = self._head
        begin = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for session in range(1, _WAITING + 1):
                group.create_task(self._append(session, head, head + commits))
        self._head += commits
        return _WAITING * commits / (time.perf_counter() - begin)

    async def _append(self, session: int, head: int, last: int) -> None:
        for seq in range(head + 1, last + 1):
            row = EventRow(seq, "user.message", seq, seq, seq, FRAME)
            fields = SessionFields(seq, 200 * seq, 3, None, CHECKPOINT)
            await self._log.append(Append(session, seq - 1, [row], fields, seq))


def _fatal(reason: str) -> None:
    raise AssertionError(reason)
