"""Encrypted keys: kept for their owner, and erased from the file with it."""

from pathlib import Path

import pytest

from managedagents_server.log import Log
from support.rows import START, append, fields, new_session, new_version, open_log

OLD, NEW, OWN = b"ciphertext-of-version-1" * 20, b"ciphertext-of-version-2" * 400, b"ciphertext-of-a-session" * 20


@pytest.fixture
async def agent(log: Log) -> int:
    """The key of an agent with two versions and a session that have secrets of their own."""
    await log.create_agent(new_version(secret=OLD), None)
    await log.update_agent(new_version(version=2, secret=NEW), None)
    row = await log.agent("default", "agt_1")
    assert row is not None
    return row.key


async def start(log: Log, session_id: str = "ses_1", *, open_turn: bool = False) -> int:
    new = new_session(session_id)._replace(secret=OWN)
    return await log.start_session(new._replace(fields=new.fields._replace(open_turn=open_turn)))


async def secrets(log: Log, agent: int, session: int) -> list[bytes | None]:
    return [await log.secret(agent, *owner) for owner in ((1, 0), (2, 0), (1, session))]


def on_disk(db: Path, secret: bytes) -> bool:
    return any(secret in path.read_bytes() for path in (db, db.with_name(db.name + "-wal")) if path.exists())


async def test_each_owner_has_its_own(log: Log, agent: int) -> None:
    session = await start(log)
    assert await secrets(log, agent, session) == [OLD, NEW, OWN]
    assert await log.secret(agent, 3, 0) is None
    assert await log.secret(agent, 2, session) is None
    assert await log.secret(agent + 1, 1, 0) is None


async def test_nothing_is_erased_of_an_agent_in_use(log: Log, agent: int) -> None:
    session = await start(log)
    assert await log.erase("default", "agt_1")
    assert await secrets(log, agent, session) == [OLD, NEW, OWN]
    assert await log.to_erase() == []


async def test_archiving_erases_at_once_where_no_turn_is_open(log: Log, agent: int) -> None:
    session = await start(log)
    assert await log.archive_agent("default", "agt_1", START, None)
    assert await secrets(log, agent, session) == [None, None, None]
    assert await log.to_erase() == []


async def test_an_open_turn_keeps_the_keys_until_it_ends(log: Log, agent: int) -> None:
    session = await start(log, open_turn=True)
    assert not await log.archive_agent("default", "agt_1", START, None)
    assert not await log.erase("default", "agt_1")
    assert await secrets(log, agent, session) == [OLD, NEW, OWN]
    assert await log.to_erase() == [("default", "agt_1")]
    await log.append(append(session, 0)._replace(fields=fields(1)))
    assert await log.erase("default", "agt_1")
    assert await secrets(log, agent, session) == [None, None, None]


async def test_the_turn_of_a_deleted_session_keeps_nothing(log: Log, agent: int) -> None:
    session = await start(log, open_turn=True)
    await log.bury(session, START, None)
    assert await log.archive_agent("default", "agt_1", START, None)


async def test_another_agent_s_keys_stay(log: Log, agent: int) -> None:
    await log.create_agent(new_version("agt_2", secret=OWN), None)
    await log.archive_agent("default", "agt_1", START, None)
    other = await log.agent("default", "agt_2")
    assert other is not None
    assert await log.secret(other.key, 1, 0) == OWN


async def test_what_is_left_to_erase_is_known_after_a_restart(db: Path) -> None:
    log = open_log(db)
    await log.create_agent(new_version(secret=OLD), None)
    await start(log, open_turn=True)
    await log.archive_agent("default", "agt_1", START, None)
    await log.close()
    log = open_log(db)
    assert await log.to_erase() == [("default", "agt_1")]
    await log.close()


async def test_a_purged_session_s_key_goes_with_it(log: Log, agent: int, db: Path) -> None:
    session, other = await start(log), await start(log, "ses_2")
    await log.bury(session, START, None)
    while not await log.purge(session, 10):
        pass
    assert await secrets(log, agent, session) == [OLD, NEW, None]
    assert await secrets(log, agent, other) == [OLD, NEW, OWN]


async def test_what_is_erased_is_in_no_file_any_more(log: Log, agent: int, db: Path) -> None:
    await start(log)
    assert all(on_disk(db, secret) for secret in (OLD, NEW[:1000], OWN))
    await log.archive_agent("default", "agt_1", START, None)
    assert not any(on_disk(db, secret) for secret in (OLD, NEW[:1000], NEW[-1000:], OWN))
