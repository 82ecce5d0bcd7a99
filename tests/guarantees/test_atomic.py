"""Atomic: what one model response produced is one write and arrives in one message, unless resumed in its middle."""

import pytest

from support import promises
from support.busy import Recording
from support.calls import kind, log, scripted, send, start, until
from support.recording import following
from support.server import Stub

CALLS = [{"name": "look", "input_json": f'{{"at": "{letter * 100}"}}'} for letter in "abcdef"]
RESPONSE = {"thinking": "where is it? " * 10, "text": "let me look " * 10, "tool_calls": CALLS}
KINDS_OF_RESPONSE = ["agent.thinking", "agent.message", *["agent.custom_tool_use"] * 6]


def test_no_response_is_split_for_any_follower(recording: Recording) -> None:
    for stream, whole in recording.of("prompt", "slow", "resuming", "jumping"):
        promises.atomic(stream.messages, whole, stream.from_seq)


async def test_a_response_of_many_times_the_batch_size_comes_in_one_message(stub: Stub) -> None:
    session_id = await start(stub, scripted(RESPONSE, tools=["look"]))
    async with following(stub, session_id) as follower:
        await send(stub, session_id, "go")
        message = await follower.first(lambda message: any(event.response_id for event in message.batch.events))
        assert [kind(event) for event in message.batch.events if event.response_id] == KINDS_OF_RESPONSE
    events = await until(stub, session_id, lambda event: event.seq == message.batch.through_seq)
    assert events[-1].create_time == next(event.create_time for event in events if event.response_id)


@pytest.mark.parametrize("into", range(1, 8))
async def test_who_resumes_in_the_middle_gets_the_rest_in_one_message(stub: Stub, into: int) -> None:
    session_id = await start(stub, scripted(RESPONSE, tools=["look"]), "go")
    await until(stub, session_id, "agent.custom_tool_use")
    events = await log(stub, session_id)
    first = next(event.seq for event in events if event.response_id)
    async with following(stub, session_id, from_seq=first - 1 + into) as follower:
        message = await follower.first(lambda message: message.HasField("batch"))
        assert [kind(event) for event in message.batch.events] == KINDS_OF_RESPONSE[into:]


async def test_a_denial_comes_with_the_call_that_it_denies(stub: Stub) -> None:
    response = {"text": "x" * 500, "tool_calls": [{"name": "unheard_of"}]}
    session_id = await start(stub, scripted(response, {"text": "well then"}), "go")
    async with following(stub, session_id) as follower:
        message = await follower.first(lambda message: any(event.response_id for event in message.batch.events))
    kinds = [kind(event) for event in message.batch.events]
    assert kinds == ["agent.message", "agent.tool_use", "agent.tool_result"]


async def test_batches_stay_near_their_size_where_no_response_forbids_it(stub: Stub) -> None:
    session_id = await start(stub, scripted({"text": "short"}), *("x" * 150 for _ in range(10)))
    await until(stub, session_id, lambda event: event.turn == 10 and event.HasField("status_idle"))
    async with following(stub, session_id) as follower:
        await follower.first(lambda message: message.HasField("caught_up"))
    batches = promises.batches(follower.messages)
    # The ten messages were one write of the start; after it no batch is above the 400 bytes of this server.
    assert [kind(event) for event in batches[0].events] == ["user.message"] * 10
    assert len(batches) > 3
    assert all(batch.ByteSize() <= 400 + 16 for batch in batches[1:])
