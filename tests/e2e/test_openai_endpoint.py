"""A whole server against an endpoint that speaks OpenAI's chat completions as they travel."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from managedagents.v1 import agent_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import answer, kind, log, message, send, start, until
from support.server import Server, Stub, running
from support.wires.chat import OpenAIWire, refuse, say, sent, text, use
from support.wires.server import Reply, Stall

pytestmark = pytest.mark.long


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    flags = ("--allow-address", "127.0.0.1", "--limit", "retry_first=0.05")
    async with running(tmp_path / "log.db", *flags) as server:
        yield server


def agent(wire: OpenAIWire) -> agent_pb2.AgentDefinition:
    model = agent_pb2.ProviderModel(
        provider=agent_pb2.PROVIDER_OPENAI_COMPATIBLE, model="wire-1", base_url=wire.base_url
    )
    return agent_pb2.AgentDefinition(
        name="wired",
        system="Be brief.",
        model=agent_pb2.Model(provider_model=model),
        tools=[agent_pb2.Tool(custom=agent_pb2.CustomTool(name="lookup"))],
    )


async def test_a_message_that_comes_in_mid_turn_never_stands_between_a_use_and_its_result(server: Server) -> None:
    async with OpenAIWire(use("lookup", "{}", call_id="c1"), say("done"), say("two"), say("three")) as wire:
        async with server.channel() as channel:
            stub = Stub(channel)
            session = await start(stub, agent(wire), "one")
            opened = (await until(stub, session, "agent.custom_tool_use"))[-1].agent_custom_tool_use
            await send(stub, session, "two")
            await send(stub, session, "three")
            await send(stub, session, answer(opened.custom_tool_use_id, "found"))
            await wire.wait_requests(4)
            last = (await until(stub, session, lambda event: event.turn == 5 and kind(event) == "status.idle"))[-1]
        requests = [sent(request) for request in wire.requests]
    assert last.status_idle.stop_reason.HasField("end_turn")
    system, one = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "one"}
    assert requests[0] == [system, one]
    assert [(entry["role"], entry.get("content")) for entry in requests[1]] == [
        ("system", "Be brief."),
        ("user", "one"),
        ("assistant", requests[1][2].get("content")),
        ("tool", "found"),
    ]
    assert requests[1][2]["tool_calls"][0]["id"] == requests[1][3]["tool_call_id"] == "c1"
    # What was sent before is sent again to the byte, and grows only at its end.
    assert requests[2][: len(requests[1])] == requests[1]
    assert [entry["content"] for entry in requests[2][len(requests[1]) :]] == ["done", "two"]
    assert requests[3][: len(requests[2])] == requests[2]
    assert [entry["content"] for entry in requests[3][len(requests[2]) :]] == ["two", "three"]


async def test_an_interrupt_closes_the_connection_to_the_provider_and_the_next_message_runs(server: Server) -> None:
    async with OpenAIWire(Reply((*text("never "), Stall())), say("next")) as wire, server.channel() as channel:
        stub = Stub(channel)
        session = await start(stub, agent(wire), "one", "two")
        await wire.wait_requests(1)
        await stub.Interrupt(pb.InterruptRequest(session_id=session))
        await wire.requests[0].wait_hung_up()
        events = await until(stub, session, lambda event: event.turn == 2 and kind(event) == "status.idle")
    assert [kind(event) for event in events] == [
        "user.message",
        "user.message",
        "status.running",
        "user.interrupt",
        "status.idle",
        "status.running",
        "agent.message",
        "status.idle",
    ]
    assert events[4].status_idle.stop_reason.HasField("interrupted")


async def test_a_killed_server_asks_the_model_again_in_the_same_words(server: Server) -> None:
    async with OpenAIWire(Reply((*text("half "), Stall())), say("whole")) as wire:
        async with server.channel() as channel:
            session = await start(Stub(channel), agent(wire), "one")
            await wire.wait_requests(1)
            await server.kill()
        await server.start()
        async with server.channel() as channel:
            stub = Stub(channel)
            await until(stub, session, "status.idle")
            events = await log(stub, session)
        assert wire.requests[0].body == wire.requests[1].body
    assert [kind(event) for event in events] == ["user.message", "status.running", "agent.message", "status.idle"]
    assert events[2].agent_message.content[0].text.text == "whole"


async def test_a_transient_failure_is_logged_and_asked_again(server: Server) -> None:
    replies = (refuse(429, retry_after="1"), refuse(503), say("at last"))
    async with OpenAIWire(*replies) as wire, server.channel() as channel:
        stub = Stub(channel)
        session = await start(stub, agent(wire), "one")
        events = await until(stub, session, "status.idle")
        assert len({request.body for request in wire.requests}) == 1
    assert [kind(event) for event in events] == [
        "user.message",
        "status.running",
        "status.rescheduling",
        "status.running",
        "status.rescheduling",
        "status.running",
        "agent.message",
        "status.idle",
    ]
    assert events[2].status_rescheduling.delay.ToNanoseconds() >= 1_000_000_000
    assert [event.status_running.attempt for event in events if kind(event) == "status.running"] == [1, 2, 3]


async def test_content_that_the_provider_rejects_does_not_brick_the_session(server: Server) -> None:
    replies = (refuse(400, "this content is not for me"), say("fine"))
    async with OpenAIWire(*replies) as wire, server.channel() as channel:
        stub = Stub(channel)
        session = await start(stub, agent(wire), "bad")
        events = await until(stub, session, "status.idle")
        await stub.SendEvent(pb.SendEventRequest(session_id=session, event=message("good")))
        await until(stub, session, "status.idle", from_seq=events[-1].seq)
        said = [entry["content"] for entry in sent(wire.requests[1])]
    error = events[-2].error
    assert error.turn_excluded
    assert events[-1].status_idle.stop_reason.HasField("error")
    assert said == ["Be brief.", "good"]
