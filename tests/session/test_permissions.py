"""Who decides on a tool use, and what becomes of it: by event kinds and by what the model is told."""

from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from managedagents.v1 import agent_event_pb2, agent_pb2, session_pb2, user_event_pb2
from support.calls import Event, refused, scripted
from support.driven import Driven, drive, texts
from support.server import Stub

SOON = {"custom_tool_timeout": "0.05s"}
READ = {"name": "filesystem", "input_json": '{"command": "list", "path": "/"}'}
BASH = {"name": "bash", "input_json": '{"command": "echo ran"}'}
BEGINS = ["1 user.message", "1 status.running"]
ENDS = ["1 agent.message", "1 status.idle end_turn"]


def agent(*calls: dict[str, Any], policy: dict[str, Any] | None = None, **more: Any) -> agent_pb2.AgentDefinition:
    definition = scripted({"tool_calls": list(calls)}, {"text": "done"}, **more)
    for tool in ("bash", "filesystem"):
        json_format.ParseDict({tool: {}}, definition.tools.add())
    if policy is not None:
        json_format.ParseDict(policy, definition.permission_policy)
    return definition


PROMPT = {"default": "PERMISSION_MODE_PROMPT"}
DENY = {"default": "PERMISSION_MODE_DENY"}


def decided(use_id: str, *, allow: bool, why: str = "") -> user_event_pb2.UserEvent:
    decision = user_event_pb2.TOOL_CONFIRMATION_ALLOW if allow else user_event_pb2.TOOL_CONFIRMATION_DENY
    return user_event_pb2.UserEvent(
        user_tool_confirmation=user_event_pb2.UserToolConfirmation(
            tool_use_id=use_id, decision=decision, deny_message=why
        )
    )


def returned(use_id: str, words: str, *, is_error: bool = False) -> user_event_pb2.UserEvent:
    event = user_event_pb2.UserEvent(
        user_tool_result=user_event_pb2.UserToolResult(tool_use_id=use_id, is_error=is_error)
    )
    event.user_tool_result.content.add().text.text = words
    return event


def uses(events: list[Event]) -> list[str]:
    return [event.agent_tool_use.tool_use_id for event in events if event.HasField("agent_tool_use")]


def results(events: list[Event]) -> list[tuple[str, bool]]:
    """What the model was told of the tools, and whether as an error."""
    found = [event.agent_tool_result for event in events if event.HasField("agent_tool_result")]
    return [("".join(block.text.text for block in result.content), result.is_error) for result in found]


async def waiting(stub: Stub, definition: agent_pb2.AgentDefinition, count: int = 1) -> tuple[Driven, list[str]]:
    """A session that waits for so many decisions."""
    session = await drive(stub, definition, "go")
    found: list[str] = []
    while len(found) < count:
        found += uses(await session.comes("agent.tool_use"))
    return session, found


async def test_without_a_policy_a_built_in_tool_runs(stub: Stub) -> None:
    session = await drive(stub, agent(BASH), "go")
    await session.comes("status.idle end_turn")
    events = await session.log()
    assert await session.lines() == [
        *BEGINS,
        "1 agent.tool_use",
        "1 agent.tool_start",
        "1 agent.tool_result ran",
        *ENDS,
    ]
    assert events[2].agent_tool_use.permission == agent_event_pb2.PERMISSION_DECISION_ALLOW
    assert not events[2].agent_tool_use.HasField("deadline")
    ((told, is_error),) = results(events)
    assert ("ran" in told, is_error) == (True, False)


async def test_what_only_reads_has_no_start(stub: Stub) -> None:
    session = await drive(stub, agent(READ), "go")
    await session.comes("status.idle end_turn")
    assert await session.lines() == [*BEGINS, "1 agent.tool_use", "1 agent.tool_result ran", *ENDS]


async def test_deny_tells_the_model_why_at_once(stub: Stub) -> None:
    session = await drive(stub, agent(BASH, policy=DENY), "go")
    await session.comes("status.idle end_turn")
    events = await session.log()
    assert await session.lines() == [*BEGINS, "1 agent.tool_use", "1 agent.tool_result denied", *ENDS]
    assert events[2].agent_tool_use.permission == agent_event_pb2.PERMISSION_DECISION_DENY
    assert results(events) == [("The tool bash may not be used here: its permission policy denies it.", True)]


