"""The command `managedagents` as a process, against a real server process."""

import json
import re
import shlex
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import click
import pytest

from managedagents.cli import main
from support.command import Command, Told
from support.server import Server, running
from support.terminal import terminal

pytestmark = pytest.mark.long

CLIENT = Path(__file__).parents[2] / "clients/python"
EXAMPLE = CLIENT / "examples/weather.yaml"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path / "log.db", "--limit", "retry_first=0.2") as server:
        yield server


@pytest.fixture
def command(server: Server) -> Command:
    return Command(server.address)


async def test_a_piped_chat_sends_each_line_and_waits_for_each_turn(command: Command) -> None:
    agent = await command.id_of("agents", "create", str(EXAMPLE))
    session = await command.id_of("start", agent, "--metadata", "who=me")
    told = await command("chat", session, stdin="The weather in Oslo?\n19 degrees\nThanks.\n")
    assert told.code == 0, told.err
    assert told.out.splitlines() == [
        "Let me look that up.",
        "It is 19 degrees in Oslo, with a light wind from the south.",
        "It is 19 degrees in Oslo, with a light wind from the south.",
    ]
    assert told.err.splitlines() == [
        '· weather {"city": "Oslo"}',
        "· 0 tokens in, 0 out, 2 requests",
        "· 0 tokens in, 0 out, 1 request",
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
    assert told.err.splitlines()[-1] == "· the turn still waits for an answer: weather"


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


SHELL = """\
name: shell
model:
  scripted:
    responses:
    - tool_calls:
      - {name: bash, input: {command: echo $COLOUR}}
      - {name: bash, input: {command: exit 3}}
    - text: Done.
tools: [{bash: {}}]
"""
USES = ['· bash {"command": "echo $COLOUR"}', '· bash {"command": "exit 3"}']


async def started(command: Command, folder: Path, more: str = "", *options: str) -> str:
    file = folder / "shell.yaml"
    file.write_text(SHELL + more)
    return await command.id_of("start", await command.id_of("agents", "create", str(file)), *options)


async def test_a_chat_shows_what_tools_at_the_server_do(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "environment.yaml"
    file.write_text("env: {COLOUR: blue}\n")
    session = await started(command, tmp_path, "", "--environment", str(file))
    told = await command("chat", session, stdin="Go.\n")
    assert (told.code, told.out) == (0, "Done.\n")
    assert told.err.splitlines() == [
        *USES,
        *["· bash runs"] * 2,
        "· bash: blue",
        "· bash failed: [exit status 3]",
        "· 0 tokens in, 0 out, 2 requests",
    ]


async def test_a_chat_asks_for_confirmations_and_shows_what_comes_of_them(command: Command, tmp_path: Path) -> None:
    session = await started(command, tmp_path, "permission_policy: {default: prompt}\n")
    told = await command("chat", session, "--quiet", stdin="Go.\ny\nNot today.\n")
    assert (told.code, told.out) == (0, "Done.\n")
    assert sorted(told.err.splitlines()) == sorted([*USES, "· bash: [no output]", "· bash denied: Not today."])


async def test_a_chat_whose_input_ends_before_a_confirmation_says_so(command: Command, tmp_path: Path) -> None:
    session = await started(command, tmp_path, "permission_policy: {default: prompt}\n")
    told = await command("chat", session, stdin="Go.\n")
    assert told.code == 1
    assert told.err.splitlines()[-1] == "· the turn still waits for a confirmation: bash"


async def test_a_chat_that_found_the_session_paused_goes_on_at_the_resume(command: Command) -> None:
    agent = await command.id_of("agents", "create", str(EXAMPLE))
    session = await command.id_of("start", agent, "--message", "The weather in Oslo?")
    tail = await command.begin("tail", session, "--json", "--kinds", "agent.custom_tool_use")
    assert tail.stdout is not None
    await tail.stdout.readline()
    tail.send_signal(signal.SIGINT)
    await tail.communicate()
    await command("pause", session)
    chat = await command.begin("chat", session, "--last", "1")
    assert chat.stderr is not None
    assert (await chat.stderr.readline()).decode() == "· paused\n"
    await command("resume", session)
    out, _ = await chat.communicate(b"19 degrees\n")
    assert (chat.returncode, out.decode().splitlines()[-1][:16]) == (0, "It is 19 degrees")


async def test_uses_at_the_client_are_confirmed_and_answered_from_the_command_line(
    command: Command, tmp_path: Path
) -> None:
    more = "permission_policy: {default: prompt}\ntool_host: client\n"
    session = await started(command, tmp_path, more, "--message", "Go.")
    tail = await command.begin("tail", session, "--json", "--kinds", "agent.tool_use,agent.tool_result,status.idle")
    assert tail.stdout is not None
    uses = [json.loads(await tail.stdout.readline())["agentToolUse"]["toolUseId"] for _ in range(2)]
    assert waits_of(await command("status", session)) == ["a confirmation", "a confirmation"]
    early = await command("answer", session, uses[0], "blue")
    assert (early.code, "[TOOL_USE_NOT_FOUND]" in early.err) == (1, True)
    assert (await command("confirm", session, uses[0], "--allow")).code == 0
    assert (await command("confirm", session, uses[1], "--deny", "--message", "Not today.")).code == 0
    denied = json.loads(await tail.stdout.readline())["agentToolResult"]
    assert denied["content"] == [{"text": {"text": "Not today."}}]
    assert waits_of(await command("status", session)) == ["an answer"]
    assert (await command("answer", session, uses[0], "blue")).code == 0
    assert json.loads(await tail.stdout.readline())["statusIdle"]["stopReason"] == {"endTurn": {}}
    again = await command("confirm", session, uses[0], "--allow")
    assert (again.code, "[TOOL_USE_CLOSED]" in again.err) == (1, True)
    tail.send_signal(signal.SIGINT)
    await tail.communicate()


def waits_of(status: Told) -> list[str]:
    return re.findall(r"^waits for (.*): bash ", status.out, re.MULTILINE)


async def test_an_outcome_is_defined_and_a_chat_shows_how_it_is_judged(command: Command) -> None:
    agent = await command.id_of("agents", "create", str(CLIENT / "examples/story.yaml"))
    session = await command.id_of("start", agent)
    refused = await command("outcome", session, "", "--max-iterations", "21")
    assert refused.code == 1
    assert "criteria: is required" in refused.err
    assert (await command.id_of("outcome", session, "A story of two sentences.")) == "1"
    told = await command("chat", session, "--last", "20")
    assert told.code == 1
    assert told.out.splitlines()[0] == "Once upon a time a fox found a key."
    assert [line for line in told.err.splitlines() if not line.startswith("· 0 tokens")] == [
        "· outcome: A story of two sentences.",
        "· iteration 1: not met: It is one sentence, and it has no end.",
        "· iteration 2: met: It has two sentences, and in the second one it ends.",
        "· completed",
        "· the session is completed",
    ]


async def test_an_environment_that_the_server_refuses_is_told_with_its_line(command: Command, tmp_path: Path) -> None:
    agent = await command.id_of("agents", "create", str(EXAMPLE))
    file = tmp_path / "environment.yaml"
    file.write_text("env: {A: b}\nlimits:\n  processes: -1\nworking_dir: ..\n")
    told = await command("start", agent, "--environment", str(file))
    assert (told.code, told.out) == (1, "")
    assert sorted(told.err.splitlines()) == [
        f"error: {file}:3:3: limits.processes: must not be negative [INVALID_REQUEST]",
        f"error: {file}:4:1: working_dir: must be a path inside the workspace, without .. [INVALID_REQUEST]",
    ]


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
    assert (misused.code, misused.err.count("\n")) == (2, 1)
    assert misused.err.startswith(f"error: {wrong}:2:19: tools[0].custom.nme: unknown field")
    assert (await command("send", "ses_1")).code == 2
    nobody = await command("--server", "127.0.0.1:1", "sessions")
    assert (nobody.code, nobody.err.count("\n")) == (3, 1)
    assert nobody.err.startswith("error: no server at 127.0.0.1:1")


THINKING = """\
name: thinker
model:
  scripted:
    responses:
      - thinking: Hard to say.
        text: Not finished
        error: {code: 503}
      - thinking: It rains.
        text: Take a coat.
        delay: 0.4s
        usage:
          input_tokens: 120
          cache_read_tokens: 90
          output_tokens: 30
          reasoning_tokens: 10
          requests: 1
          model_time: 2s
"""


async def test_a_chat_at_a_terminal_shows_thinking_retries_and_usage_dim(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "thinker.yaml"
    file.write_text(THINKING)
    session = await command.id_of("start", await command.id_of("agents", "create", str(file)))
    async with terminal([*command.line, "chat", session], command.environment) as screen:
        await screen.until("> ")
        screen.type("A coat?\n")
        shown = await screen.until(" s\x1b[0m\r\n> ")
        screen.type("\x04")
        assert await screen.ended() == 0
    lines = shown.replace("\r\n", "\n")
    assert re.search(r"\x1b\[2m· the provider fails or is overloaded; attempt 2 in 0\.\d+ s\x1b\[0m\n", lines)
    assert "Take a coat.\n\x1b[2m· 120 tokens in (90 cached), 30 out (10 reasoning), 1 request, 2.0 s\x1b[0m\n" in lines
    assert re.search(r"\x1b\[2m[^\x1b]*rains", lines), "thinking is dim"
    assert without_colours(lines).count("It rains.") == 1, "what was streamed is not shown again"


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[\d+m", "", text)


async def test_a_quiet_chat_says_what_the_agent_says(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "thinker.yaml"
    file.write_text(THINKING)
    session = await command.id_of("start", await command.id_of("agents", "create", str(file)))
    told = await command("chat", "--quiet", session, stdin="A coat?\n")
    assert told.out.splitlines()[-1] == "Take a coat."
    assert "rains" not in told.out
    assert not [line for line in told.err.splitlines() if "attempt" in line or "tokens" in line]


async def test_what_the_server_refuses_is_told_with_its_line(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("name: x\nmodel: {scripted: {responses: [{}]}}\ntools:\n- custom:\n    name: a b\n")
    told = await command("agents", "create", str(file))
    assert told.code == 1
    assert told.err == (
        f"error: {file}:5:5: tools[0].custom.name: "
        "must be 1 to 64 of the characters A-Z a-z 0-9 _ and - [INVALID_REQUEST]\n"
    )


async def test_an_agent_is_updated_compared_and_pinned(command: Command, tmp_path: Path) -> None:
    agent = await command.id_of("agents", "create", str(EXAMPLE))
    old = await command.id_of("start", agent)
    file = tmp_path / "weather.yaml"
    file.write_text((await command("agents", "get", agent, "--definition")).out.replace("never guess", "guess"))
    assert (await command("agents", "update", agent, str(file))).out == f"{agent} is at version 2\n"
    lost = await command("agents", "update", agent, str(file), "--version", "1")
    assert (lost.code, "[VERSION_CONFLICT]" in lost.err) == (1, True)
    changes = await command("agents", "diff", agent)
    assert changes.code == 1
    assert [line for line in changes.out.splitlines()[2:] if line[0] in "+-"] == [
        "-system: You answer questions about the weather. Look it up; never guess.",
        "+system: You answer questions about the weather. Look it up; guess.",
    ]
    assert (await command("agents", "diff", agent, "2", "2")).code == 0
    assert (await command("agents", "diff", agent, "1", "3")).code == 2
    listed = [json.loads(line) for line in (await command("sessions", "--json")).out.splitlines()]
    assert [(row["sessionId"], row["agentVersion"]) for row in listed] == [(old, "1")]
    assert (await command("agents", "list")).out.split()[:2] == [agent, "v2"]


async def test_a_key_from_the_environment_is_kept_and_never_printed(server: Server, tmp_path: Path) -> None:
    command = Command(server.address, KEY="KEYMARK-openai-1")
    file = tmp_path / "keyed.yaml"
    file.write_text("name: keyed\nmodel: {provider_model: {provider: openai, model: gpt-4.1}}\n")
    agent = await command.id_of("agents", "create", str(file), "--api-key-env", "KEY")
    got = await command("agents", "get", agent, "--definition")
    assert "api_key: ''" in got.out
    file.write_text(got.out)
    updated = await command("agents", "update", agent, str(file))
    diff = await command("agents", "diff", agent)
    assert (updated.code, diff.code, diff.out) == (0, 0, ""), "an empty api_key keeps the key"
    written = files_in(tmp_path)
    assert len(written) > 2
    assert not any(b"KEYMARK" in part for part in (*written, *(told.out.encode() for told in (got, updated, diff))))


def files_in(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.iterdir() if path.is_file()]


def commands_of_the_readme() -> list[list[str]]:
    lines = re.findall(r"^    managedagents (.*)$", (CLIENT / "README.md").read_text(), re.MULTILINE)
    return [shlex.split(line.partition(" > ")[0], comments=True) for line in lines]


def test_every_command_of_the_clients_readme_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(CLIENT / "examples")
    (tmp_path / "a.yaml").touch()
    monkeypatch.chdir(tmp_path)
    assert len(commands_of_the_readme()) > 8
    for words in commands_of_the_readme():
        command: click.Command = main
        context = click.Context(main)
        while isinstance(command, click.Group):
            name, found, words = command.resolve_command(context, words)
            assert found is not None
            command, context = found, click.Context(found, parent=context, info_name=name)
        # Raises where an argument or an option is wrong.
        command.parse_args(context, list(words))
