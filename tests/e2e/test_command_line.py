"""The command `managedagents` as a process, against a real server process."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.server import Server, running

pytestmark = pytest.mark.long

EXAMPLE = Path(__file__).parents[2] / "clients/python/examples/weather.yaml"


@dataclass(frozen=True, slots=True)
class Told:
    code: int
    out: str
    err: str


class Command:
    """The command, set to one server."""

    def __init__(self, server: Server) -> None:
        self._environment = {**os.environ, "MANAGEDAGENTS_SERVER": server.address}

    async def begin(self, *arguments: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        program = "from managedagents.cli import main; main(prog_name='managedagents')"
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, *arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=self._environment
        )

    async def __call__(self, *arguments: str, stdin: str = "") -> Told:
        process = await self.begin(*arguments)
        out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return Told(process.returncode, out.decode(), err.decode())

    async def id_of(self, *arguments: str) -> str:
        told = await self(*arguments)
        assert told.code == 0, told.err
        return told.out.strip()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path / "log.db") as server:
        yield server


@pytest.fixture
def command(server: Server) -> Command:
    return Command(server)


async def test_a_piped_chat_sends_each_line_and_waits_for_each_turn(command: Command) -> None:
    agent = await command.id_of("agents", "create", str(EXAMPLE))
    session = await command.id_of("start", agent, "--metadata", "who=me")
    told = await command("chat", session, stdin="The weather in Oslo?\n19 degrees\nThanks.\n")
    assert told.code == 0, told.err
    assert told.out.splitlines() == [
        "Let me look that up.",
        '· weather {"city": "Oslo"}',
        "It is 19 degrees in Oslo, with a light wind from the south.",
        "It is 19 degrees in Oslo, with a light wind from the south.",
    ]
    kinds = [next(k for k in e if k.startswith(("user", "agent", "status"))) for e in await events(command, session)]
    assert kinds.count("statusIdle") == 2
    assert "userCustomToolResult" in kinds


async def events(command: Command, session: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (await command("log", session)).out.splitlines()]


async def test_a_chat_whose_input_ends_before_the_tools_answer_says_so(command: Command) -> None:
    agent = await command.id_of("agents", "create", str(EXAMPLE))
    session = await command.id_of("start", agent)
    told = await command("chat", session, stdin="The weather in Oslo?\n")
    assert told.code == 1
    assert "waits for a tool's answer" in told.err


async def test_a_tool_use_is_seen_in_status_and_answered_from_the_command_line(command: Command) -> None:
    agent = await command.id_of("agents", "create", str(EXAMPLE))
    session = await command.id_of("start", agent, "--message", "The weather in Oslo?")
    tail = await command.begin("tail", session, "--json", "--kinds", "agent.custom_tool_use,status.idle")
    assert tail.stdout is not None
    use = json.loads(await tail.stdout.readline())["agentCustomToolUse"]
    assert use["customToolUseId"] in (await command("status", session)).out
    assert (await command("answer", session, use["customToolUseId"], "19")).code == 0
    assert json.loads(await tail.stdout.readline())["statusIdle"]["stopReason"] == {"endTurn": {}}
    late = await command("answer", session, use["customToolUseId"], "20")
    assert (late.code, "TOOL_USE_CLOSED" in late.err) == (1, True)
    tail.send_signal(signal.SIGINT)
    await tail.communicate()
    assert tail.returncode == 130


async def test_a_tail_goes_on_over_a_killed_server_and_ends_with_the_session(command: Command, server: Server) -> None:
    agent = await command.id_of("agents", "create", str(EXAMPLE))
    session = await command.id_of("start", agent)
    tail = await command.begin("tail", session, "--json")
    await command("pause", session)
    assert tail.stdout is not None
    assert "statusPaused" in json.loads(await tail.stdout.readline())
    await server.kill()
    await server.start()
    assert "is queued" in (await command("resume", session)).out
    assert (await command("archive", session)).code == 0
    out, err = await tail.communicate()
    assert [json.loads(line)["seq"] for line in out.splitlines()] == ["2", "3"]
    assert "archived" in err.decode()
    assert tail.returncode == 0


async def test_what_is_printed_as_json_is_one_object_a_line(command: Command) -> None:
    agent = json.loads((await command("--json", "agents", "create", str(EXAMPLE))).out)
    assert agent == {"agentId": agent["agentId"], "version": "1"}
    session = json.loads((await command("start", agent["agentId"], "--json")).out)["sessionId"]
    for arguments in (["agents", "list"], ["agents", "get", agent["agentId"]], ["sessions"], ["status", session]):
        lines = (await command(*arguments, "--json")).out.splitlines()
        assert [type(json.loads(line)) for line in lines] == [dict]
    assert json.loads((await command("delete", session, "--json")).out) == {"sessionId": session}


async def test_failures_are_one_line_with_an_exit_code(command: Command, tmp_path: Path) -> None:
    refused = await command("status", "ses_unknown")
    assert (refused.code, refused.err.count("\n"), refused.out) == (1, 1, "")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("name: x\ntools: [{custom: {nme: x}}]\n")
    misused = await command("agents", "create", str(wrong))
    assert (misused.code, misused.err.startswith("error: tools[0].custom.nme")) == (2, True)
    assert (await command("send", "ses_1")).code == 2
    nobody = await command("--server", "127.0.0.1:1", "sessions")
    assert (nobody.code, nobody.err.count("\n")) == (3, 1)
    assert nobody.err.startswith("error: no server at 127.0.0.1:1")
