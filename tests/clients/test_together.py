"""The clients of all languages on one server: what holds in one holds in all, at the same time."""

import asyncio
from pathlib import Path

import pytest

from managedagents import Client
from support.acts import ROOT, Commands, act, followed_by_all
from support.calls import scripted
from support.server import running

pytestmark = [pytest.mark.languages, pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="session")]

FOLLOWERS = 50
KILLS = 20


async def test_all_languages_are_there(commands: Commands) -> None:
    assert set(commands) == {folder.name for folder in (ROOT / "clients").iterdir() if folder.is_dir()}


async def test_every_follower_of_every_language_sees_every_event_once_while_the_server_dies(
    commands: Commands, tmp_path: Path
) -> None:
    async with (
        running(tmp_path / "log.db") as server,
        Client.connect(server.address) as client,
    ):
        agent = await client.create(scripted({"text": "It goes on and on.", "delay": "0.05s"}))
        session = (await client.start_session(agent.agent_id, message="the first one")).session_id
        async with followed_by_all(commands, server.address, session, FOLLOWERS) as told:
            for number in range(KILLS):
                await client.send(session, f"message {number}")
                await server.kill()
                await server.start()
            await client.run(session, "the last one")
            last = await client.archive(session)
    assert told == [f"{FOLLOWERS} followers, {last} events each\n"] * len(commands)


async def test_one_language_asks_and_another_answers_and_all_see_the_same_log(
    commands: Commands, tmp_path: Path
) -> None:
    languages = list(commands)
    async with running(tmp_path / "log.db") as server, Client.connect(server.address) as client:
        for asks, answers in zip(languages, [*languages[1:], languages[0]], strict=True):
            definition = scripted({"tool_calls": [{"name": "weather"}]}, {"text": "It is sunny."}, tools=["weather"])
            agent = await client.create(definition)
            session = (await client.start_session(agent.agent_id)).session_id
            asked, answered = await asyncio.gather(
                act(commands[asks], "run", server.address, session, "How is it?"),
                act(commands[answers], "answer", server.address, session, "sunny"),
            )
            assert (asked, answered[:9]) == ("end_turn It is sunny.\n", "answered "), (asks, answers)
            await client.archive(session)
            logs = {name: await act(command, "log", server.address, session) for name, command in commands.items()}
            assert set(logs.values()) == {logs["python"]}
            assert logs["python"].splitlines()[-1] == "ended archived 7"
