"""Resumable: come back with the last seq and lose nothing."""

from managedagents.v1 import service_pb2 as pb
from support import promises
from support.busy import Recording
from support.calls import log, scripted, send, start, until
from support.recording import following, is_
from support.server import Server, Stub


def test_streams_that_resume_with_the_last_seq_add_up_to_the_log(recording: Recording) -> None:
    resuming = [followed for followed in recording.followed if followed.manner == "resuming"]
    assert resuming
    for followed in resuming:
        whole = recording.logs[followed.session_id]
        promises.resumable([stream.messages for stream in followed.streams], whole)
        assert followed.streams[-1].messages[-1].ended.last_seq == len(whole)


def test_a_stream_from_any_earlier_seq_gives_what_came_after_it(recording: Recording) -> None:
    for stream, whole in recording.of("jumping"):
        assert promises.events(stream.messages) == whole[stream.from_seq :][: len(promises.seqs(stream.messages))]


async def test_every_seq_of_a_log_is_a_place_to_resume_from(stub: Stub) -> None:
    session_id = await start(stub, scripted({"thinking": "a", "text": "b"}), *"12345")
    await until(stub, session_id, lambda event: event.turn == 5 and event.HasField("status_idle"))
    whole = await log(stub, session_id)
    for from_seq in range(len(whole) + 1):
        async with following(stub, session_id, from_seq=from_seq) as follower:
            await follower.first(is_("caught_up"))
        assert promises.events(follower.messages) == whole[from_seq:]


async def test_a_follower_resumes_after_a_kill_as_if_nothing_had_been(server: Server) -> None:
    definition = scripted({"text": "one"}, {"text": "two", "delay": "0.3s"}, {"text": "three"})
    async with server.channel() as channel:
        stub = Stub(channel)
        session_id = await start(stub, definition, "a", "b", "c")
        async with following(stub, session_id) as before:
            await before.event(lambda event: event.HasField("status_running") and event.turn == 2)
            await server.kill()
    log_id = before.messages[0].opened.log_id
    last = promises.through(before.messages, 0)
    await server.start()
    async with server.channel() as channel:
        again = Stub(channel)
        async with following(again, session_id, from_seq=last, log_id=log_id) as after:
            await after.event(lambda event: event.HasField("status_idle") and event.turn == 3)
            await send(again, session_id, "d")
            await after.event(lambda event: event.HasField("status_idle") and event.turn > 3)
            await again.Archive(pb.ArchiveRequest(session_id=session_id))
            await after.ended()
        promises.resumable([before.messages, after.messages], await log(again, session_id))
        assert after.messages[-1].ended.final
