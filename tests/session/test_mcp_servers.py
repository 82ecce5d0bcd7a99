"""Tools of MCP servers: listed before each request, run under the policy, and no harm where a server is a bad one."""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import json_format

from managedagents.v1 import agent_event_pb2, agent_pb2, user_event_pb2
from managedagents.v1 import service_pb2 as pb
from session.conftest import FLAGS
from support.calls import Event, refused, scripted
from support.driven import Driven, drive
from support.processes import runs
from support.server import Server, Stub, running
from support.stubborn import eventually

pytestmark = pytest.mark.long

RAW = Path(__file__).parents[1] / "unit/tools/mcp/raw_server.py"
BEGINS = ["1 user.message", "1 status.running"]
USE, START, RAN = "1 agent.mcp_tool_use", "1 agent.tool_start", "1 agent.mcp_tool_result ran"
DENIED = "1 agent.mcp_tool_result denied"
ENDS = ["1 agent.message", "1 status.idle end_turn"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    folder = tmp_path_factory.mktemp("mcp")
    servers: dict[str, dict[str, Any]] = {
        "raw": {"command": sys.executable, "args": [str(RAW)], "env": {"RUNS": str(folder / "runs")}},
        "dead": {"command": sys.executable, "args": [str(RAW), "dead"]},
    }
    file = folder / "mcp.toml"
    file.write_text("".join(_table(name, told) for name, told in servers.items()))
    flags = (*FLAGS, "--limit", "tool_rounds=8", "--limit", "mcp_idle=0.5", "--mcp-servers", str(file))
    async with running(folder / "log.db", *flags) as server:
        yield server


def _table(name: str, told: dict[str, Any]) -> str:
    env = ", ".join(f"{key} = {json.dumps(value)}" for key, value in told.get("env", {}).items())
    return f"[servers.{name}]\ncommand = '{told['command']}'\nargs = {json.dumps(told['args'])}\nenv = {{{env}}}\n"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stub(server: Server) -> AsyncIterator[Stub]:
    async with server.channel() as channel:
        yield Stub(channel)


def call(tool: str, **given: Any) -> dict[str, Any]:
    return {"name": tool, "input_json": json.dumps(given)}


def agent(*answers: list[dict[str, Any]], policy: Any = None, servers: Any = None) -> agent_pb2.AgentDefinition:
    definition = scripted(*({"tool_calls": calls} for calls in answers), {"text": "done"})
    servers = servers or [{"name": "raw", "configured": "raw", "auto_approve": policy is None}]
    json_format.ParseDict({"mcp_servers": servers, "permission_policy": policy or {}}, definition)
    return definition


def results(events: list[Event]) -> list[agent_event_pb2.AgentMcpToolResult]:
    return [event.agent_mcp_tool_result for event in events if event.HasField("agent_mcp_tool_result")]


def words(result: agent_event_pb2.AgentMcpToolResult) -> str:
    return "".join(block.text.text for block in result.content)


async def told(session: Driven) -> list[str]:
    """What the model was told, once the turn is over."""
    await session.comes("status.idle end_turn")
    return [words(result) for result in results(await session.log())]


def decided(event: Event, *, allow: bool, message: str = "") -> user_event_pb2.UserEvent:
    decision = user_event_pb2.TOOL_CONFIRMATION_ALLOW if allow else user_event_pb2.TOOL_CONFIRMATION_DENY
    given = user_event_pb2.UserToolConfirmation(
        tool_use_id=event.agent_mcp_tool_use.tool_use_id, decision=decision, deny_message=message
    )
    return user_event_pb2.UserEvent(user_tool_confirmation=given)


async def test_a_tool_is_called_by_its_servers_name_and_the_log_says_whose_it_is(stub: Stub) -> None:
    session = await drive(stub, agent([call("raw__once")]), "go")
    assert await told(session) == ["done"]
    assert await session.lines() == [*BEGINS, USE, START, RAN, *ENDS]
    (use,) = [event.agent_mcp_tool_use for event in await session.log() if event.HasField("agent_mcp_tool_use")]
    assert (use.server_name, use.name) == ("raw", "once")
    assert use.permission == agent_event_pb2.PERMISSION_DECISION_ALLOW
    (result,) = results(await session.log())
    assert json.loads(result.structured_content_json) == {"runs": 1}


async def test_what_says_that_it_may_be_repeated_has_no_start(stub: Stub) -> None:
    session = await drive(stub, agent([call("raw__again")]), "go")
    assert await told(session) == ["done"]
    assert await session.lines() == [*BEGINS, USE, RAN, *ENDS]


async def test_calls_of_one_answer_share_a_connection_and_keep_their_order(stub: Stub) -> None:
    session = await drive(stub, agent([call("raw__pid"), call("raw__once"), call("raw__pid")]), "go")
    first, done, last = await told(session)
    assert (first == last, done) == (True, "done")


async def test_without_a_policy_somebody_is_asked(stub: Stub) -> None:
    session = await drive(stub, agent([call("raw__pid")], policy={}, servers=[{"name": "raw", "configured": "raw"}]))
    await session.send("go")
    use = (await session.comes("agent.mcp_tool_use"))[-1]
    assert use.agent_mcp_tool_use.permission == agent_event_pb2.PERMISSION_DECISION_ASK
    (action,) = (await session.status()).pending_actions
    assert (action.tool_use_id, action.name) == (use.agent_mcp_tool_use.tool_use_id, "pid")
    await session.send(decided(use, allow=True))
    (number,) = await told(session)
    assert number.isdecimal()


async def test_what_is_not_allowed_does_not_run_and_the_model_is_told_why(stub: Stub) -> None:
    session = await drive(stub, agent([call("raw__once")], policy={"default": "PERMISSION_MODE_PROMPT"}), "go")
    use = (await session.comes("agent.mcp_tool_use"))[-1]
    await session.send(decided(use, allow=False, message="Not today."))
    assert await told(session) == ["Not today."]
    assert START not in await session.lines()


@pytest.mark.parametrize(
    ("default", "by_tool", "approved", "line"),
    [
        ("PERMISSION_MODE_DENY", None, False, DENIED),
        ("PERMISSION_MODE_DENY", None, True, RAN),
        ("PERMISSION_MODE_PROMPT", None, True, RAN),
        ("PERMISSION_MODE_PROMPT", "PERMISSION_MODE_AUTO_APPROVE", False, RAN),
        ("PERMISSION_MODE_AUTO_APPROVE", None, False, RAN),
        ("PERMISSION_MODE_AUTO_APPROVE", "PERMISSION_MODE_DENY", True, DENIED),
    ],
)
async def test_the_policy_of_the_tool_goes_before_the_servers_and_that_before_the_default(
    stub: Stub, default: str, by_tool: str | None, approved: bool, line: str
) -> None:
    policy = {"default": default, "tools": {} if by_tool is None else {"raw__again": by_tool}}
    servers = [{"name": "raw", "configured": "raw", "auto_approve": approved}]
    session = await drive(stub, agent([call("raw__again")], policy=policy, servers=servers), "go")
    await session.comes("status.idle end_turn")
    assert await session.lines() == [*BEGINS, USE, line, *ENDS]


async def test_an_input_that_does_not_fit_the_servers_schema_is_told_to_the_model(stub: Stub) -> None:
    # The schema's pattern would take years.
    session = await drive(stub, agent([call("raw__city", town="Oslo")], [call("raw__city", city="a" * 60 + "!")]), "go")
    first, second = await told(session)
    assert "'city' is a required property" in first
    assert second == "a" * 60 + "!"
    assert await session.lines() == [*BEGINS, USE, DENIED, USE, START, RAN, *ENDS]


async def test_a_tool_that_is_none_of_the_servers_is_none(stub: Stub) -> None:
    session = await drive(stub, agent([call("raw__nothing")]), "go")
    await session.comes("status.idle end_turn")
    assert await session.lines() == [*BEGINS, "1 agent.tool_use", "1 agent.tool_result denied", *ENDS]


@pytest.mark.parametrize("bad", ["die", "garbage"])
async def test_a_server_that_is_lost_in_a_call_costs_that_call_alone(stub: Stub, bad: str) -> None:
    session = await drive(stub, agent([call("raw__pid")], [call(f"raw__{bad}")], [call("raw__pid")]), "go")
    before, lost, after = await told(session)
    assert "was lost during the call" in lost
    assert (before != after, after.isdecimal()) == (True, True)


async def test_a_turn_goes_on_without_a_server_that_cannot_be_used_and_the_log_says_so(stub: Stub) -> None:
    servers = [{"name": "gone", "configured": "dead"}, {"name": "raw", "configured": "raw", "auto_approve": True}]
    session = await drive(stub, agent([call("raw__echo")], [call("raw__echo")], servers=servers), "go")
    await session.comes("status.idle end_turn")
    lines = await session.lines()
    assert lines[:3] == [*BEGINS, "1 error tool_unavailable"]
    assert lines.count("1 error tool_unavailable") == 1
    (error,) = [event.error for event in await session.log() if event.HasField("error")]
    assert "no module named weather" in error.message


async def test_tools_that_a_server_has_only_now_can_be_called_at_once(stub: Stub) -> None:
    session = await drive(stub, agent([call("raw__change", to="told")], [call("raw__told")]), "go")
    changed, heard = await told(session)
    assert changed == "changed"
    assert json.loads(heard)[-1] == "tools/call"


async def test_an_interrupt_cancels_the_call_at_the_server(stub: Stub) -> None:
    session = await drive(stub, agent([call("raw__once-hang")], [call("raw__told")]), "go")
    await session.comes("agent.tool_start")
    await session.interrupt()
    await session.comes("status.idle interrupted")
    assert "1 agent.mcp_tool_result interrupted" in await session.lines()
    await session.send("again")
    *_, heard = await told(session)
    assert "notifications/cancelled" in json.loads(heard)


async def test_a_server_is_ended_when_its_session_rests_and_begins_anew_with_the_next_need(stub: Stub) -> None:
    session = await drive(stub, agent([call("raw__pid")], [call("raw__pid")]), "go")
    first, second = await told(session)
    assert first == second
    await eventually(lambda: not runs(int(first)))
    other = await drive(stub, agent([call("raw__pid")]), "go")
    (number,) = await told(other)
    await other.archive()
    await eventually(lambda: not runs(int(number)))


# Servers that a definition itself starts: in the sandbox.

SANDBOXED = """
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("method") == "initialize":
        told = {"protocolVersion": asked["params"]["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "s", "version": "1"}}
    elif asked.get("method") == "tools/list":
        told = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("keep", "seen", "fork")]}
    elif asked.get("method") == "tools/call":
        name = asked["params"]["name"]
        if name == "keep":
            open("kept", "w").write("kept")
        if name == "fork":
            os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "599")
        told = {"content": [{"type": "text", "text": json.dumps(
            {"env": dict(os.environ), "files": os.listdir("."), "cwd": os.getcwd(), "uid": os.getuid(),
             "net": os.listdir("/sys/class/net") if os.path.exists("/sys/class/net") else [],
             "processes": [name for name in os.listdir("/proc") if name.isdecimal()]})}]}
    elif "id" in asked:
        told = {}
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": told}), flush=True)
"""
STDIO = [
    {
        "name": "own",
        "stdio": {"command": "python3", "args": ["-c", SANDBOXED], "env": {"CITY": "Oslo"}},
        "auto_approve": True,
    }
]


async def test_a_server_of_the_definition_sees_the_sessions_workspace_and_nothing_of_ours(
    server: Server, stub: Stub
) -> None:
    session = await drive(stub, agent([call("own__keep")], [call("own__seen")], servers=STDIO), "go")
    _, seen = map(json.loads, await told(session))
    assert seen["env"]["CITY"] == "Oslo"
    assert set(seen["env"]) <= {"CITY", "HOME", "LANG", "LC_CTYPE", "PATH", "PWD", "TMPDIR"}
    assert (seen["cwd"], seen["files"], seen["net"]) == ("/workspace", ["kept"], [])
    assert len(seen["processes"]) < 8
    assert (Path(f"{server.db}.workspaces") / session.session_id / "kept").read_text() == "kept"
    other = await drive(stub, agent([call("own__seen")], servers=STDIO), "go")
    (elsewhere,) = map(json.loads, await told(other))
    assert elsewhere["files"] == []


async def test_a_deleted_session_leaves_no_server_and_no_workspace(server: Server, stub: Stub) -> None:
    session = await drive(stub, agent([call("own__fork"), call("own__keep")], servers=STDIO), "go")
    await told(session)
    folder = Path(f"{server.db}.workspaces") / session.session_id
    assert folder.exists()
    await session.delete()
    await eventually(lambda: not folder.exists())


async def test_a_command_that_is_not_there_is_told_in_the_log(stub: Stub) -> None:
    servers = [{"name": "own", "stdio": {"command": "no-such-program"}}]
    session = await drive(stub, agent(servers=servers), "go")
    await session.comes("status.idle end_turn")
    (error,) = [event.error for event in await session.log() if event.HasField("error")]
    assert "no-such-program" in error.message


# What is refused.


@pytest.mark.parametrize(
    ("named", "field"),
    [
        ({"configured": "nobody"}, "configured"),
        ({"http": {"url": "http://127.0.0.1:1/mcp"}}, "http.url"),
        ({"http": {"url": "https://mcp.example.com/mcp", "credential": "nobody"}}, "http.credential"),
    ],
)
async def test_a_server_that_nobody_could_reach_is_refused_at_create(
    stub: Stub, named: dict[str, Any], field: str
) -> None:
    definition = agent(servers=[{"name": "m", **named}])
    refusal = await refused(stub.Create(pb.CreateRequest(definition=definition)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOOL_UNUSABLE")
    assert refusal.metadata == {"field": f"definition.mcp_servers[0].{field}"}


async def test_a_custom_tool_cannot_take_the_place_of_a_servers(stub: Stub) -> None:
    definition = agent()
    definition.tools.add().custom.name = "raw__once"
    refusal = await refused(stub.Create(pb.CreateRequest(definition=definition)))
    assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["definition.tools[0].custom.name"])
    created = await stub.Create(pb.CreateRequest(definition=agent()))
    overridden = pb.StartSessionRequest(agent_id=created.agent_id)
    overridden.overrides.tools.tools.add().custom.name = "raw__once"
    refusal = await refused(stub.StartSession(overridden))
    assert refusal.fields == ["overrides.tools.tools[0].custom.name"]
