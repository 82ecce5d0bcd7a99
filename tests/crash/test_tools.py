"""The server dies before, while and after it runs a tool, and while it waits to be allowed to: nothing that must not
run twice does, nothing that was asked for is lost, and nothing that was begun is left running.

Each command adds a line to a file of the workspace, so that the file says how often it ran.
"""

import json
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from managedagents.v1 import agent_pb2, session_pb2, user_event_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import scripted
from support.life import life
from support.sandboxes import running as processes
from support.stubborn import eventually

FLAGS = ("--limit", "retry_first=0.05")
AT_ONCE = (*FLAGS, "--limit", "deadline_grace=0")
PROMPT = {"default": "PERMISSION_MODE_PROMPT"}
BASH_ASKS = {"tools": {"bash": "PERMISSION_MODE_PROMPT"}}
DENY = {"default": "PERMISSION_MODE_DENY"}
AT_CLIENT: dict[str, Any] = {"tool_host": "TOOL_HOST_CLIENT"}

BEGINS = ["1 user.message", "1 status.running"]
USE, ASKED = "1 agent.tool_use", "1 user.tool_confirmation"
START, RAN, UNKNOWN = "1 agent.tool_start", "1 agent.tool_result ran", "1 agent.tool_result effect_unknown"
DENIED, INTERRUPTED = "1 agent.tool_result denied", "1 agent.tool_result interrupted"
ENDS = ["1 agent.message", "1 status.idle end_turn"]
WAITS = "1 status.idle requires_action"
PAUSED, RESUMED = "0 status.paused", "0 status.resumed"


def tool(name: str, **given: Any) -> dict[str, Any]:
    return {"name": name, "input_json": json.dumps(given)}


def bash(command: str) -> dict[str, Any]:
    return tool("bash", command=command)


ONCE = bash("echo ran >> runs")
HANGS = bash("echo ran >> runs; sleep 600")


def agent(
    *answers: list[dict[str, Any]], policy: dict[str, Any] | None = None, **more: Any
) -> agent_pb2.AgentDefinition:
    """Its model gives these answers, each with its tool calls, and then says that it is done."""
    definition = scripted(*({"tool_calls": calls} for calls in answers), {"text": "done"}, **more)
    for name in ("bash", "filesystem", "code_execution"):
        json_format.ParseDict({name: {}}, definition.tools.add())
    json_format.ParseDict(policy or {}, definition.permission_policy)
    return definition


def decided(use: str, *, allow: bool = True) -> user_event_pb2.UserEvent:
    decision = user_event_pb2.TOOL_CONFIRMATION_ALLOW if allow else user_event_pb2.TOOL_CONFIRMATION_DENY
    given = user_event_pb2.UserToolConfirmation(tool_use_id=use, decision=decision)
    return user_event_pb2.UserEvent(user_tool_confirmation=given)


def returned(use: str) -> user_event_pb2.UserEvent:
    event = user_event_pb2.UserEvent(user_tool_result=user_event_pb2.UserToolResult(tool_use_id=use))
    event.user_tool_result.content.add().text.text = "from the client"
    return event


@pytest.fixture
def folder_for_all() -> Iterator[Path]:
    """Every user may go through it: without a sandbox the tools of a session run as one of their own."""
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above)
        folder.chmod(0o711)
        yield folder


# Tools that run without being asked about.


@pytest.mark.long
@pytest.mark.parametrize("place", ["after_commit:agent.tool_use", "tool_start", "before_commit:agent.tool_start"])
async def test_a_use_that_was_never_started_runs_after_the_restart(tmp_path: Path, place: str) -> None:
    async with life(tmp_path, agent([ONCE]), place) as session:
        await session.dies(session.send("go"))
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, START, RAN, *ENDS]
        assert session.runs == 1


@pytest.mark.long
async def test_a_use_is_started_once_however_often_the_server_dies_before(tmp_path: Path) -> None:
    async with life(tmp_path, agent([ONCE]), "tool_start") as session:
        await session.dies(session.send("go"), "tool_start", "before_commit:agent.tool_start")
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, START, RAN, *ENDS]
        assert session.runs == 1


