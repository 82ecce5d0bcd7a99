"""A follower outlives the server, again and again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from managedagents import Client
from managedagents.v1 import service_pb2 as pb
from support.calls import Event, message, scripted
from support.judge import Judge
from support.server import Server
from support.stubborn import Stubborn, stubborn

RESTARTS = 20


async def restart_again_and_again(server: Server, client: Stubborn, session_id: str) -> None:
    """By SIGTERM and by SIGKILL in turn, each time in the middle of a turn."""
    head = 0
    for number in range(RESTARTS):
        head = await client.send(session_id, message(f"number {number}"))
        await client.comes(session_id, "status.running", head)
        if number % 2:
            await server.kill()
        else:
            assert await server.terminate() == 0
        await server.start()
    await client.comes(session_id, "status.idle end_turn", head)
    await client.call(client.stub.Archive, pb.ArchiveRequest(session_id=session_id))


async def by_client(server: Server, session_id: str) -> AsyncIterator[Event]:
    async with Client.connect(server.address) as client, client.follow(session_id, from_seq=0) as events:
        async for event in events:
            yield event


async def by_hand(server: Server, session_id: str) -> AsyncIterator[Event]:
    async with stubborn(server, "follower") as client:
        async for event in client.follow(session_id):
            yield event


async def all_of(events: AsyncIterator[Event]) -> list[Event]:
    return [event async for event in events]


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_a_follower_through_twenty_restarts_sees_every_event_once_and_in_order(
    server: Server, client: Stubborn
) -> None:
    answers = [{"text": f"answer {number}", "delay": "0.1s"} for number in range(RESTARTS)]
    agent = await client.call(client.stub.Create, pb.CreateRequest(definition=scripted(*answers)))
    begin = pb.StartSessionRequest(agent_id=agent.agent_id)
    session_id = (await client.call(client.stub.StartSession, begin)).session_id
    async with asyncio.TaskGroup() as tasks:
        followers = [tasks.create_task(all_of(follow(server, session_id))) for follow in (by_client, by_hand)]
        await restart_again_and_again(server, client, session_id)
    log = await client.log(session_id)
    for follower in followers:
        assert follower.result() == log
    client.check(session_id, log)
    Judge().read(log)
    assert len([event for event in log if event.HasField("status_idle")]) == RESTARTS
