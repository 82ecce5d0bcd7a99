"""Tools that the server runs: at once, their results in the order of the calls, ended by an interrupt."""

import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from managedagents.v1 import agent_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import Event, message, refused, scripted
from support.driven import Driven, drive
from support.server import Server, Stub
from support.stubborn import eventually

BEGINS = ["1 user.message", "1 status.running"]
ENDS = ["1 agent.message", "1 status.idle end_turn"]


def bash(command: str, **more: Any) -> dict[str, Any]:
    return {"name": "bash", "input_json": json.dumps({"command": command, **more})}


def agent(*answers: list[dict[str, Any]], tools: tuple[str, ...] = ("bash",), **more: Any) -> agent_pb2.AgentDefinition:
    definition = scripted(*({"tool_calls": calls} for calls in answers), {"text": "done"}, **more)
    for tool in tools:
        json_format.ParseDict({tool: {}}, definition.tools.add())
    return definition


def results(events: list[Event]) -> list[str]:
    found = [event.agent_tool_result for event in events if event.HasField("agent_tool_result")]
    return ["".join(block.text.text for block in result.content) for result in found]


def workspace(server: Server, session: Driven) -> Path:
    return Path(f"{server.db}.workspaces") / session.session_id


async def test_calls_of_one_answer_run_at_once_and_their_results_stand_in_the_order_of_the_calls(stub: Stub) -> None:
    # The first ends only when the second has begun, and the second only when the third has.
    calls = [
        bash("until [ -e two ]; do sleep 0.02; done; echo one"),
        bash("touch two; until [ -e three ]; do sleep 0.02; done; echo two"),
        bash("touch three; echo three"),
    ]
    session = await drive(stub, agent(calls), "go")
    await session.comes("status.idle end_turn")
    assert await session.lines() == [
        *BEGINS,
        *["1 agent.tool_use"] * 3,
        *["1 agent.tool_start"] * 3,
        *["1 agent.tool_result ran"] * 3,
        *ENDS,
    ]
    events = await session.log()
    closed = [event.agent_tool_result.tool_use_id for event in events if event.HasField("agent_tool_result")]
    assert closed == [event.agent_tool_use.tool_use_id for event in events if event.HasField("agent_tool_use")]
    for words, told in zip(("one", "two", "three"), results(events), strict=True):
        assert words in told


async def test_what_one_call_writes_a_later_one_finds(stub: Stub) -> None:
    write = {"name": "filesystem", "input_json": json.dumps({"command": "write", "path": "a.txt", "content": "kept"})}
    session = await drive(stub, agent([write], [bash("cat a.txt")], tools=("bash", "filesystem")), "go")
    await session.comes("status.idle end_turn")
    assert "kept" in results(await session.log())[1]


async def test_an_interrupt_ends_a_tool_and_all_that_it_began(server: Server, stub: Stub) -> None:
    session = await drive(stub, agent([bash("(sleep 600 & echo $! > child); touch begun; sleep 600")]), "go", "next")
    begun = workspace(server, session) / "begun"
    await eventually(begun.exists)
    await session.interrupt()
    await session.comes("status.idle interrupted")
    assert (await session.lines())[:8] == [
        "1 user.message",
        "2 user.message",
        "1 status.running",
        "1 agent.tool_use",
        "1 agent.tool_start",
        "1 user.interrupt",
        "1 agent.tool_result interrupted",
        "1 status.idle interrupted",
    ]
    # The message behind it runs next.
    await session.comes("status.idle end_turn")


async def test_a_custom_use_waits_while_a_built_in_one_runs(stub: Stub) -> None:
    definition = agent([bash("echo ran"), {"name": "ask"}])
    definition.tools.add().custom.name = "ask"
    session = await drive(stub, definition, "go")
    events = await session.comes("agent.tool_result ran")
    (use,) = [
        event.agent_custom_tool_use.custom_tool_use_id for event in events if event.HasField("agent_custom_tool_use")
    ]
    (action,) = (await session.status()).pending_actions
    assert action.tool_use_id == use
    await session.answer(use)
    await session.comes("status.idle end_turn")


async def test_the_environment_is_the_sessions_own(stub: Stub) -> None:
    definition = agent([bash("pwd; echo $COLOUR; ls ..")])
    created = await stub.Create(pb.CreateRequest(definition=definition))
    request = pb.StartSessionRequest(agent_id=created.agent_id, initial_events=[message("go")])
    request.environment.working_dir = "work/here"
    request.environment.env["COLOUR"] = "blue"
    session = Driven(stub, (await stub.StartSession(request)).session_id)
    await session.comes("status.idle end_turn")
    (told,) = results(await session.log())
    assert "/workspace/work/here" in told
    assert "blue" in told
    plain = await drive(stub, agent([bash("echo [$COLOUR] [$(ls)]")]), "go")
    await plain.comes("status.idle end_turn")
    assert "[] []" in results(await plain.log())[0]


async def test_a_time_of_the_environment_holds(stub: Stub) -> None:
    definition = agent([bash("sleep 600")])
    created = await stub.Create(pb.CreateRequest(definition=definition))
    request = pb.StartSessionRequest(agent_id=created.agent_id, initial_events=[message("go")])
    request.environment.limits.wall_time.FromMilliseconds(200)
    session = Driven(stub, (await stub.StartSession(request)).session_id)
    await session.comes("status.idle end_turn")
    assert "1 agent.tool_result timed_out" in await session.lines()


@pytest.mark.parametrize(
    ("environment", "code", "field"),
    [
        ({"working_dir": "../out"}, grpc.StatusCode.INVALID_ARGUMENT, "environment.working_dir"),
        ({"working_dir": "/etc"}, grpc.StatusCode.INVALID_ARGUMENT, "environment.working_dir"),
        ({"env": {"A=B": "c"}}, grpc.StatusCode.INVALID_ARGUMENT, "environment.env[A=B]"),
        ({"limits": {"processes": -1}}, grpc.StatusCode.INVALID_ARGUMENT, "environment.limits.processes"),
        ({"limits": {"processes": 65}}, grpc.StatusCode.RESOURCE_EXHAUSTED, "tool_processes"),
        ({"limits": {"wall_time": "121s"}}, grpc.StatusCode.RESOURCE_EXHAUSTED, "tool_wall_time"),
    ],
)
async def test_an_environment_that_cannot_be_is_refused(
    stub: Stub, environment: dict[str, Any], code: grpc.StatusCode, field: str
) -> None:
    created = await stub.Create(pb.CreateRequest(definition=agent([])))
    request = pb.StartSessionRequest(agent_id=created.agent_id)
    json_format.ParseDict(environment, request.environment)
    refusal = await refused(stub.StartSession(request))
    assert refusal.code == code
    assert field in (*refusal.fields, refusal.metadata.get("limit"))


async def test_a_deleted_session_leaves_no_workspace(server: Server, stub: Stub) -> None:
    session = await drive(stub, agent([bash("echo a > a; mkdir -p deep/er; touch deep/er/b; chmod 000 deep")]), "go")
    await session.comes("status.idle end_turn")
    folder = workspace(server, session)
    assert folder.exists()
    await session.delete()
    await eventually(lambda: not folder.exists())


async def test_a_session_deleted_while_its_tool_runs_leaves_nothing(server: Server, stub: Stub) -> None:
    session = await drive(stub, agent([bash("touch begun; while :; do echo x >> more; done")]), "go")
    folder = workspace(server, session)
    await eventually((folder / "begun").exists)
    await session.delete()
    await eventually(lambda: not folder.exists())