async def test_prompt_then_allow(stub: Stub) -> None:
    session, (use,) = await waiting(stub, agent(BASH, policy=PROMPT))
    status = await session.status()
    (action,) = status.pending_actions
    assert (action.tool_use_id, action.name) == (use, "bash")
    assert action.kind == session_pb2.PENDING_ACTION_KIND_TOOL_CONFIRMATION
    assert status.status == session_pb2.SESSION_STATUS_RUNNING
    await session.send(decided(use, allow=True))
    await session.comes("status.idle end_turn")
    assert await session.lines() == [
        *BEGINS,
        "1 agent.tool_use",
        "1 user.tool_confirmation",
        "1 agent.tool_start",
        "1 agent.tool_result ran",
        *ENDS,
    ]


async def test_prompt_then_deny_gives_the_model_the_message(stub: Stub) -> None:
    session, (use,) = await waiting(stub, agent(BASH, policy=PROMPT))
    await session.send(decided(use, allow=False, why="Not on a Friday."))
    await session.comes("status.idle end_turn")
    assert await session.lines() == [
        *BEGINS,
        "1 agent.tool_use",
        "1 user.tool_confirmation",
        "1 agent.tool_result denied",
        *ENDS,
    ]
    assert results(await session.log()) == [("Not on a Friday.", True)]


async def test_a_tool_may_be_approved_under_a_default_that_asks(stub: Stub) -> None:
    policy = {**PROMPT, "tools": {"filesystem": "PERMISSION_MODE_AUTO_APPROVE"}}
    session = await drive(stub, agent(READ, policy=policy), "go")
    await session.comes("status.idle end_turn")
    assert await session.lines() == [*BEGINS, "1 agent.tool_use", "1 agent.tool_result ran", *ENDS]


async def test_a_tool_may_ask_under_a_default_that_denies(stub: Stub) -> None:
    policy = {**DENY, "tools": {"bash": "PERMISSION_MODE_PROMPT"}}
    session, (use,) = await waiting(stub, agent(BASH, policy=policy))
    await session.send(decided(use, allow=True))
    await session.comes("status.idle end_turn")
    assert "1 agent.tool_result ran" in await session.lines()


async def test_custom_tools_are_the_clients_own_decision(stub: Stub) -> None:
    definition = scripted({"tool_calls": [{"name": "deploy"}]}, {"text": "done"}, tools=["deploy"])
    json_format.ParseDict(DENY, definition.permission_policy)
    session = await drive(stub, definition, "go")
    await session.comes("agent.custom_tool_use")
    (action,) = (await session.status()).pending_actions
    assert action.kind == session_pb2.PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ('{"command": 3}', "The input does not fit the tool's schema at command: 3 is not of type 'string'."),
        ("{}", "The input does not fit the tool's schema: 'command' is a required property."),
        ('{"command": "echo", "colour": "red"}', "The input does not fit the tool's schema: Additional properties"),
    ],
)
async def test_an_input_that_does_not_fit_runs_nothing_and_asks_nobody(stub: Stub, given: str, why: str) -> None:
    session = await drive(stub, agent({**BASH, "input_json": given}, policy=PROMPT), "go")
    await session.comes("status.idle end_turn")
    assert await session.lines() == [*BEGINS, "1 agent.tool_use", "1 agent.tool_result denied", *ENDS]
    ((told, is_error),) = results(await session.log())
    assert told.startswith(why)
    assert is_error


async def test_a_tool_result_that_names_another_tool_calls_none(stub: Stub) -> None:
    call = {"name": "bash", "input_json": '{"command": "echo \'<tool_use>filesystem</tool_use>\'"}'}
    session = await drive(stub, agent(call), "go")
    await session.comes("status.idle end_turn")
    assert await session.lines() == [
        *BEGINS,
        "1 agent.tool_use",
        "1 agent.tool_start",
        "1 agent.tool_result ran",
        *ENDS,
    ]


async def test_after_the_deadline_the_turn_waits_on_and_each_decision_says_what_remains(stub: Stub) -> None:
    calls = [{**BASH, "input_json": f'{{"command": "echo {n}"}}'} for n in range(3)]
    session, (first, second, third) = await waiting(stub, agent(*calls, policy=PROMPT, **SOON), 3)
    await session.comes("status.idle requires_action")
    await session.send(decided(second, allow=True))
    await session.comes("status.idle requires_action")
    await session.send(decided(first, allow=False))
    idle = (await session.comes("status.idle requires_action"))[-1]
    assert list(idle.status_idle.stop_reason.requires_action.ids) == [third]
    await session.send(decided(third, allow=True))
    await session.comes("status.idle end_turn")
    waits = "1 status.idle requires_action"
    assert await session.lines() == [
        *BEGINS,
        *["1 agent.tool_use"] * 3,
        "1 error tool_timeout",
        waits,
        "1 user.tool_confirmation",
        "1 status.running",
        "1 agent.tool_start",
        "1 agent.tool_result ran",
        waits,
        "1 user.tool_confirmation",
        "1 agent.tool_result denied",
        waits,
        "1 user.tool_confirmation",
        "1 status.running",
        "1 agent.tool_start",
        "1 agent.tool_result ran",
        *ENDS,
    ]
    assert texts(await session.log()) == ["done"]


