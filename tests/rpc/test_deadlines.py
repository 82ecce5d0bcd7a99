"""A caller that stops waiting leaves nothing half done: what is under way is finished, and a retry gives its answer."""

import asyncio
import os
import signal
from typing import Any

import grpc
import grpc.aio
import pytest

from managedagents.v1 import service_pb2 as pb
from support.calls import answer, kind, log, message, refusal, refused, scripted, send, start, until
from support.held import writes_held
from support.recording import Follower
from support.requests import request
from support.server import Server, Stub

SAY = {"user_message": {"content": [{"text": {"text": "hi"}}]}}
METHODS: dict[str, dict[str, Any]] = {
    "SendEvent": {"event": SAY},
    "Interrupt": {},
    "Pause": {},
    "Archive": {},
}
KINDS = {
    "SendEvent": "user.message",
    "Interrupt": "user.interrupt",
    "Pause": "status.paused",
    "Archive": "status.archived",
}


@pytest.mark.parametrize("method", METHODS)
async def test_a_deadline_that_passes_under_the_append_leaves_one_event(
    shared: Server, stub: Stub, method: str
) -> None:
    session_id = await start(stub, scripted({"text": "ok"}))
    asked = request(method, {"session_id": session_id, "request_id": f"again {session_id}", **METHODS[method]})
    with writes_held(shared.db):
        late = await refused(getattr(stub, method)(asked, timeout=0.1))
        assert late.code is grpc.StatusCode.DEADLINE_EXCEEDED
    answered = await getattr(stub, method)(asked)
    assert answered.seq == 1
    assert [kind(event) for event in await log(stub, session_id)].count(KINDS[method]) == 1


async def test_a_session_whose_start_was_not_waited_for_is_there_once_and_runs(shared: Server, stub: Stub) -> None:
    agent = await stub.Create(pb.CreateRequest(definition=scripted({"text": "ok"})))
    asked = pb.StartSessionRequest(agent_id=agent.agent_id, initial_events=[message("go")], request_id="start again")
    with writes_held(shared.db):
        late = await refused(stub.StartSession(asked, timeout=0.1))
        assert late.code is grpc.StatusCode.DEADLINE_EXCEEDED
    started = await stub.StartSession(asked)
    sessions = await stub.ListSessions(pb.ListSessionsRequest(agent_id=agent.agent_id))
    assert [session.session_id for session in sessions.sessions] == [started.session_id]
    await until(stub, started.session_id, "status.idle")


async def test_a_caller_that_hangs_up_takes_nothing_back(shared: Server, stub: Stub) -> None:
    session_id = await start(stub, scripted({"text": "ok"}))
    with writes_held(shared.db):
        asked = pb.SendEventRequest(session_id=session_id, event=message("hi"), request_id=f"again {session_id}")
        sending = stub.SendEvent(asked)
        twin = asyncio.ensure_future(stub.SendEvent(asked))
        reading = await stub.Status(pb.StatusRequest(session_id=session_id))
        assert reading.head_seq == 0
        sending.cancel()
    assert (await twin).seq == 1
    events = await until(stub, session_id, "status.idle")
    assert [kind(event) for event in events].count("user.message") == 1


async def test_a_refusal_waits_for_the_append_that_it_rests_on(shared: Server, stub: Stub) -> None:
    """The second answer is too late only if the first is in the log."""
    definition = scripted({"tool_calls": [{"name": "look"}]}, {"text": "ok"}, tools=["look"])
    session_id = await start(stub, definition, "go")
    use = (await until(stub, session_id, "agent.custom_tool_use"))[-1].agent_custom_tool_use.custom_tool_use_id
    with writes_held(shared.db):
        first, second = (asyncio.ensure_future(send(stub, session_id, answer(use, text))) for text in "ab")
        # Nobody is answered while nothing is written; reads are.
        await stub.Status(pb.StatusRequest(session_id=session_id))
        assert not first.done()
        assert not second.done()
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    seqs = [outcome for outcome in outcomes if isinstance(outcome, int)]
    refusals = [refusal(outcome) for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    assert seqs == [4]
    assert [each.reason for each in refusals] == ["TOOL_USE_CLOSED"]


async def test_a_call_to_a_server_that_stands_still_can_be_asked_again(shared: Server, stub: Stub) -> None:
    session_id = await start(stub, scripted({"text": "ok"}))
    asked = pb.SendEventRequest(session_id=session_id, event=message("hi"), request_id=f"again {session_id}")
    os.kill(shared.pid, signal.SIGSTOP)
    late = await refused(stub.SendEvent(asked, timeout=0.1))
    assert late.code is grpc.StatusCode.DEADLINE_EXCEEDED
    os.kill(shared.pid, signal.SIGCONT)
    assert (await stub.SendEvent(asked)).seq == 1
    events = await until(stub, session_id, "status.idle")
    assert [kind(event) for event in events].count("user.message") == 1


async def test_a_stream_ends_with_the_deadline_of_its_caller(stub: Stub, session_id: str) -> None:
    follower = Follower(stub, pb.StreamEventsRequest(session_id=session_id, from_seq=0), timeout=0.3)
    late = await refused(follower.ended())
    assert late.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert [message.WhichOneof("message") for message in follower.messages] == ["opened", "batch", "caught_up"]
    assert await send(stub, session_id, "still here") == 5
