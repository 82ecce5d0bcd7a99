"""The clients of all languages behind a mesh's proxy, which cuts their streams, and whose server dies."""

from pathlib import Path

import pytest

from managedagents import Client
from support.acts import Commands, act, followed_by_all
from support.calls import scripted
from support.envoy import envoy
from support.server import running

pytestmark = [pytest.mark.languages, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="session")]

FOLLOWERS = 10
CUT_AFTER = "0.7s"


async def slow_session(client: Client) -> str:
    """One whose turn takes longer than a stream lasts, before its tool and after."""
    slow = {"tool_calls": [{"name": "weather"}], "delay": "1s"}
    agent = await client.create(scripted(slow, {"text": "It is sunny.", "delay": "1s"}, tools=["weather"]))
    return (await client.start_session(agent.agent_id)).session_id


async def test_every_follower_sees_every_event_once_though_the_proxy_cuts_every_stream(
    commands: Commands, tmp_path: Path
) -> None:
    async with (
        running(tmp_path / "log.db") as server,
        envoy(server.address, longest_stream=CUT_AFTER) as proxy,
        Client.connect(proxy) as client,
    ):
        agent = await client.create(scripted({"text": "It goes on and on.", "delay": "0.1s"}))
        session = (await client.start_session(agent.agent_id, message="the first one")).session_id
        async with followed_by_all(commands, proxy, session, FOLLOWERS) as told:
            for number in range(30):
                await client.send(session, f"message {number}")
                if number in (10, 20):
                    await server.kill()
                    await server.start()
            await client.run(session, "the last one")
            last = await client.archive(session)
    assert told == [f"{FOLLOWERS} followers, {last} events each\n"] * len(commands)


async def test_a_browser_runs_and_follows_by_grpc_web(commands: Commands, tmp_path: Path) -> None:
    async with (
        running(tmp_path / "log.db") as server,
        envoy(server.address, longest_stream=CUT_AFTER) as proxy,
        Client.connect(server.address) as client,
    ):
        session = await slow_session(client)
        web = f"http://{proxy}"
        told = await act(commands["typescript"], "run", web, session, "How is it?", "weather=sunny")
        assert told == "end_turn It is sunny.\n"
        last = await client.archive(session)
        log = (await act(commands["typescript"], "log", web, session)).splitlines()
    assert log[-1] == f"ended archived {last}"
    assert len(log) == last + 1


async def test_a_run_outlives_the_streams_that_the_proxy_cuts(commands: Commands, tmp_path: Path) -> None:
    async with running(tmp_path / "log.db") as server, envoy(server.address, longest_stream=CUT_AFTER) as proxy:
        for language, command in commands.items():
            async with Client.connect(server.address) as client:
                session = await slow_session(client)
            told = await act(command, "run", proxy, session, "How is it?", "weather=sunny")
            assert told == "end_turn It is sunny.\n", language
