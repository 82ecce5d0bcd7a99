"""Reliable: a hole is impossible."""

from managedagents.v1 import stream_pb2
from support import promises
from support.busy import KINDS, Recording
from support.calls import kind, log, scripted, start, until
from support.server import Server, Stub


def test_every_event_of_the_log_comes_as_it_is_logged(recording: Recording) -> None:
    for stream, whole in recording.of("prompt", "slow", "resuming", "jumping"):
        promises.reliable(stream.messages, whole, stream.from_seq)


def test_a_filter_lets_through_every_event_of_its_kinds(recording: Recording) -> None:
    for stream, whole in recording.of("filtered"):
        promises.reliable(stream.messages, whole, stream.from_seq, KINDS)
        assert {kind(event) for event in promises.events(stream.messages)} == set(KINDS)


def test_who_stays_to_the_end_gets_the_whole_log(recording: Recording) -> None:
    for stream, whole in recording.of("prompt", "slow"):
        assert promises.events(stream.messages) == whole
        assert stream.messages[-1].ended.reason == stream_pb2.STREAM_END_REASON_ARCHIVED
        assert stream.messages[-1].ended.last_seq == len(whole)


async def test_a_follower_is_told_of_nothing_that_a_kill_takes_back(server: Server) -> None:
    """Commit, then tell: what was seen before the kill stands in the log after it."""
    async with server.channel() as channel:
        stub = Stub(channel)
        session_id = await start(stub, scripted({"text": "ok"}), *(f"message {number}" for number in range(20)))
        seen = await until(stub, session_id, lambda event: event.HasField("agent_message"))
        await server.kill()
    await server.start()
    async with server.channel() as channel:
        again = Stub(channel)
        await until(again, session_id, lambda event: event.turn == 20 and event.HasField("status_idle"))
        assert (await log(again, session_id))[: len(seen)] == seen