@pytest.mark.long
@pytest.mark.parametrize(
    ("place", "runs"),
    [("after_commit:agent.tool_start", 0), ("tool_run", 0), ("before_commit:agent.tool_result", 1)],
)
async def test_a_use_that_was_started_is_never_run_again_and_the_model_decides(
    tmp_path: Path, place: str, runs: int
) -> None:
    looks = bash("echo there are $(cat runs 2> /dev/null | wc -l)")
    async with life(tmp_path, agent([ONCE], [looks]), place) as session:
        await session.dies(session.send("go"))
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, START, UNKNOWN, USE, START, RAN, *ENDS]
        (unknown,) = [event.agent_tool_result for event in await session.log() if event.seq == 5]
        assert unknown.is_error
        assert "whether it took effect is not known" in unknown.content[0].text.text
        assert f"there are {runs}" in (await session.results())[1]
        assert session.runs == runs


@pytest.mark.long
@pytest.mark.parametrize("place", ["after_commit:agent.tool_result", "tool_result"])
async def test_a_use_with_its_result_is_over(tmp_path: Path, place: str) -> None:
    async with life(tmp_path, agent([ONCE]), place) as session:
        await session.dies(session.send("go"))
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, START, RAN, *ENDS]
        assert session.runs == 1


@pytest.mark.long
@pytest.mark.parametrize(
    "call",
    [
        tool("code_execution", code="open('runs', 'a').write('ran\\n')"),
        tool("filesystem", command="edit", path="note", old="before", new="ran\n"),
    ],
    ids=lambda call: call["name"],
)
async def test_no_tool_that_changes_something_runs_twice(tmp_path: Path, call: dict[str, Any]) -> None:
    prepares = tool("filesystem", command="write", path="note", content="before")
    async with life(tmp_path, agent([prepares], [call]), "before_commit:agent.tool_result@2") as session:
        await session.dies(session.send("go"))
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, RAN, USE, START, UNKNOWN, *ENDS]
        changed = session.workspace / ("runs" if call["name"] == "code_execution" else "note")
        assert changed.read_text() == "ran\n"


@pytest.mark.long
async def test_a_read_without_a_result_reads_again(tmp_path: Path) -> None:
    prepares = tool("filesystem", command="write", path="note", content="before")
    reads = [tool("filesystem", command="read", path="note"), tool("filesystem", command="list")]
    async with life(tmp_path, agent([prepares], reads), "before_commit:agent.tool_result@2") as session:

        def changes() -> None:
            (session.workspace / "note").write_text("after")
            (session.workspace / "new").touch()

        await session.dies(session.send("go"), meanwhile=changes)
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, RAN, USE, USE, RAN, RAN, *ENDS]
        _, read, listed = await session.results()
        assert "after" in read
        assert "before" not in read
        assert "new" in listed


@pytest.mark.long
@pytest.mark.parametrize("place", ["tool_start", "tool_run", "tool_result"])
async def test_what_only_reads_leaves_the_log_of_a_server_that_lived(tmp_path: Path, place: str) -> None:
    async with life(tmp_path, agent([tool("filesystem", command="list")]), place) as session:
        await session.dies(session.send("go"))
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, RAN, *ENDS]


@pytest.mark.long
async def test_a_write_without_a_result_is_written_again(tmp_path: Path) -> None:
    write = tool("filesystem", command="write", path="note", content="kept")
    async with life(tmp_path, agent([write]), "before_commit:agent.tool_result") as session:
        note = session.workspace / "note"
        await session.dies(session.send("go"), meanwhile=lambda: note.unlink())
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, RAN, *ENDS]
        assert note.read_text() == "kept"


@pytest.mark.long
@pytest.mark.parametrize("tool_name", ["bash", "code_execution"])
async def test_a_tool_that_runs_when_the_server_is_killed_is_not_run_again(tmp_path: Path, tool_name: str) -> None:
    code = "import time; open('runs', 'a').write('ran\\n'); time.sleep(600)"
    call = HANGS if tool_name == "bash" else tool("code_execution", code=code)
    async with life(tmp_path, agent([call])) as session:
        await session.send("go")
        await session.begins()
        await session.again()
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, START, UNKNOWN, *ENDS]
        assert session.runs == 1


