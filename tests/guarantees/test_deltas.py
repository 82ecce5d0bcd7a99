"""Deltas are a contiguous prefix of a response, and end with its events or with delta_discarded."""

import pytest

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import stream_pb2
from support import promises
from support.busy import Recording
from support.calls import kind, log, scripted, send, start, until
from support.recording import Follower, following, is_
from support.server import Stub

WORDS = "naïve café, 東京 and back " * 4
SLOW = {"text": WORDS, "delay": "3s"}
"""Longer than any test here waits: something else ends it."""
WHOLE = {
    "thinking": WORDS,
    "text": WORDS,
    "tool_calls": [{"name": "look", "input_json": '{"a": "b c d e f g h"}'}, {"name": "look"}],
    "delay": "0.2s",
}


def deltas(follower: Follower) -> list[stream_pb2.StreamDelta]:
    return [message.delta for message in follower.messages if message.HasField("delta")]


def test_deltas_end_for_every_follower(recording: Recording) -> None:
    # Not for one that filters: it may not get the events that end them.
    for stream, _ in recording.of("slow", "resuming", "jumping"):
        promises.deltas_end(stream.messages)


async def test_the_parts_of_a_response_are_told_piece_by_piece(stub: Stub) -> None:
    session_id = await start(stub, scripted(WHOLE, tools=["look"]))
    async with following(stub, session_id, include_deltas=True) as follower:
        await send(stub, session_id, "go")
        message = await follower.first(lambda message: any(event.response_id for event in message.batch.events))
    promises.deltas_end(follower.messages)
    pieces = deltas(follower)
    assert [delta.part for delta in pieces] == sorted(delta.part for delta in pieces)
    assert {delta.WhichOneof("piece") for delta in pieces} >= {"thinking", "text"}
    assert {delta.response_id for delta in pieces} == {
        event.response_id for event in message.batch.events if event.response_id
    }
    assert {delta.attempt for delta in pieces} == {1}
    assert len(pieces) > 4


async def test_an_interrupt_in_the_middle_discards_the_deltas(stub: Stub) -> None:
    session_id = await start(stub, scripted(SLOW))
    async with following(stub, session_id, include_deltas=True) as follower:
        await send(stub, session_id, "go")
        begun = (await follower.first(is_("delta"))).delta
        await stub.Interrupt(pb.InterruptRequest(session_id=session_id))
        discarded = (await follower.first(is_("delta_discarded"))).delta_discarded
        await follower.event(lambda event: event.HasField("status_idle"))
    promises.deltas_end(follower.messages)
    assert (discarded.response_id, discarded.attempt) == (begun.response_id, begun.attempt)
    kinds = [kind(event) for event in await log(stub, session_id)]
    assert kinds == ["user.message", "status.running", "user.interrupt", "status.idle"]


async def test_a_retry_discards_the_partial_answer_and_starts_over(stub: Stub) -> None:
    broken = {"text": "half of a sen", "error": {"code": 0}, "delay": "0.2s"}
    session_id = await start(stub, scripted(broken, {"text": WORDS, "delay": "0.2s"}))
    async with following(stub, session_id, include_deltas=True) as follower:
        await send(stub, session_id, "go")
        await follower.event(lambda event: event.HasField("status_idle"))
    promises.deltas_end(follower.messages)
    discarded = [message.delta_discarded for message in follower.messages if message.HasField("delta_discarded")]
    assert [each.attempt for each in discarded] == [1]
    assert {delta.attempt for delta in deltas(follower)} == {1, 2}
    answered = next(event for event in promises.events(follower.messages) if event.response_id)
    assert answered.response.attempt == 2
    assert {delta.response_id for delta in deltas(follower) if delta.attempt == 2} == {answered.response_id}
    assert "half" not in str(await log(stub, session_id))


async def test_a_deleted_session_lets_no_delta_follow_its_end(stub: Stub) -> None:
    session_id = await start(stub, scripted(SLOW), "go")
    async with following(stub, session_id, include_deltas=True) as follower:
        await follower.first(is_("delta"))
        await stub.DeleteSession(pb.DeleteSessionRequest(session_id=session_id))
        messages = await follower.ended()
    assert messages[-1].HasField("ended")
    promises.framed(messages)


async def test_without_being_asked_for_no_delta_comes(stub: Stub) -> None:
    session_id = await start(stub, scripted({**SLOW, "delay": "0.1s"}), "go")
    async with following(stub, session_id) as follower:
        await follower.event(lambda event: event.HasField("status_idle"))
    assert not {"delta", "delta_discarded"} & {message.WhichOneof("message") for message in follower.messages}


@pytest.mark.parametrize("from_seq", [0, None])
async def test_who_joins_in_the_middle_gets_the_response_from_its_beginning(stub: Stub, from_seq: int | None) -> None:
    session_id = await start(stub, scripted({**SLOW, "delay": "0.2s"}), "go")
    async with following(stub, session_id, include_deltas=True) as first:
        await first.first(is_("delta"), after=[is_("delta")(message) for message in first.messages].count(True))
        async with following(stub, session_id, from_seq=from_seq, include_deltas=True) as joining:
            await joining.first(is_("delta"))
            assert deltas(joining)[0].offset == 0
            await joining.event(lambda event: event.HasField("status_idle"))
    promises.deltas_end(joining.messages)


async def test_deltas_do_not_depend_on_the_kinds_asked_for(stub: Stub) -> None:
    session_id = await start(stub, scripted({**SLOW, "delay": "0.2s"}), "go")
    async with following(stub, session_id, include_deltas=True, kinds=["agent.message"]) as follower:
        await follower.event(lambda event: event.HasField("agent_message"))
    promises.deltas_end(follower.messages)
    assert deltas(follower)


async def test_a_partial_answer_is_never_logged(stub: Stub) -> None:
    session_id = await start(stub, scripted({"text": WORDS, "error": {"code": 400}}), "go")
    events = await until(stub, session_id, "status.idle")
    assert [kind(event) for event in events] == ["user.message", "status.running", "error", "status.idle"]
