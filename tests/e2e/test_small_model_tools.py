"""A whole server and a real model that uses a built-in tool: what it calls runs in the sandbox, and it tells what the
tool found. See support/small_model.py."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from managedagents import Client, RunResult, kind_of, text_of
from managedagents.v1 import session_pb2
from support.server import Server, running
from support.small_model import MODEL, small_model

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

CONTEXT_TOKENS = 4096
QUESTION = "What does the file notes.txt say?"
READ = ("filesystem", '{"command": "read", "path": "notes.txt"}')


@pytest.fixture
async def base_url() -> AsyncIterator[str]:
    async with small_model(CONTEXT_TOKENS) as base_url:
        yield base_url


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path / "log.db", "--allow-address", "127.0.0.1") as server:
        yield server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    async with Client.connect(server.address) as client:
        yield client


async def reader(client: Client, base_url: str, **more: object) -> str:
    """A session of an agent that has files."""
    agent = await client.create(
        {
            "name": "reader",
            "system": "You are a helpful assistant.",
            "model": {"provider_model": {"provider": "openai_compatible", "model": MODEL, "base_url": base_url}},
            "model_settings": {"temperature": 0, "seed": 1, "max_tokens": 60},
            "tools": [{"filesystem": {}}],
            **more,
        }
    )
    return (await client.start_session(agent.agent_id)).session_id


def calls(result: RunResult) -> list[tuple[str, str]]:
    uses = [event.agent_tool_use for event in result.events if event.HasField("agent_tool_use")]
    return [(use.name, use.input_json) for use in uses]


def told(result: RunResult) -> list[str]:
    return [text_of(e.agent_tool_result.content) for e in result.events if e.HasField("agent_tool_result")]


def put(server: Server, session: str, name: str, content: str) -> None:
    """Into the workspace, which the first call has made."""
    Path(f"{server.db}.workspaces", session, name).write_text(content)


async def test_the_model_reads_the_workspace_and_tells_what_is_there_also_after_a_kill(
    server: Server, client: Client, base_url: str
) -> None:
    session = await reader(client, base_url)
    missed = await client.run(session, QUESTION)
    assert calls(missed) == [READ]
    assert told(missed) == ["notes.txt: there is no such file or folder"]
    put(server, session, "notes.txt", "buy milk")
    await server.kill()
    await server.start()
    found = await client.run(session, QUESTION)
    assert calls(found) == [READ]
    assert told(found) == ["buy milk"]
    assert "buy milk" in found.text.lower()
    for result in (missed, found):
        assert [kind_of(event) for event in result.events] == [
            *("user.message", "status.running", "agent.tool_use", "agent.tool_result"),
            *("agent.message", "status.idle"),
        ]
        assert result.stop_reason == "end_turn"


async def test_what_the_model_calls_is_confirmed_and_answered_at_the_client(client: Client, base_url: str) -> None:
    session = await reader(client, base_url, permission_policy={"default": "prompt"}, tool_host="client")
    asked: list[session_pb2.PendingAction] = []

    def confirm(use: session_pb2.PendingAction) -> bool:
        asked.append(use)
        return True

    tools = {"filesystem": lambda given: f"the name of {given['path']} is Otto"}
    result = await client.run(session, QUESTION, tools=tools, confirm=confirm)
    assert [(use.name, use.input_json) for use in asked] == calls(result) == [READ]
    assert "Otto" in result.text
    assert result.stop_reason == "end_turn"
