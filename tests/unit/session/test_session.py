"""The one path into a session's log, and the conversation that it keeps up."""

import asyncio

import pytest

from managedagents_server.log import Log, LogConflict
from managedagents_server.providers.base import Verbatim
from managedagents_server.session.around import Around
from managedagents_server.session.frames import Event, from_row, to_row
from managedagents_server.session.registry import Registry
from managedagents_server.session.session import Session
from support.rows import START, append, events_of, fields, new_session, seqs
from support.story import Story, a_random_story


@pytest.fixture
def registry(around: Around) -> Registry:
    return Registry(around)


@pytest.fixture
async def session(log: Log, registry: Registry) -> Session:
    await log.start_session(new_session()._replace(events=[]))
    return await registry.get("ses_1")


def messages(count: int) -> list[Event]:
    story = Story()
    story.say(*(f"message {number}" for number in range(count)))
    return story.events


async def test_seqs_are_given_out_at_once_and_in_order(log: Log, session: Session) -> None:
    events = messages(5)
    done = [session.append(events[:2]), session.append(events[2:3]), session.append(events[3:])]
    assert [event.seq for event in events] == [1, 2, 3, 4, 5]
    assert session.state.head == 5
    await asyncio.gather(*done)
    rows = await events_of(log, session.key)
    assert [row.group for row in rows] == [1, 1, 3, 4, 4]
    assert [from_row(row) for row in rows] == events


async def foreign_message(log: Log, session: int) -> None:
    """Another writer's, at the beginning of the log."""
    row = to_row(messages(1)[0], START, 1)
    await log.append(append(session, 0)._replace(events=[row], fields=fields(1)._replace(checkpoint="")))


async def test_after_a_failed_commit_the_session_is_lost_and_what_was_in_flight_left_no_trace(
    log: Log, session: Session
) -> None:
    await log.append(append(session.key, 0, 5))
    done = [session.append([event]) for event in messages(3)]
    await session.settled()
    assert session.lost
    assert [type(future.exception()) for future in done] == [LogConflict] * 3
    assert seqs(await events_of(log, session.key)) == [1, 2, 3, 4, 5]


async def test_a_lost_session_is_read_anew_from_the_log(log: Log, session: Session, registry: Registry) -> None:
    await foreign_message(log, session.key)
    with pytest.raises(LogConflict):
        await session.append(messages(1))
    again = await registry.get("ses_1")
    assert again is not session
    assert (again.state.head, again.state.queue) == (1, [1])
    story = Story()
    story.add(*messages(1))
    story.say("another")
    await again.append(story.events[1:])
    assert seqs(await events_of(log, session.key)) == [1, 2]


@pytest.mark.parametrize("seed", range(8))
async def test_a_conversation_kept_up_by_every_append_is_the_one_that_a_restart_reads(
    log: Log, session: Session, around: Around, seed: int
) -> None:
    kept_up = await session.conversation()
    story = a_random_story(seed)
    for event in story.events:
        session.append(
            [event], verbatim=Verbatim("scripted", b"%d" % event.seq) if event.HasField("response") else None
        )
    await session.settled()
    read = await Registry(around).get("ses_1")
    assert (await read.conversation()).items == kept_up.items
    assert read.state.dump() == session.state.dump()
    assert len(kept_up.items) > 10


async def test_a_conversation_read_while_appends_are_in_flight_has_them_all(session: Session, around: Around) -> None:
    story = a_random_story(1)
    half = len(story.events) // 2
    for event in story.events[:half]:
        session.append([event])
    reading = asyncio.create_task(session.conversation())
    for event in story.events[half:]:
        await asyncio.sleep(0)
        session.append([event])
    conversation = await reading
    await session.settled()
    read = await Registry(around).get("ses_1")
    assert (await read.conversation()).items == conversation.items
    assert session.state.head == len(story.events)


async def test_a_session_counts_its_log_once_its_conversation_is_in_memory(session: Session) -> None:
    await session.append(messages(50))
    before = session.memory
    await session.conversation()
    assert session.memory == before + session.state.log_bytes