@pytest.mark.long
@pytest.mark.parametrize("sandbox", ["bubblewrap", "none"])
async def test_no_process_of_a_tool_survives_its_server(folder_for_all: Path, sandbox: str) -> None:
    mark = uuid.uuid4().hex
    child = f"trap : HUP TERM; touch child; while :; do sleep 1; done; : child {mark}"
    call = bash(
        f"setsid bash -c '{child}' > /dev/null 2>&1 & "
        f"until [ -e child ]; do sleep 0.01; done; echo ran >> runs; sleep 600; : parent {mark}"
    )
    async with life(folder_for_all, agent([call]), flags=(*FLAGS, "--sandbox", sandbox)) as session:
        await session.send("go")
        await session.begins()
        assert [line for line in processes(mark) if "child" in line and "parent" not in line]
        await session.server.kill()
        await eventually(lambda: not processes(mark))
        await session.server.start()
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, START, UNKNOWN, *ENDS]
        assert not processes(mark)
        assert session.runs == 1


@pytest.mark.long
async def test_of_several_tools_those_that_have_their_results_keep_them(tmp_path: Path) -> None:
    async with life(tmp_path, agent([bash("echo first"), HANGS, HANGS])) as session:
        await session.send("go")
        await session.comes("agent.tool_result ran")
        await eventually(lambda: session.runs == 2)
        await session.again()
        await session.comes("status.idle end_turn")
        uses, starts = [USE] * 3, [START] * 3
        assert await session.lines() == [*BEGINS, *uses, *starts, RAN, UNKNOWN, UNKNOWN, *ENDS]
        assert session.runs == 2


@pytest.mark.long
async def test_a_read_beside_a_command_runs_again_and_the_command_does_not(tmp_path: Path) -> None:
    calls = [ONCE, tool("filesystem", command="list")]
    async with life(tmp_path, agent(calls), "tool_run") as session:
        await session.dies(session.send("go"))
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, USE, START, UNKNOWN, RAN, *ENDS]
        assert session.runs == 0


# Tools that are asked about.


@pytest.mark.long
@pytest.mark.parametrize("allow", [True, False])
async def test_a_use_that_waits_for_a_confirmation_waits_on_and_is_decided_then(tmp_path: Path, allow: bool) -> None:
    async with life(tmp_path, agent([ONCE], policy=PROMPT)) as session:
        await session.send("go")
        (use,) = await session.uses()
        before = (await session.status()).pending_actions
        for _ in range(2):
            await session.again()
            await session.others_go_on()
        assert await session.lines() == [*BEGINS, USE]
        status = await session.status()
        assert status.pending_actions == before
        assert before[0].kind == session_pb2.PENDING_ACTION_KIND_TOOL_CONFIRMATION
        assert status.state == session_pb2.SESSION_STATUS_RUNNING
        await session.send(decided(use, allow=allow))
        await session.comes("status.idle end_turn")
        came = [START, RAN] if allow else [DENIED]
        assert await session.lines() == [*BEGINS, USE, ASKED, *came, *ENDS]
        assert session.runs == int(allow)


@pytest.mark.long
@pytest.mark.parametrize(
    "place",
    [
        "before_commit:user.tool_confirmation",
        "after_commit:user.tool_confirmation",
        "tool_start",
        "before_commit:agent.tool_start",
        "tool_result",
    ],
)
async def test_what_was_allowed_runs_once(tmp_path: Path, place: str) -> None:
    async with life(tmp_path, agent([ONCE], policy=PROMPT), place) as session:
        await session.send("go")
        (use,) = await session.uses()
        await session.dies(session.send(decided(use)))
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, ASKED, START, RAN, *ENDS]
        assert session.runs == 1


