"""What a turn is made of, and how one follows the other."""

from typing import Any

import grpc
import pytest

from managedagents.v1 import agent_event_pb2, session_pb2
from support.calls import refused, scripted
from support.driven import Driven, drive, texts, use_ids
from support.server import Stub

MESSAGE = ["{0} status.running", "{0} agent.message", "{0} status.idle end_turn"]


def turn(seq: int) -> list[str]:
    return [line.format(seq) for line in MESSAGE]


async def test_a_message_is_one_turn_that_ends_with_its_own_status_idle(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "hello"}), "hi")
    events = await session.comes("status.idle end_turn")
    assert await session.lines() == ["1 user.message", *turn(1)]
    assert texts(events) == ["hello"]
    assert events[2].response.provider == "scripted"
    assert events[2].response.attempt == 1
    assert events[2].response_id


async def test_a_session_without_a_message_is_queued_and_its_log_is_empty(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "hello"}))
    status = await session.status()
    assert status.status == status.state == session_pb2.SESSION_STATUS_QUEUED
    assert (status.head_seq, status.turn, status.queued_messages) == (0, 0, 0)


async def test_messages_that_come_together_run_one_after_the_other_each_with_its_own_end(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "a"}, {"text": "b"}, {"text": "c"}), "one", "two", "three")
    for _ in range(3):
        await session.comes("status.idle end_turn")
    queued = ["1 user.message", "2 user.message", "3 user.message"]
    assert await session.lines() == [*queued, *turn(1), *turn(2), *turn(3)]
    assert texts(await session.log()) == ["a", "b", "c"]


async def test_a_message_in_mid_turn_waits_and_is_its_own_turn(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "a", "delay": "0.2s"}, {"text": "b"}), "one")
    await session.comes("status.running")
    seq = await session.send("two")
    status = await session.status()
    assert (status.state, status.turn, status.queued_messages) == (session_pb2.SESSION_STATUS_RUNNING, 1, 1)
    await session.comes("status.idle end_turn")
    await session.comes("status.idle end_turn")
    assert seq == 3
    assert await session.lines() == ["1 user.message", "1 status.running", "3 user.message", *turn(1)[1:], *turn(3)]


@pytest.mark.parametrize("stop_reason", ["max_tokens", "refusal"])
async def test_a_turn_says_how_the_model_stopped(stub: Stub, stop_reason: str) -> None:
    session = await drive(
        stub, scripted({"text": "so far", "stop_reason": f"MODEL_STOP_REASON_{stop_reason.upper()}"}), "hi"
    )
    await session.comes("status.idle")
    assert await session.lines() == [
        "1 user.message",
        "1 status.running",
        "1 agent.message",
        f"1 status.idle {stop_reason}",
    ]


async def test_an_empty_answer_is_a_message_without_content(stub: Stub) -> None:
    session = await drive(stub, scripted({}), "hi")
    events = await session.comes("status.idle end_turn")
    assert await session.lines() == ["1 user.message", *turn(1)]
    assert not events[2].agent_message.content


async def test_thinking_comes_before_what_is_said_of_the_same_response(stub: Stub) -> None:
    session = await drive(stub, scripted({"thinking": "hm", "text": "hello"}), "hi")
    events = await session.comes("status.idle end_turn")
    assert await session.lines() == [
        "1 user.message",
        "1 status.running",
        "1 agent.thinking",
        "1 agent.message",
        "1 status.idle end_turn",
    ]
    assert events[2].response_id == events[3].response_id
    assert [event.HasField("response") for event in events] == [False, False, True, False, False]


async def test_a_call_of_a_name_that_is_no_tool_is_denied_and_the_model_goes_on(stub: Stub) -> None:
    session = await drive(
        stub, scripted({"tool_calls": [{"name": "nothing", "input_json": '{"a":1}'}]}, {"text": "sorry"}), "hi"
    )
    events = await session.comes("status.idle end_turn")
    assert await session.lines() == [
        "1 user.message",
        "1 status.running",
        "1 agent.tool_use",
        "1 agent.tool_result denied",
        "1 agent.message",
        "1 status.idle end_turn",
    ]
    use, result = events[2].agent_tool_use, events[3].agent_tool_result
    assert (use.name, use.input_json, use.permission) == (
        "nothing",
        '{"a":1}',
        agent_event_pb2.PERMISSION_DECISION_DENY,
    )
    assert result.tool_use_id == use.tool_use_id
    assert result.is_error


