"""Sessions at rest stay in memory within a bound; the log is read for all others."""

import asyncio

import pytest

from managedagents.v1 import session_pb2
from managedagents_server.log import Log
from managedagents_server.session.around import Around
from managedagents_server.session.frames import Event
from managedagents_server.session.registry import Registry
from managedagents_server.session.state import State
from managedagents_server.words.errors import SessionNotFound
from support.rows import START, events_of, new_session
from support.story import Story


@pytest.fixture
def registry(around: Around) -> Registry:
    return Registry(around)


@pytest.fixture
async def five(log: Log) -> list[str]:
    """The ids of five sessions with an empty log."""
    names = [f"ses_{number}" for number in range(1, 6)]
    for name in names:
        await log.start_session(new_session(name))
    return names


def in_memory(registry: Registry, names: list[str]) -> list[str]:
    return [name for name in names if registry.peek(name) is not None]


def message() -> Event:
    story = Story()
    story.say("hi")
    return story.events[0]


async def test_a_session_is_read_once_however_many_ask_for_it(registry: Registry, five: list[str]) -> None:
    found = await asyncio.gather(*(registry.get("ses_1") for _ in range(10)))
    assert all(session is found[0] for session in found)


async def test_those_that_rested_longest_are_let_go(registry: Registry, five: list[str]) -> None:
    for name in five:
        await registry.get(name)
    assert in_memory(registry, five) == ["ses_3", "ses_4", "ses_5"]


async def test_a_session_that_worked_meanwhile_rests_shortest(registry: Registry, five: list[str]) -> None:
    for name in five[:3]:
        await registry.get(name)
    first = await registry.get("ses_1")
    registry.woke(first)
    registry.rested(first)
    await registry.get("ses_4")
    assert in_memory(registry, five) == ["ses_1", "ses_3", "ses_4"]


async def test_a_session_at_work_stays_and_counts_for_nothing(registry: Registry, five: list[str]) -> None:
    registry.woke(await registry.get("ses_1"))
    for name in five[1:]:
        await registry.get(name)
    assert in_memory(registry, five) == ["ses_1", "ses_3", "ses_4", "ses_5"]


async def test_a_session_with_an_append_in_flight_is_not_let_go(registry: Registry, five: list[str]) -> None:
    first, *_ = [await registry.get(name) for name in five[:3]]
    done = first.append([message()])
    registry.add(4, "ses_4", first.agent, State())
    registry.add(5, "ses_5", first.agent, State())
    assert registry.peek("ses_2") is None
    assert registry.peek("ses_1") is first
    await done


async def test_a_session_larger_than_the_bound_is_let_go_at_once(registry: Registry, five: list[str]) -> None:
    session = await registry.get("ses_1")
    story = Story()
    story.say("x" * 10_000)
    await session.append(story.events)
    await session.conversation()
    registry.rested(session)
    assert in_memory(registry, five) == []
    again = await registry.get("ses_1")
    assert again.state.head == 1


async def test_what_is_let_go_is_read_back_as_it_was(log: Log, registry: Registry, five: list[str]) -> None:
    session = await registry.get("ses_1")
    await session.append([message()])
    before = session.state.dump()
    registry.forget(session)
    again = await registry.get("ses_1")
    assert again is not session
    assert again.state.dump() == before


@pytest.mark.parametrize(
    "checkpoint",
    ["", '{"fold":0}', "as of 3", "[]", '{"fold":1}', '{"fold":1,"uses":[],"spent":[],"turn_spent":[],"mood":1}'],
)
async def test_without_a_checkpoint_that_it_knows_the_log_is_folded_again(
    log: Log, around: Around, five: list[str], checkpoint: str
) -> None:
    session = await Registry(around).get("ses_1")
    for _ in range(3):
        await session.append([message()])
    row = await log.session("default", "ses_1")
    assert row is not None
    folded = await Registry(around).state_of(row._replace(checkpoint=checkpoint))
    assert folded.dump() == session.state.dump()


async def test_a_lost_session_is_read_again_for_the_next_caller(registry: Registry, five: list[str]) -> None:
    session = await registry.get("ses_1")
    session.lost = True
    again = await registry.get("ses_1")
    assert again is not session
    assert registry.peek("ses_1") is again


@pytest.mark.parametrize("name", ["ses_9", ""])
async def test_what_was_never_started_is_not_found(registry: Registry, five: list[str], name: str) -> None:
    with pytest.raises(SessionNotFound):
        await registry.get(name)


async def test_a_deleted_session_is_not_found(log: Log, registry: Registry, five: list[str]) -> None:
    row = await log.session("default", "ses_1")
    assert row is not None
    await log.bury(row.key, START, None)
    with pytest.raises(SessionNotFound):
        await registry.get("ses_1")
    assert await events_of(log, row.key) == []


async def test_a_session_with_overrides_has_a_definition_of_its_own_and_counts_it(log: Log, registry: Registry) -> None:
    overrides = session_pb2.SessionOverrides(system="x" * 1000)
    await log.start_session(new_session("ses_1")._replace(overrides=overrides.SerializeToString()))
    await log.start_session(new_session("ses_2"))
    own, shared = await registry.get("ses_1"), await registry.get("ses_2")
    assert own.definition.system == "x" * 1000
    assert shared.definition.system == ""
    assert own.definition.model == shared.definition.model
    assert (own.agent.own_model, shared.agent.own_model) == (False, False)
    assert 1000 < own.memory - shared.memory < 2000


async def test_sessions_of_one_version_share_its_definition(log: Log, registry: Registry, five: list[str]) -> None:
    first, second = await registry.get("ses_1"), await registry.get("ses_2")
    assert first.definition is second.definition