@pytest.mark.long
async def test_what_was_allowed_and_started_is_not_run_again(tmp_path: Path) -> None:
    async with life(tmp_path, agent([ONCE], policy=PROMPT), "tool_run") as session:
        await session.send("go")
        (use,) = await session.uses()
        await session.dies(session.send(decided(use)))
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, ASKED, START, UNKNOWN, *ENDS]
        assert session.runs == 0


@pytest.mark.long
@pytest.mark.parametrize("place", ["before_commit:user.tool_confirmation", "after_commit:user.tool_confirmation"])
async def test_what_was_not_allowed_never_runs(tmp_path: Path, place: str) -> None:
    async with life(tmp_path, agent([ONCE], policy=PROMPT), place) as session:
        await session.send("go")
        (use,) = await session.uses()
        await session.dies(session.send(decided(use, allow=False)))
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, ASKED, DENIED, *ENDS]
        assert session.runs == 0


@pytest.mark.long
@pytest.mark.parametrize("place", ["before_commit:agent.tool_use", "after_commit:agent.tool_use"])
async def test_what_the_policy_denies_is_denied_in_the_same_write(tmp_path: Path, place: str) -> None:
    async with life(tmp_path, agent([ONCE], policy=DENY), place) as session:
        await session.dies(session.send("go"))
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, DENIED, *ENDS]
        assert session.runs == 0


@pytest.mark.long
async def test_while_one_use_is_closed_as_unknown_another_waits_on(tmp_path: Path) -> None:
    code = "import time; open('runs', 'a').write('ran\\n'); time.sleep(600)"
    definition = agent([tool("code_execution", code=code), ONCE], policy=BASH_ASKS)
    async with life(tmp_path, definition) as session:
        await session.send("go")
        _, use = await session.uses(2)
        await session.begins()
        await session.again()
        await session.comes("agent.tool_result effect_unknown")
        (action,) = (await session.status()).pending_actions
        assert action.tool_use_id == use
        await session.send(decided(use))
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, USE, START, UNKNOWN, ASKED, START, RAN, *ENDS]
        assert session.runs == 2


@pytest.mark.long
@pytest.mark.parametrize("place", ["tool_start", "tool_run"])
async def test_after_the_deadline_too_a_crash_changes_nothing_of_what_is_waited_for(tmp_path: Path, place: str) -> None:
    definition = agent([ONCE, ONCE], policy=PROMPT, custom_tool_timeout="0.1s")
    async with life(tmp_path, definition, flags=AT_ONCE) as session:
        await session.send("go")
        first, second = await session.uses(2)
        await session.comes("status.idle requires_action")
        await session.again(MANAGEDAGENTS_TEST_FAILPOINT=place)
        assert (await session.status()).state == session_pb2.SESSION_STATUS_IDLE
        await session.dies(session.send(decided(second)))
        idle = (await session.comes("status.idle requires_action"))[-1]
        assert list(idle.status_idle.stop_reason.requires_action.ids) == [first]
        await session.again()
        await session.send(decided(first))
        await session.comes("status.idle end_turn")
        begun = [*BEGINS, USE, USE, "1 error tool_timeout", WAITS]
        came = RAN if place == "tool_start" else UNKNOWN
        assert await session.lines() == [
            *[*begun, ASKED, "1 status.running", START, came, WAITS],
            *[ASKED, "1 status.running", START, RAN, *ENDS],
        ]
        assert session.runs == (2 if place == "tool_start" else 1)


# Tools at the client.


@pytest.mark.long
async def test_a_use_that_waits_for_the_clients_result_waits_on(tmp_path: Path) -> None:
    async with life(tmp_path, agent([ONCE], **AT_CLIENT)) as session:
        await session.send("go")
        (use,) = await session.uses()
        before = (await session.status()).pending_actions
        await session.again()
        await session.others_go_on()
        assert await session.lines() == [*BEGINS, USE]
        assert (await session.status()).pending_actions == before
        assert before[0].kind == session_pb2.PENDING_ACTION_KIND_TOOL_RESULT
        await session.send(returned(use))
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, "1 user.tool_result", *ENDS]
        assert not session.workspace.exists()


