"""The server dies before, while and after a tool of an MCP server runs: what does not say that it may be repeated is
not, and no MCP server is left behind. The MCP server adds a line to a file for each call: so often it ran."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from managedagents.v1 import agent_pb2, user_event_pb2
from support.calls import scripted
from support.life import FLAGS, Life, life
from support.processes import runs
from support.stubborn import eventually

pytestmark = pytest.mark.long

RAW = Path(__file__).parents[1] / "unit/tools/mcp/raw_server.py"
BEGINS = ["1 user.message", "1 status.running"]
USE, START, ASKED = "1 agent.mcp_tool_use", "1 agent.tool_start", "1 user.tool_confirmation"
RAN, UNKNOWN = "1 agent.mcp_tool_result ran", "1 agent.mcp_tool_result effect_unknown"
DENIED, INTERRUPTED = "1 agent.mcp_tool_result denied", "1 agent.mcp_tool_result interrupted"
ENDS = ["1 agent.message", "1 status.idle end_turn"]
PROMPT = {"default": "PERMISSION_MODE_PROMPT"}


def agent(*tools: str, policy: dict[str, Any] | None = None) -> agent_pb2.AgentDefinition:
    """Its model calls the tools one after the other."""
    definition = scripted(*({"tool_calls": [{"name": f"raw__{tool}"}]} for tool in tools), {"text": "done"})
    servers = [{"name": "raw", "configured": "raw", "auto_approve": policy is None}]
    json_format.ParseDict({"mcp_servers": servers, "permission_policy": policy or {}}, definition)
    return definition


@asynccontextmanager
async def mcp_life(folder: Path, definition: agent_pb2.AgentDefinition, place: str = "") -> AsyncIterator[Life]:
    file = folder / "mcp.toml"
    file.write_text(
        f"[servers.raw]\ncommand = '{sys.executable}'\nargs = ['{RAW}']\n"
        f"env = {{RUNS = {json.dumps(str(folder / 'runs'))}}}\n"
    )
    async with life(folder, definition, place, flags=(*FLAGS, "--mcp-servers", str(file))) as session:
        yield session


def ran(folder: Path) -> int:
    file = folder / "runs"
    return file.read_text().count("ran\n") if file.exists() else 0


def decided(use: str, *, allow: bool) -> user_event_pb2.UserEvent:
    decision = user_event_pb2.TOOL_CONFIRMATION_ALLOW if allow else user_event_pb2.TOOL_CONFIRMATION_DENY
    given = user_event_pb2.UserToolConfirmation(tool_use_id=use, decision=decision)
    return user_event_pb2.UserEvent(user_tool_confirmation=given)


@pytest.mark.parametrize("place", ["after_commit:agent.mcp_tool_use", "tool_start", "before_commit:agent.tool_start"])
async def test_a_use_that_was_never_started_runs_after_the_restart(tmp_path: Path, place: str) -> None:
    async with mcp_life(tmp_path, agent("once"), place) as session:
        await session.dies(session.send("go"))
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, START, RAN, *ENDS]
        assert ran(tmp_path) == 1


@pytest.mark.parametrize(
    ("place", "times"),
    [("after_commit:agent.tool_start", 0), ("tool_run", 0), ("before_commit:agent.mcp_tool_result", 1)],
)
async def test_a_use_that_was_started_is_never_run_again(tmp_path: Path, place: str, times: int) -> None:
    async with mcp_life(tmp_path, agent("once"), place) as session:
        await session.dies(session.send("go"))
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, START, UNKNOWN, *ENDS]
        assert ran(tmp_path) == times


async def test_a_use_that_may_be_repeated_is(tmp_path: Path) -> None:
    async with mcp_life(tmp_path, agent("again"), "before_commit:agent.mcp_tool_result") as session:
        await session.dies(session.send("go"))
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, RAN, *ENDS]
        assert ran(tmp_path) == 2


async def test_a_call_that_hangs_dies_with_the_server_and_leaves_no_process(tmp_path: Path) -> None:
    async with mcp_life(tmp_path, agent("pid", "once-hang")) as session:
        await session.send("go")
        await eventually(lambda: ran(tmp_path) == 1)
        (pid,) = await session.results()
        await session.again()
        await eventually(lambda: not runs(int(pid)))
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, START, RAN, USE, START, UNKNOWN, *ENDS]
        assert ran(tmp_path) == 1


@pytest.mark.parametrize("allow", [True, False])
async def test_a_confirmation_is_waited_for_across_a_restart(tmp_path: Path, allow: bool) -> None:
    async with mcp_life(tmp_path, agent("once", policy=PROMPT)) as session:
        await session.send("go")
        (use,) = await session.uses(kind="agent.mcp_tool_use")
        await session.again()
        (action,) = (await session.status()).pending_actions
        assert (action.tool_use_id, action.server_name, action.name) == (use, "raw", "once")
        await session.send(decided(use, allow=allow))
        await session.comes("status.idle end_turn")
        closes = [START, RAN] if allow else [DENIED]
        assert await session.lines() == [*BEGINS, USE, ASKED, *closes, *ENDS]
        assert ran(tmp_path) == int(allow)


@pytest.mark.parametrize("place", ["after_commit:user.tool_confirmation", "tool_start"])
async def test_what_was_allowed_runs_once_after_the_restart(tmp_path: Path, place: str) -> None:
    async with mcp_life(tmp_path, agent("once", policy=PROMPT), place) as session:
        await session.send("go")
        (use,) = await session.uses(kind="agent.mcp_tool_use")
        await session.dies(session.send(decided(use, allow=True)))
        await session.comes("status.idle end_turn")
        assert await session.lines() == [*BEGINS, USE, ASKED, START, RAN, *ENDS]
        assert ran(tmp_path) == 1


async def test_an_interrupt_that_was_logged_closes_the_use_after_the_restart(tmp_path: Path) -> None:
    async with mcp_life(tmp_path, agent("once-hang"), "after_commit:user.interrupt") as session:
        await session.send("go")
        await eventually(lambda: ran(tmp_path) == 1)
        interrupt = user_event_pb2.UserEvent(user_interrupt=user_event_pb2.UserInterrupt())
        await session.dies(session.send(interrupt))
        await session.comes("status.idle interrupted")
        assert await session.lines() == [
            *BEGINS, USE, START, "1 user.interrupt", INTERRUPTED, "1 status.idle interrupted"
        ]  # fmt: skip
        assert ran(tmp_path) == 1
