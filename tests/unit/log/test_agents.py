"""Agents have versions that never change, and know what all their sessions used."""

import asyncio

import pytest

from managedagents_server.log import AgentConflict, AgentRow, Log
from managedagents_server.log.records import AgentUsage
from support.rows import START, append, kept, new_session, new_version


async def agent(log: Log, version: int | None = None) -> AgentRow:
    row = await log.agent("default", "agt_1", version)
    assert row is not None
    return row


async def test_every_version_is_read_as_it_was_made(log: Log) -> None:
    await log.create_agent(new_version(), None)
    for version in (2, 3):
        await log.update_agent(new_version(version=version), None)
    for version in (1, 2, 3):
        row = await agent(log, version)
        assert (row.version, row.definition) == (version, f"agt_1 {version}".encode())
        assert (row.create_time, row.update_time) == (START + 1, START + version)
    assert await agent(log) == await agent(log, 3)
    assert await log.agent("default", "agt_1", 4) is None
    assert await log.agent("default", "agt_1", 0) is None


@pytest.mark.parametrize("version", [1, 3, 99])
async def test_a_version_follows_the_newest_only(log: Log, version: int) -> None:
    await log.create_agent(new_version(), None)
    if version == 3:
        await log.update_agent(new_version(version=2), None)
        await log.update_agent(new_version(version=3), None)
    before = await agent(log)
    with pytest.raises(AgentConflict):
        await log.update_agent(new_version(version=version, definition=b"other"), kept("update"))
    assert await agent(log) == before
    assert await log.kept_answer(kept("update").key) is None


async def test_of_two_that_race_one_wins(log: Log) -> None:
    await log.create_agent(new_version(), None)
    racers = [log.update_agent(new_version(version=2, definition=b"%d" % number), None) for number in range(5)]
    outcomes = await asyncio.gather(*racers, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None)] + [AgentConflict] * 4
    assert (await agent(log)).definition == b"0"


async def test_an_unknown_or_archived_agent_gets_no_version(log: Log) -> None:
    with pytest.raises(AgentConflict):
        await log.update_agent(new_version(version=2), None)
    await log.create_agent(new_version(), None)
    await log.archive_agent("default", "agt_1", START, None)
    with pytest.raises(AgentConflict):
        await log.update_agent(new_version(version=2), None)


async def test_an_archived_agent_gets_no_session_though_it_was_there_when_the_caller_looked(log: Log) -> None:
    await log.create_agent(new_version(), None)
    archiving = asyncio.ensure_future(log.archive_agent("default", "agt_1", START, None))
    starting = asyncio.ensure_future(log.start_session(new_session(kept=kept())))
    assert await archiving
    with pytest.raises(AgentConflict):
        await starting
    assert await log.session("default", "ses_1") is None
    assert await log.kept_answer(kept().key) is None


async def test_usage_is_summed_over_all_sessions_also_deleted_ones(log: Log) -> None:
    await log.create_agent(new_version(), None)
    key = (await agent(log)).key
    assert (await agent(log)).usage == AgentUsage(key, 0, 0, 0, 0, 0, 0, 0)
    one, other = await log.start_session(new_session("ses_1")), await log.start_session(new_session("ses_2"))
    await log.append(append(one, 0, usage=AgentUsage(key, 1, 2, 3, 4, 5, 6, 7)))
    await log.append(append(other, 0, usage=AgentUsage(key, 10, 20, 30, 40, 50, 60, 70)))
    await log.append(append(other, 1))
    await log.bury(other, START, None)
    while not await log.purge(other, 10):
        pass
    await log.update_agent(new_version(version=2), None)
    assert (await agent(log)).usage == AgentUsage(key, 11, 22, 33, 44, 55, 66, 77)
    assert (await agent(log, 1)).usage == (await agent(log)).usage


async def test_an_append_that_conflicts_counts_for_nothing(log: Log) -> None:
    await log.create_agent(new_version(), None)
    key = (await agent(log)).key
    session = await log.start_session(new_session())
    appends = [log.append(append(session, 0, usage=AgentUsage(key, 1, 1, 1, 1, 1, 1, 1))) for _ in range(3)]
    await asyncio.gather(*appends, return_exceptions=True)
    assert (await agent(log)).usage == AgentUsage(key, 1, 1, 1, 1, 1, 1, 1)


async def test_a_sum_stops_at_64_bits(log: Log) -> None:
    await log.create_agent(new_version(), None)
    key = (await agent(log)).key
    session = await log.start_session(new_session())
    most = 2**63 - 1
    for after in range(3):
        await log.append(append(session, after, usage=AgentUsage(key, most - 1, 1, 0, 0, 0, 1, most)))
    assert (await agent(log)).usage == AgentUsage(key, most, 3, 0, 0, 0, 3, most)