@pytest.mark.long
@pytest.mark.parametrize("where", ["before_commit", "after_commit"])
async def test_what_was_allowed_at_the_client_waits_for_its_result(tmp_path: Path, where: str) -> None:
    async with life(tmp_path, agent([ONCE], policy=PROMPT, **AT_CLIENT), f"{where}:user.tool_confirmation") as session:
        await session.send("go")
        (use,) = await session.uses()
        await session.dies(session.send(decided(use)))
        before = (await session.status()).pending_actions
        assert before[0].kind == session_pb2.PENDING_ACTION_KIND_TOOL_RESULT
        await session.again(MANAGEDAGENTS_TEST_FAILPOINT=f"{where}:user.tool_result")
        assert (await session.status()).pending_actions == before
        assert await session.lines() == [*BEGINS, USE, ASKED]
        await session.dies(session.send(returned(use)))
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, ASKED, "1 user.tool_result", *ENDS]
        assert not session.workspace.exists()


# Interrupts and pauses.


@pytest.mark.long
@pytest.mark.parametrize("runs", [True, False])
async def test_an_interrupt_that_was_logged_closes_what_was_open_before_anything_else(
    tmp_path: Path, runs: bool
) -> None:
    definition = agent([HANGS], policy=None if runs else PROMPT)
    async with life(tmp_path, definition, "after_commit:user.interrupt") as session:
        await session.send("go")
        await session.uses()
        if runs:
            await session.begins()
        queued = await session.send("next")
        await session.dies(session.client.interrupt(session.session_id))
        await session.comes("status.idle interrupted")
        await session.comes("status.idle end_turn")
        assert await session.lines() == [
            *[*BEGINS, USE, *([START] if runs else []), f"{queued} user.message"],
            *["1 user.interrupt", INTERRUPTED, "1 status.idle interrupted"],
            *[f"{queued} status.running", f"{queued} agent.message", f"{queued} status.idle end_turn"],
        ]
        assert session.runs == int(runs)


@pytest.mark.long
async def test_what_ran_when_a_paused_server_was_killed_is_closed_and_the_rest_waits_for_the_resume(
    tmp_path: Path,
) -> None:
    async with life(tmp_path, agent([HANGS], [ONCE])) as session:
        await session.send("go")
        await session.begins()
        await session.pause()
        await session.again()
        await session.comes("agent.tool_result effect_unknown")
        await session.others_go_on()
        before = [*BEGINS, USE, START, PAUSED, UNKNOWN]
        assert await session.lines() == before
        await session.resume()
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*before, RESUMED, USE, START, RAN, *ENDS]
        assert session.runs == 2


@pytest.mark.long
async def test_what_is_allowed_while_paused_runs_at_the_resume_in_whatever_server(tmp_path: Path) -> None:
    async with life(tmp_path, agent([ONCE], policy=PROMPT)) as session:
        await session.send("go")
        (use,) = await session.uses()
        await session.pause()
        await session.again()
        await session.send(decided(use))
        await session.again()
        await session.others_go_on()
        before = [*BEGINS, USE, PAUSED, ASKED]
        assert await session.lines() == before
        assert (await session.status()).paused
        assert session.runs == 0
        await session.resume()
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*before, RESUMED, START, RAN, *ENDS]
        assert session.runs == 1


@pytest.mark.long
async def test_a_deleted_session_leaves_neither_process_nor_workspace_when_its_server_is_killed(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    definition = agent([bash(f"echo ran >> runs; sleep 600; : {mark}")])
    async with life(tmp_path, definition, "after_commit:tombstone") as session:
        await session.send("go")
        await session.begins()
        request = pb.DeleteSessionRequest(session_id=session.session_id)
        await session.dies(session.client.call(session.client.stub.DeleteSession, request))
        await eventually(lambda: not session.workspace.exists())
        assert not processes(mark)


async def test_without_a_crash_a_command_runs_once(tmp_path: Path) -> None:
    async with life(tmp_path, agent([ONCE])) as session:
        await session.send("go")
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, START, RAN, *ENDS]
        assert session.runs == 1