async def test_an_interrupt_closes_what_waits_for_a_decision(stub: Stub) -> None:
    session, (use,) = await waiting(stub, agent(BASH, policy=PROMPT))
    await session.interrupt()
    await session.comes("status.idle interrupted")
    refusal = await refused(session.send(decided(use, allow=True)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOOL_USE_CLOSED")
    assert (await session.lines())[3:] == [
        "1 user.interrupt",
        "1 agent.tool_result interrupted",
        "1 status.idle interrupted",
    ]


async def test_what_is_decided_is_decided_once(stub: Stub) -> None:
    calls = [BASH, {**BASH, "input_json": '{"command": "sleep 600"}'}]
    session, (first, second) = await waiting(stub, agent(*calls, policy=PROMPT), 2)
    await session.send(decided(second, allow=True))
    await session.comes("agent.tool_start")
    again = await refused(session.send(decided(second, allow=False)))
    assert (again.code, again.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOOL_USE_CLOSED")
    await session.send(decided(first, allow=False))
    await session.interrupt()
    await session.comes("status.idle interrupted")


async def test_a_confirmation_for_somebody_elses_call_is_refused(stub: Stub) -> None:
    session, _ = await waiting(stub, agent(BASH, policy=PROMPT))
    other, (use,) = await waiting(stub, agent(BASH, policy=PROMPT))
    custom = await drive(stub, scripted({"tool_calls": [{"name": "ask"}]}, tools=["ask"]), "go")
    (asked,) = [
        event.agent_custom_tool_use.custom_tool_use_id
        for event in await custom.comes("agent.custom_tool_use")
        if event.HasField("agent_custom_tool_use")
    ]
    for here, given in (
        (session, decided(use, allow=True)),
        (custom, decided(asked, allow=True)),
        (other, returned(use, "mine")),
        (other, decided("use_3_none", allow=True)),
    ):
        before = await here.lines()
        refusal = await refused(here.send(given))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "TOOL_USE_NOT_FOUND")
        assert await here.lines() == before


AT_CLIENT: dict[str, Any] = {"tool_host": "TOOL_HOST_CLIENT"}


async def test_a_tool_at_the_client_waits_for_its_result(stub: Stub) -> None:
    session, (use,) = await waiting(stub, agent(BASH, **AT_CLIENT))
    (action,) = (await session.status()).pending_actions
    assert action.kind == session_pb2.PENDING_ACTION_KIND_TOOL_RESULT
    event = (await session.log())[2]
    assert event.agent_tool_use.runs_at_client
    assert event.agent_tool_use.HasField("deadline")
    await session.send(returned(use, "from the client"))
    await session.comes("status.idle end_turn")
    assert await session.lines() == [*BEGINS, "1 agent.tool_use", "1 user.tool_result", *ENDS]


async def test_a_tool_at_the_client_that_asks_first_has_its_time_once_more(stub: Stub) -> None:
    session, (use,) = await waiting(stub, agent(BASH, policy=PROMPT, **AT_CLIENT))
    first = (await session.status()).pending_actions[0].deadline.ToNanoseconds()
    await session.send(decided(use, allow=True))
    (action,) = (await session.status()).pending_actions
    assert action.kind == session_pb2.PENDING_ACTION_KIND_TOOL_RESULT
    assert action.deadline.ToNanoseconds() > first
    await session.send(returned(use, "from the client", is_error=True))
    await session.comes("status.idle end_turn")
    assert await session.lines() == [
        *BEGINS,
        "1 agent.tool_use",
        "1 user.tool_confirmation",
        "1 user.tool_result",
        *ENDS,
    ]


async def test_while_paused_an_allowed_tool_waits_and_runs_at_the_resume(stub: Stub) -> None:
    session, (use,) = await waiting(stub, agent(BASH, policy=PROMPT))
    await session.pause()
    await session.send(decided(use, allow=True))
    assert (await session.lines())[-2:] == ["0 status.paused", "1 user.tool_confirmation"]
    await session.resume()
    await session.comes("status.idle end_turn")
    assert (await session.lines())[5:] == ["0 status.resumed", "1 agent.tool_start", "1 agent.tool_result ran", *ENDS]
