"""Bookmarkable: after `progress` n, nothing at or below n follows."""

from pathlib import Path

import pytest

from support import promises
from support.busy import MANNERS, Recording
from support.calls import log, scripted, send, start, until
from support.recording import following, is_
from support.server import Stub, running

ROUND = {"tool_calls": [{"name": "unheard_of"}] * 10}
"""20 events: the calls and their denials."""


def test_nothing_at_or_below_a_bookmark_follows(recording: Recording) -> None:
    for stream, _ in recording.of(*MANNERS):
        promises.bookmarkable(stream.messages)


def test_a_filter_still_tells_how_far_everything_was_seen(recording: Recording) -> None:
    for stream, whole in recording.of("filtered"):
        assert promises.through(stream.messages, 0) == len(whole)
        assert len(promises.seqs(stream.messages)) < len(whole)


@pytest.mark.parametrize("batch_bytes", [400, 256 * 1024])
async def test_every_thousand_filtered_events_make_progress(tmp_path: Path, batch_bytes: int) -> None:
    flags = ("--limit", f"batch_bytes={batch_bytes}", "--synchronous", "normal")
    async with running(tmp_path / "log.db", *flags) as server, server.channel() as channel:
        stub = Stub(channel)
        session_id = await start(stub, scripted(*[ROUND] * 120, {"text": "done"}), "one", "two", "three")
        await until(stub, session_id, lambda event: event.turn == 3 and event.HasField("status_idle"))
        head = len(await log(stub, session_id))
        assert head > 2400
        async with following(stub, session_id, kinds=["status.failed"]) as follower:
            await follower.first(is_("caught_up"))
    told = [message.progress.through_seq for message in follower.messages if message.HasField("progress")]
    # Atomic comes first: a response's events are scanned together, so a step may be longer by one response.
    steps = [after - before for before, after in zip([0, *told], told, strict=False)]
    assert steps
    assert all(1000 <= step <= 1020 for step in steps)
    assert head - told[-1] < 1000
    assert not promises.events(follower.messages)


async def test_a_silent_stream_shows_how_far_it_is(stub: Stub) -> None:
    session_id = await start(stub, scripted({"text": "ok"}), "go")
    await until(stub, session_id, "status.idle")
    async with following(stub, session_id, kinds=["agent.message"]) as follower:
        heartbeat = await follower.first(is_("progress"))
        assert heartbeat.progress.through_seq == 4
        last = await send(stub, session_id, "again")
        await follower.first(lambda message: message.progress.through_seq >= last + 3)
    promises.bookmarkable(follower.messages)
    assert promises.seqs(follower.messages) == [3, last + 2]


async def test_who_resumes_from_a_heartbeat_loses_nothing(stub: Stub) -> None:
    session_id = await start(stub, scripted({"text": "ok"}), "go")
    async with following(stub, session_id, kinds=["agent.message"]) as before:
        bookmark = (await before.first(lambda message: message.progress.through_seq >= 4)).progress.through_seq
    await send(stub, session_id, "again")
    async with following(stub, session_id, from_seq=bookmark, kinds=["agent.message"]) as after:
        await after.first(lambda message: bool(message.batch.events))
    whole = [event for event in await log(stub, session_id) if event.HasField("agent_message")]
    assert promises.events(before.messages) + promises.events(after.messages) == whole
