"""When the conversation nears the model's window, older turns are folded into a summary, and the session goes on."""

from typing import Any

import pytest

from managedagents.v1 import agent_pb2, status_event_pb2
from support.calls import scripted
from support.driven import Driven, drive, texts
from support.server import Stub

FULL = {"input_tokens": 850, "output_tokens": 10}
SUMMARY = {"text": "The user's name is Ada.", "usage": {"input_tokens": 300, "output_tokens": 8}}
TOO_LONG = {"error": {"code": 413}}


def compacting(*responses: dict[str, Any], **policy: Any) -> agent_pb2.AgentDefinition:
    return scripted(*responses, compaction={"window_tokens": "1000", **policy})


async def two_turns(stub: Stub, definition: agent_pb2.AgentDefinition) -> Driven:
    """The first turn is over, the second has begun."""
    session = await drive(stub, definition, "I am Ada")
    await session.comes("status.idle end_turn")
    await session.send("who am I?")
    return session


async def test_older_turns_are_folded_before_the_request_that_would_be_too_long(stub: Stub) -> None:
    session = await two_turns(stub, compacting({"text": "hello", "usage": FULL}, SUMMARY, {"text": "Ada"}))
    events = await session.comes("status.idle")
    assert (await session.lines())[4:] == [
        "5 user.message",
        "5 status.running",
        "5 agent.context_compacted",
        "5 agent.message",
        "5 status.idle end_turn",
    ]
    compacted = events[-3]
    assert compacted.agent_context_compacted.summary == "The user's name is Ada."
    assert compacted.agent_context_compacted.last_turn == 1
    assert texts(events) == ["Ada"]


async def test_what_the_summary_cost_stands_on_it_and_counts_for_its_turn(stub: Stub) -> None:
    session = await two_turns(stub, compacting({"text": "hello", "usage": FULL}, SUMMARY, {"text": "Ada"}))
    events = await session.comes("status.idle")
    response = events[-3].response
    assert (response.usage.input_tokens, response.usage.output_tokens, response.attempt) == (300, 8, 1)
    assert events[-3].response_id != events[-2].response_id
    usage = events[-1].status_idle.usage
    assert (usage.requests, usage.input_tokens, usage.output_tokens) == (2, 300, 8)
    assert (await session.status()).usage.input_tokens == 1150


@pytest.mark.parametrize(("threshold", "folds"), [(0.0, True), (0.85, True), (0.9, False)])
async def test_the_threshold_is_a_share_of_the_window(stub: Stub, threshold: float, folds: bool) -> None:
    definition = compacting({"text": "hello", "usage": FULL}, SUMMARY, threshold=threshold)
    session = await two_turns(stub, definition)
    await session.comes("status.idle")
    assert ("5 agent.context_compacted" in await session.lines()) == folds


async def test_without_a_policy_nothing_is_folded(stub: Stub) -> None:
    session = await two_turns(stub, scripted({"text": "hello", "usage": FULL}, TOO_LONG))
    await session.comes("status.idle")
    assert (await session.lines())[4:] == [
        "5 user.message",
        "5 status.running",
        "5 error model_context_too_long",
        "5 status.idle error",
    ]


async def test_a_refusal_as_too_long_folds_once_and_the_turn_goes_on(stub: Stub) -> None:
    session = await two_turns(stub, compacting({"text": "hello"}, TOO_LONG, SUMMARY, {"text": "Ada"}))
    events = await session.comes("status.idle")
    assert (await session.lines())[4:] == [
        "5 user.message",
        "5 status.running",
        "5 status.rescheduling 1 model_context_too_long",
        "5 status.running attempt 2",
        "5 agent.context_compacted",
        "5 agent.message",
        "5 status.idle end_turn",
    ]
    rescheduling = next(event.status_rescheduling for event in events if event.HasField("status_rescheduling"))
    assert rescheduling.delay.ToNanoseconds() == 0