async def test_a_call_without_a_tool_beside_a_real_one_leaves_only_the_real_one_open(stub: Stub) -> None:
    calls = {"tool_calls": [{"name": "nothing"}, {"name": "deploy"}]}
    session = await drive(stub, scripted(calls, {"text": "done"}, tools=["deploy"]), "hi")
    (use,) = use_ids(await session.comes("agent.tool_result denied"))
    assert [action.tool_use_id for action in (await session.status()).pending_actions] == [use]
    await session.answer(use)
    await session.comes("status.idle end_turn")
    assert await session.lines() == [
        "1 user.message",
        "1 status.running",
        "1 agent.tool_use",
        "1 agent.custom_tool_use",
        "1 agent.tool_result denied",
        "1 user.custom_tool_result",
        "1 agent.message",
        "1 status.idle end_turn",
    ]


async def test_a_turn_ends_at_its_limit_of_tool_rounds_and_the_next_one_starts_afresh(stub: Stub) -> None:
    session = await drive(stub, scripted({"tool_calls": [{"name": "nothing"}]}), "one", "two")
    await session.comes("status.idle max_tool_rounds")
    await session.comes("status.idle max_tool_rounds")
    rounds = ["{0} status.running", *["{0} agent.tool_use", "{0} agent.tool_result denied"] * 3]
    ends = [*rounds, "{0} status.idle max_tool_rounds"]
    assert await session.lines() == [
        "1 user.message",
        "2 user.message",
        *(line.format(1) for line in ends),
        *(line.format(2) for line in ends),
    ]


async def test_the_model_answers_by_position_and_repeats_its_last_answer(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "a"}, {"text": "b"}), "1", "2", "3", "4")
    for _ in range(4):
        await session.comes("status.idle end_turn")
    assert texts(await session.log()) == ["a", "b", "b", "b"]


async def test_a_full_queue_refuses_messages_and_says_when_to_come_back(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "a"}))
    await session.pause()
    for _ in range(5):
        await session.send("wait")
    said = await refused(session.send("one too many"))
    assert said.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert said.reason == "LIMIT_EXCEEDED"
    assert said.metadata == {"limit": "queued_messages", "value": "5"}
    assert said.retry_after
    assert (await session.status()).head_seq == 6
    await session.resume()
    for _ in range(5):
        await session.comes("status.idle end_turn")


def used(**tokens: Any) -> dict[str, Any]:
    return {"usage": {"input_tokens": "0", "output_tokens": "0", "requests": "1", **tokens}}


async def _usage_of_turn(session: Driven) -> tuple[int, int, int]:
    usage = (await session.comes("status.idle"))[-1].status_idle.usage
    return usage.input_tokens, usage.output_tokens, usage.requests


async def test_usage_is_summed_over_the_turn_and_over_the_session(stub: Stub) -> None:
    session = await drive(
        stub,
        scripted(
            {"tool_calls": [{"name": "nothing"}], **used(input_tokens="10", output_tokens="1")},
            {"text": "a", **used(input_tokens="20", output_tokens="2", cache_read_tokens="5")},
            {"text": "b", **used(input_tokens="30", output_tokens="3", reasoning_tokens="1", model_time="1.5s")},
        ),
        "one",
        "two",
    )
    assert await _usage_of_turn(session) == (30, 3, 2)
    assert await _usage_of_turn(session) == (30, 3, 1)
    usage = (await session.status()).usage
    assert (usage.input_tokens, usage.output_tokens, usage.requests) == (60, 6, 3)
    assert (usage.cache_read_tokens, usage.reasoning_tokens) == (5, 1)
    assert usage.model_time.ToMilliseconds() == 1500
