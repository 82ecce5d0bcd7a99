"""The same request id with the same request happens once and gives the same answer, however often it is retried."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from managedagents.v1 import service_pb2 as pb
from support.calls import kind, log, message, refused, scripted, send, start, until
from support.held import writes_held
from support.requests import CHANGING, call
from support.server import Server, Stub

Fields = dict[str, Any]


def say(text: str) -> Fields:
    return {"event": {"user_message": {"content": [{"text": {"text": text}}]}}}


async def on_session(stub: Stub) -> Fields:
    session_id = await start(stub, scripted({"text": "ok"}), "go")
    await until(stub, session_id, "status.idle")
    return {"session_id": session_id}


async def on_agent(stub: Stub) -> Fields:
    return {"agent_id": (await stub.Create(pb.CreateRequest(definition=scripted({"text": "ok"})))).agent_id}


async def on_nothing(_: Stub) -> Fields:
    return {}


def define(name: str) -> Fields:
    return {"definition": {"name": name, "model": {"scripted": {"responses": [{"text": "ok"}]}}}}


CHANGES: Mapping[str, tuple[Callable[[Stub], Awaitable[Fields]], Fields, Fields]] = {
    "Create": (on_nothing, define("one"), define("other")),
    "StartSession": (on_agent, {"metadata": {"k": "one", "l": ""}}, {"metadata": {"k": "other"}}),
    "SendEvent": (on_session, say("one"), say("other")),
    "Interrupt": (on_session, {}, {"drop_queued": True}),
    "Pause": (on_session, {}, {"session_id": "ses_other"}),
    "Resume": (on_session, {}, {"session_id": "ses_other"}),
    "Archive": (on_session, {}, {"session_id": "ses_other"}),
    "DeleteSession": (on_session, {}, {"session_id": "ses_other"}),
    "UpdateAgent": (on_agent, {"version": "1", **define("two")}, define("other")),
    "ArchiveAgent": (on_agent, {}, {"agent_id": "agt_other"}),
}
"""By method: what the call is on, the rest of the request, and what another request of the same id says instead."""


def test_every_changing_method_is_here() -> None:
    assert set(CHANGES) == set(CHANGING)


async def once(stub: Stub, method: str) -> tuple[Fields, Message]:
    """A request with an id, and its first answer."""
    prepare, rest, _ = CHANGES[method]
    fields = {**await prepare(stub), **rest, "request_id": f"id of {method}"}
    answer: Message = await call(stub, method, fields)
    return fields, answer


async def test_a_retry_gives_the_same_answer_also_across_a_kill(server: Server) -> None:
    async with server.channel() as channel:
        stub = Stub(channel)
        answered = {method: await once(stub, method) for method in CHANGES}
        for method, (fields, answer) in answered.items():
            assert await call(stub, method, fields) == answer, method
        await server.kill()
    await server.start()
    async with server.channel() as channel:
        stub = Stub(channel)
        for method, (fields, answer) in answered.items():
            assert await call(stub, method, fields) == answer, method
        for method in ("SendEvent", "Interrupt", "Pause", "Archive"):
            session_id = answered[method][0]["session_id"]
            kinds = [kind(event) for event in await log(stub, session_id)]
            wanted = {"SendEvent": "user.message", "Interrupt": "user.interrupt"}
            name = wanted.get(method, f"status.{method.lower()}d")
            assert kinds[4:].count(name) == 1, method
        agents = await stub.ListAgents(pb.ListAgentsRequest(page_size=1000))
        assert sum(agent.definition.name == "one" for agent in agents.agents) == 1
        sessions = await stub.ListSessions(pb.ListSessionsRequest(metadata={"k": "one"}))
        assert len(sessions.sessions) == 1


@pytest.mark.parametrize("method", CHANGES)
async def test_the_same_id_with_another_request_already_exists(stub: Stub, method: str) -> None:
    fields, answer = await once(stub, method)
    refusal = await refused(call(stub, method, {**fields, **CHANGES[method][2]}))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert refusal.retry_after is None
    assert await call(stub, method, fields) == answer


@pytest.mark.parametrize("method", CHANGES)
async def test_twins_at_once_happen_once(shared: Server, stub: Stub, method: str) -> None:
    prepare, rest, other = CHANGES[method]
    fields = {**await prepare(stub), **rest, "request_id": "twins"}
    with writes_held(shared.db):
        twins = [asyncio.ensure_future(call(stub, method, fields)) for _ in range(5)]
        refusal = asyncio.ensure_future(refused(call(stub, method, {**fields, **other})))
        # It is refused while the twins wait, or else it was there first and they are.
        await asyncio.wait([refusal, *twins], return_when=asyncio.FIRST_COMPLETED)
    answers = await asyncio.gather(*twins)
    assert all(answer == answers[0] for answer in answers)
    assert (await refusal).reason == "REQUEST_ID_REUSED"
    if "session_id" in fields and method != "DeleteSession":
        changed = [event for event in (await log(stub, fields["session_id"]))[4:] if not event.response_id]
        assert sum(kind(event) not in ("status.running", "status.idle") for event in changed) <= 1


async def test_an_id_is_of_one_method(stub: Stub, session_id: str) -> None:
    await stub.Pause(pb.PauseRequest(session_id=session_id, request_id="shared by methods"))
    resumed = await stub.Resume(pb.ResumeRequest(session_id=session_id, request_id="shared by methods"))
    assert resumed.seq == 6


async def test_calls_without_an_id_are_each_their_own(stub: Stub, session_id: str) -> None:
    assert [await send(stub, session_id, "again"), await send(stub, session_id, "again")][0] == 5
    messages = [event for event in await log(stub, session_id) if event.HasField("user_message")]
    assert len(messages) == 3


async def test_answers_are_kept_past_a_deletion(stub: Stub, session_id: str) -> None:
    seq = await send(stub, session_id, "once", request_id="before the end")
    delete = pb.DeleteSessionRequest(session_id=session_id, request_id="the end")
    for _ in range(2):
        assert await stub.DeleteSession(delete) == pb.DeleteSessionResponse()
    assert await send(stub, session_id, "once", request_id="before the end") == seq
    refusal = await refused(send(stub, session_id, "twice", request_id="after the end"))
    assert refusal.reason == "SESSION_NOT_FOUND"


async def test_a_refused_call_is_not_kept(stub: Stub) -> None:
    agent = await stub.Create(pb.CreateRequest(definition=scripted({"text": "ok"})))
    request = pb.StartSessionRequest(agent_id="agt_nobody", request_id="refused at first")
    assert (await refused(stub.StartSession(request))).reason == "AGENT_NOT_FOUND"
    request.initial_events.add()
    assert (await refused(stub.StartSession(request))).reason == "INVALID_REQUEST"
    del request.initial_events[:]
    request.agent_id = agent.agent_id
    started = await stub.StartSession(request)
    assert await stub.StartSession(request) == started


async def test_a_retried_interrupt_does_not_touch_the_next_turn(stub: Stub) -> None:
    definition = scripted({"text": "never", "delay": "600s"}, {"text": "never", "delay": "600s"})
    session_id = await start(stub, definition, "one", "two")
    await until(stub, session_id, "status.running")
    interrupt = pb.InterruptRequest(session_id=session_id, request_id=f"stop {session_id}")
    first = await stub.Interrupt(interrupt)
    events = await until(stub, session_id, lambda event: event.turn == 2 and event.HasField("status_running"))
    assert await stub.Interrupt(interrupt) == first
    assert await log(stub, session_id) == events
    # The turn that runs is still there to be interrupted, by another call.
    second = await stub.Interrupt(pb.InterruptRequest(session_id=session_id))
    events = await until(stub, session_id, "status.idle", from_seq=second.seq)
    assert events[-1].turn == 2


async def test_a_retried_start_does_not_say_its_first_words_again(stub: Stub) -> None:
    agent = await stub.Create(pb.CreateRequest(definition=scripted({"text": "ok"})))
    request = pb.StartSessionRequest(
        agent_id=agent.agent_id, initial_events=[message("hi")], request_id=f"start {agent.agent_id}"
    )
    first = await stub.StartSession(request)
    await until(stub, first.session_id, "status.idle")
    assert await stub.StartSession(request) == first
    assert len(await log(stub, first.session_id)) == 4


async def test_a_pause_that_was_undone_is_not_done_again_by_its_retry(stub: Stub, session_id: str) -> None:
    pause = pb.PauseRequest(session_id=session_id, request_id=f"pause {session_id}")
    first = await stub.Pause(pause)
    await stub.Resume(pb.ResumeRequest(session_id=session_id))
    assert await stub.Pause(pause) == first
    assert not (await stub.Status(pb.StatusRequest(session_id=session_id))).paused