async def test_a_second_refusal_as_too_long_ends_the_turn_and_leaves_it_out(stub: Stub) -> None:
    session = await two_turns(stub, compacting({"text": "hello"}, TOO_LONG, SUMMARY, TOO_LONG, {"text": "Ada"}))
    events = await session.comes("status.idle error")
    assert (await session.lines())[-3:] == [
        "5 agent.context_compacted",
        "5 error model_context_too_long",
        "5 status.idle error",
    ]
    assert events[-2].error.turn_excluded
    await session.send("still there?")
    assert texts(await session.comes("status.idle end_turn")) == ["Ada"]


async def test_a_first_turn_that_is_too_long_has_nothing_to_fold(stub: Stub) -> None:
    session = await drive(stub, compacting(TOO_LONG), "much")
    await session.comes("status.idle error")
    assert (await session.lines())[2:] == ["1 error model_context_too_long", "1 status.idle error"]


async def test_a_summary_that_is_too_long_itself_is_made_of_less(stub: Stub) -> None:
    session = await two_turns(stub, compacting({"text": "hello", "usage": FULL}, TOO_LONG, SUMMARY, {"text": "Ada"}))
    await session.comes("status.idle end_turn")
    assert (await session.lines())[6:] == [
        "5 status.rescheduling 1 model_context_too_long",
        "5 status.running attempt 2",
        "5 agent.context_compacted",
        "5 agent.message",
        "5 status.idle end_turn",
    ]


async def test_a_summary_that_fails_for_a_while_is_made_again(stub: Stub) -> None:
    failing = {"error": {"code": 503}}
    empty = {"text": ""}
    definition = compacting({"text": "hello", "usage": FULL}, failing, empty, SUMMARY, {"text": "Ada"})
    session = await two_turns(stub, definition)
    await session.comes("status.idle end_turn")
    assert (await session.lines())[6:] == [
        "5 status.rescheduling 1 model_unavailable",
        "5 status.running attempt 2",
        "5 status.rescheduling 2 model_broken_stream",
        "5 status.running attempt 3",
        "5 agent.context_compacted",
        "5 agent.message",
        "5 status.idle end_turn",
    ]


async def test_a_turn_goes_on_without_a_summary_that_the_model_will_not_make(stub: Stub) -> None:
    refused = {"text": "no", "stop_reason": "MODEL_STOP_REASON_REFUSAL"}
    session = await two_turns(stub, compacting({"text": "hello", "usage": FULL}, refused, {"text": "Ada"}))
    events = await session.comes("status.idle end_turn")
    assert (await session.lines())[6:] == [
        "5 error model_rejected",
        "5 agent.message",
        "5 status.idle end_turn",
    ]
    assert events[-3].error.next == status_event_pb2.ERROR_NEXT_TURN_GOES_ON
    assert texts(events) == ["Ada"]


async def test_an_interrupt_in_the_middle_of_a_summary_leaves_no_trace_of_it(stub: Stub) -> None:
    slow = {**SUMMARY, "delay": "30s"}
    session = await two_turns(stub, compacting({"text": "hello", "usage": FULL}, slow, {"text": "Ada"}))
    await session.comes("status.running")
    await session.interrupt()
    await session.comes("status.idle interrupted")
    assert (await session.lines())[4:] == [
        "5 user.message",
        "5 status.running",
        "5 user.interrupt",
        "5 status.idle interrupted",
    ]


async def test_a_long_talk_is_folded_again_and_again(stub: Stub) -> None:
    # Without a count from the provider the server's own estimate decides: three bytes a token.
    words = "word " * 100
    session = await drive(stub, scripted({"text": words}, compaction={"window_tokens": "1000"}), words)
    for _ in range(12):
        await session.comes("status.idle end_turn")
        await session.send(words)
    await session.comes("status.idle end_turn")
    compacted = [event for event in await session.log() if event.HasField("agent_context_compacted")]
    assert len(compacted) >= 3
    covered = [event.agent_context_compacted.last_turn for event in compacted]
    assert covered == sorted(set(covered))
    assert all(event.agent_context_compacted.last_turn < event.turn for event in compacted)
