"""The answer to a request is kept with what the request did, for 24 hours."""

from dataclasses import replace

import pytest

from managedagents_server.log import Log
from managedagents_server.words.request import RequestKey
from support.rows import HOUR, START, StillClock, append, kept, new_session, new_version


async def test_every_kind_of_write_keeps_its_answer(log: Log) -> None:
    session = await log.start_session(new_session(kept=kept("start")))
    await log.append(append(session, 0, kept=kept("append")))
    await log.create_agent(new_version(), kept("create"))
    await log.update_agent(new_version(version=2), kept("update"))
    await log.archive_agent("default", "agt_1", START, kept("archive"))
    await log.keep(kept("nothing changed"))
    await log.bury(session, START, kept("delete"))
    for request_id in ("start", "append", "create", "update", "archive", "nothing changed", "delete"):
        assert await log.kept_answer(kept(request_id).key) == kept(request_id)


@pytest.mark.parametrize(
    "key",
    [
        RequestKey("other", "SendEvent", "r", b"digest"),
        RequestKey("default", "Pause", "r", b"digest"),
        RequestKey("default", "SendEvent", "R", b"digest"),
    ],
)
async def test_an_id_counts_in_its_tenant_and_method_only(log: Log, key: RequestKey) -> None:
    await log.keep(kept())
    assert await log.kept_answer(key) is None


async def test_an_answer_is_found_whatever_the_request_was(log: Log) -> None:
    """So that another request of the same id can be told from the same one."""
    await log.keep(kept())
    assert await log.kept_answer(replace(kept().key, digest=b"x")) == kept()


@pytest.mark.parametrize(("hours", "remembered"), [(0, True), (23.9, True), (24, True), (24.1, False)])
async def test_an_answer_is_remembered_for_a_day(log: Log, clock: StillClock, hours: float, remembered: bool) -> None:
    await log.keep(kept())
    clock.move(hours * HOUR)
    assert await log.kept_answer(kept().key) == (kept() if remembered else None)
    assert await log.forget_requests() == (0 if remembered else 1)
    clock.now = START
    assert await log.kept_answer(kept().key) == (kept() if remembered else None)


async def test_an_id_may_be_used_again_after_its_time(log: Log, clock: StillClock) -> None:
    await log.keep(kept(response=b"old"))
    clock.move(25 * HOUR)
    await log.keep(kept(response=b"new"))
    assert await log.kept_answer(kept().key) == kept(response=b"new")


async def test_old_answers_are_forgotten_in_slices(log: Log, clock: StillClock) -> None:
    for number in range(450):
        await log.keep(kept(f"old {number}"))
    clock.move(25 * HOUR)
    await log.keep(kept("new"))
    assert [await log.forget_requests() for _ in range(4)] == [200, 200, 50, 0]
    assert await log.kept_answer(kept("new").key) == kept("new")
