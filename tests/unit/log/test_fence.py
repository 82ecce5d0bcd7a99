"""The expected head keeps foreign writers out: two who think that the log is theirs cannot both be right."""

import asyncio

import pytest

from managedagents_server.log import Log, LogConflict
from support.rows import START, append, events_of, kept, new_session, seqs, verbatim


@pytest.mark.parametrize("expected_head", [0, 1, 3, 99])
async def test_an_append_at_another_head_is_refused_and_leaves_nothing(
    log: Log, session: int, expected_head: int
) -> None:
    await log.append(append(session, 0, 2))
    with pytest.raises(LogConflict):
        await log.append(append(session, expected_head, kept=kept(), verbatim=verbatim(expected_head + 1)))
    assert seqs(await events_of(log, session)) == [1, 2]
    assert await log.kept_answer(kept().key) is None
    assert await log.verbatims(session) == []


async def test_of_two_writers_at_one_head_the_first_wins(log: Log, session: int) -> None:
    first, second = log.append(append(session, 0, 2)), log.append(append(session, 0, 3))
    await first
    with pytest.raises(LogConflict):
        await second
    assert seqs(await events_of(log, session)) == [1, 2]


async def test_an_append_that_rests_on_a_failed_one_fails_too(log: Log, session: int) -> None:
    failing = [log.append(append(session, 5)), log.append(append(session, 6)), log.append(append(session, 7))]
    outcomes = await asyncio.gather(*failing, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [LogConflict] * 3
    assert await events_of(log, session) == []


async def test_appends_in_flight_stand_on_each_other(log: Log, session: int) -> None:
    await asyncio.gather(*(log.append(append(session, after)) for after in range(100)))
    assert seqs(await events_of(log, session)) == list(range(1, 101))
    row = await log.session("default", "ses_1")
    assert row is not None
    assert (row.head_seq, row.checkpoint) == (100, "as of 100")


async def test_one_session_does_not_fence_another(log: Log, session: int) -> None:
    other = await log.start_session(new_session("ses_2"))
    await log.append(append(session, 0, 3))
    await log.append(append(other, 0, 1))
    assert seqs(await events_of(log, session)) == [1, 2, 3]
    assert seqs(await events_of(log, other)) == [1]


@pytest.mark.parametrize("purged", [False, True])
async def test_nothing_is_appended_to_a_deleted_session(log: Log, session: int, purged: bool) -> None:
    await log.append(append(session, 0))
    await log.bury(session, START, None)
    while purged and not await log.purge(session, 10):
        pass
    with pytest.raises(LogConflict):
        await log.append(append(session, 1))
    with pytest.raises(LogConflict):
        await log.bury(session, START, None)


async def test_a_session_of_a_deleted_one_s_key_never_comes_back(log: Log, session: int) -> None:
    await log.bury(session, START, None)
    assert await log.purge(session, 10)
    again = await log.start_session(new_session("ses_2"))
    assert again > session
