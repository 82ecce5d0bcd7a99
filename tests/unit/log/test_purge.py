"""A deleted session is gone at once, and its rows go in slices."""

from pathlib import Path
from typing import Any

from managedagents_server.log import Log
from support.rows import START, append, events_of, new_session, open_log, seqs, verbatim


async def filled(log: Log, session_id: str, events: int) -> int:
    session = await log.start_session(new_session(session_id, wake_time=0))
    for after in range(events):
        await log.append(append(session, after, verbatim=verbatim(after + 1)))
    return session


async def everything(log: Log) -> list[str]:
    asked: dict[str, Any] = {"before": None, "agent_id": "", "statuses": [], "metadata": {}}
    found, _ = await log.sessions("default", most_rows=100, most_bytes=100, **asked)
    return [row.session_id for row in found]


async def test_a_deleted_session_is_in_no_reading(log: Log) -> None:
    session, other = await filled(log, "ses_1", 3), await filled(log, "ses_2", 3)
    assert [session_id for _, session_id, _ in await log.to_wake()] == []
    await log.append(append(other, 3))
    await log.bury(session, START, None)
    assert await log.session("default", "ses_1") is None
    assert await everything(log) == ["ses_2"]
    assert await log.to_purge() == [(session, "ses_1")]


async def test_a_purge_takes_no_more_than_its_slice_and_leaves_the_neighbours(log: Log) -> None:
    session, other = await filled(log, "ses_1", 7), await filled(log, "ses_2", 4)
    await log.bury(session, START, None)
    left = []
    while not await log.purge(session, 3):
        left.append((len(await events_of(log, session)), len(await log.verbatims(session))))
    assert left == [(4, 4), (1, 1), (0, 0)]
    assert await log.to_purge() == []
    assert seqs(await events_of(log, other)) == [1, 2, 3, 4]
    assert len(await log.verbatims(other)) == 4


async def test_a_purge_that_was_cut_off_is_known_after_a_restart(db: Path) -> None:
    log = open_log(db)
    session = await filled(log, "ses_1", 5)
    await log.bury(session, START, None)
    assert not await log.purge(session, 2)
    await log.close()
    log = open_log(db)
    assert await log.to_purge() == [(session, "ses_1")]
    while not await log.purge(session, 2):
        pass
    assert await log.to_purge() == []
    await log.close()


async def test_sessions_that_must_be_woken_are_listed_oldest_first(log: Log) -> None:
    for session_id, wake_time in (("ses_1", 0), ("ses_2", None), ("ses_3", START), ("ses_4", 0)):
        await log.start_session(new_session(session_id, wake_time=wake_time))
    deleted = await log.start_session(new_session("ses_5", wake_time=0))
    await log.bury(deleted, START, None)
    assert await log.to_wake() == [("default", "ses_1", 0), ("default", "ses_3", START), ("default", "ses_4", 0)]
