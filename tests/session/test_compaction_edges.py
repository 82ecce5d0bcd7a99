"""Folding where it is hardest: nothing to fold, too much to fold, summaries that are of no use, and whoever comes in
between."""

from typing import Any

import pytest

from managedagents.v1 import agent_pb2
from support.calls import scripted
from support.driven import Driven, drive, texts, use_ids
from support.judge import Judge
from support.server import Stub
from support.stored import check_conversation

FULL = {"text": "hello", "usage": {"input_tokens": 850, "output_tokens": 10}}
SUMMARY = {"text": "The user's name is Ada.", "usage": {"input_tokens": 300, "output_tokens": 8}}
REFUSED = {"text": "no", "stop_reason": "MODEL_STOP_REASON_REFUSAL"}
TOO_LONG = {"error": {"code": 413}}
AWAY = {"error": {"code": 503}}
SLOW = {**SUMMARY, "delay": "30s"}
ANSWER = {"text": "Ada"}


def compacting(*responses: dict[str, Any], **more: Any) -> agent_pb2.AgentDefinition:
    return scripted(*responses, **{"compaction": {"window_tokens": "1000"}, **more})


async def lines_of(session: Driven, turn: int) -> list[str]:
    return [line.partition(" ")[2] for line in await session.lines() if line.startswith(f"{turn} ")]


async def judged(session: Driven, token_budget: int | None = None) -> None:
    log = await session.log()
    Judge(token_budget=token_budget).read(log)
    check_conversation(log)


async def test_turns_that_are_left_out_are_nothing_to_fold(stub: Stub) -> None:
    session = await drive(stub, compacting(TOO_LONG, TOO_LONG, SUMMARY), "much", "more")
    await session.comes("status.idle error")
    await session.comes("status.idle error")
    assert await lines_of(session, 2) == [
        "user.message",
        "status.running",
        "error model_context_too_long",
        "status.idle error",
    ]


async def test_a_turn_that_is_left_out_among_others_that_are_folded_stays_left_out(stub: Stub) -> None:
    rejected, long = {"error": {"code": 400}}, {"text": "word " * 600}
    definition = compacting({"text": "hi"}, rejected, long, SUMMARY, SUMMARY, ANSWER)
    session = await drive(stub, definition, "1", "2", "3", "4")
    for _ in range(4):
        await session.comes("status.idle")
    compacted = [event for event in await session.log() if event.HasField("agent_context_compacted")]
    assert [(event.turn, event.agent_context_compacted.last_turn) for event in compacted] == [(4, 1), (4, 3)]
    await judged(session)


async def test_a_turn_after_a_summary_that_was_refused_is_folded_anew(stub: Stub) -> None:
    session = await drive(stub, compacting(FULL, REFUSED, FULL, SUMMARY, ANSWER), "1", "2", "3")
    for _ in range(3):
        await session.comes("status.idle end_turn")
    await judged(session)
    assert await lines_of(session, 3) == [
        "user.message",
        "status.running",
        "agent.context_compacted",
        "agent.message",
        "status.idle end_turn",
    ]


async def test_what_is_too_long_after_its_summary_was_refused_is_not_asked_a_third_time(stub: Stub) -> None:
    session = await drive(stub, compacting(FULL, REFUSED, TOO_LONG, ANSWER), "1", "2")
    await session.comes("status.idle error")
    assert await lines_of(session, 2) == [
        "user.message",
        "status.running",
        "error model_rejected",
        "error model_context_too_long",
        "status.idle error",
    ]
    await judged(session)


async def test_a_refusal_as_too_long_folds_also_at_the_last_attempt(stub: Stub) -> None:
    session = await drive(stub, compacting({"text": "hello"}, AWAY, AWAY, TOO_LONG, SUMMARY, ANSWER), "1", "2")
    await session.comes("status.idle end_turn")
    events = await session.comes("status.idle")
    assert texts(events) == ["Ada"]
    await judged(session)


async def test_a_turn_whose_provider_was_away_when_it_had_to_be_folded_is_not_left_out(stub: Stub) -> None:
    away = {"error": {"code": 503, "times": 2}}
    session = await drive(stub, compacting({"text": "hello"}, TOO_LONG, away, SUMMARY, ANSWER), "1", "2")
    await session.comes("status.idle end_turn")
    events = await session.comes("status.idle retries_exhausted")
    assert not any(event.error.turn_excluded for event in events)


async def test_a_turn_goes_on_after_summaries_that_say_nothing(stub: Stub) -> None:
    session = await drive(stub, compacting(FULL, {"thinking": "hm"}, {}, {}, ANSWER), "1", "2")
    await session.comes("status.idle end_turn")
    assert texts(await session.comes("status.idle end_turn")) == ["Ada"]
    await judged(session)


async def test_a_summary_that_would_fill_the_window_loses_its_middle(stub: Stub) -> None:
    rambling = {"text": "begin " + "la " * 5_000 + "end"}
    session = await drive(stub, compacting(FULL, rambling, ANSWER), "1", "2", "3")
    for _ in range(3):
        await session.comes("status.idle end_turn")
    summary = next(event for event in await session.log() if event.HasField("agent_context_compacted"))
    kept = summary.agent_context_compacted.summary
    assert len(kept.encode()) < 1_600
    assert kept.startswith("begin")
    assert kept.endswith("end")


async def test_a_budget_that_a_summary_reaches_to_the_token_ends_its_turn(stub: Stub) -> None:
    session = await drive(stub, compacting(FULL, SUMMARY, ANSWER, token_budget=1168), "1", "2", "3")
    await session.comes("status.idle end_turn")
    events = await session.comes("status.idle token_budget")
    assert (await lines_of(session, 2))[2:] == ["agent.context_compacted", "status.idle token_budget"]
    usage = events[-1].status_idle.usage
    assert (usage.requests, usage.input_tokens, usage.output_tokens) == (1, 300, 8)
    await session.comes("status.idle token_budget")
    await judged(session, 1168)


async def test_an_interrupt_of_parked_tools_ends_a_turn_whose_budget_is_used_up(stub: Stub) -> None:
    calls = {"tool_calls": [{"name": "ask"}, {"name": "ask"}], "usage": {"input_tokens": 100}}
    session = await drive(stub, scripted(calls, tools=["ask"], token_budget=100), "1", "2")
    events = await session.comes("agent.custom_tool_use") + await session.comes("agent.custom_tool_use")
    await session.answer(use_ids(events)[1])
    await session.interrupt()
    await session.comes("status.idle interrupted")
    await session.comes("status.idle token_budget")
    await judged(session, 100)


async def test_in_mid_turn_only_older_turns_are_folded_and_no_use_loses_its_result(stub: Stub) -> None:
    calls = {"tool_calls": [{"name": "ask"}, {"name": "ask"}], "usage": {"input_tokens": 950}}
    session = await drive(stub, compacting(FULL, SUMMARY, calls, ANSWER, tools=["ask"], token_budget=10**6), "1", "2")
    await session.comes("status.idle end_turn")
    uses = use_ids(await session.comes("agent.custom_tool_use") + await session.comes("agent.custom_tool_use"))
    await session.send("3")
    for use in reversed(uses):
        await session.answer(use)
    await session.comes("status.idle end_turn")
    await judged(session)
    session = await drive(stub, compacting({"text": "hi"}, calls, SUMMARY, ANSWER, tools=["ask"]), "1", "2")
    await session.comes("status.idle end_turn")
    uses = use_ids(await session.comes("agent.custom_tool_use") + await session.comes("agent.custom_tool_use"))
    await session.send("3")
    for use in uses:
        await session.answer(use)
    await session.comes("status.idle end_turn")
    assert (await lines_of(session, 2))[-5:] == [
        "user.custom_tool_result",
        "user.custom_tool_result",
        "agent.context_compacted",
        "agent.message",
        "status.idle end_turn",
    ]
    await judged(session)


async def test_a_huge_first_turn_alone_is_folded_once_the_second_begins(stub: Stub) -> None:
    session = await drive(stub, compacting({"text": "x" * 50_000}, SUMMARY, ANSWER), "word " * 10_000, "2")
    await session.comes("status.idle end_turn")
    assert texts(await session.comes("status.idle end_turn")) == ["Ada"]
    await judged(session)


@pytest.mark.parametrize("large", [{"system": "s" * 3_000}, {"tools": ["t" * 3]}])
async def test_where_nothing_helps_each_turn_makes_one_summary_and_no_more(stub: Stub, large: dict[str, Any]) -> None:
    tiny = {"window_tokens": "256", "threshold": 0.001}
    session = await drive(stub, scripted({"text": "ok"}, compaction=tiny, **large), "1", "2", "3", "4")
    for _ in range(4):
        await session.comes("status.idle end_turn")
    compacted = [event.turn for event in await session.log() if event.HasField("agent_context_compacted")]
    assert compacted == [2, 3, 4]
    await judged(session)


async def test_a_summary_in_hand_at_a_pause_is_logged_and_nothing_more_until_it_is_over(stub: Stub) -> None:
    session = await drive(stub, compacting(FULL, {**SUMMARY, "delay": "0.3s"}, ANSWER), "1", "2")
    await session.comes("status.idle end_turn")
    await session.comes("status.running")
    await session.pause()
    await session.comes("agent.context_compacted")
    assert (await session.lines())[-1] == "2 agent.context_compacted"
    await session.resume()
    await session.comes("status.idle end_turn")
    await judged(session)


async def test_a_message_behind_an_interrupted_summary_is_folded_for_itself(stub: Stub) -> None:
    session = await drive(stub, compacting(FULL, {**SUMMARY, "delay": "0.4s"}, ANSWER), "1", "2", "3")
    await session.comes("status.idle end_turn")
    await session.comes("status.running")
    await session.interrupt()
    await session.comes("status.idle interrupted")
    await session.comes("status.idle end_turn")
    assert (await lines_of(session, 2))[1:] == ["status.running", "user.interrupt", "status.idle interrupted"]
    assert (await lines_of(session, 3))[1:] == [
        "status.running",
        "agent.context_compacted",
        "agent.message",
        "status.idle end_turn",
    ]
    await judged(session)


@pytest.mark.parametrize("how", ["archive", "delete"])
async def test_a_session_may_be_ended_in_the_middle_of_a_summary(stub: Stub, how: str) -> None:
    session = await drive(stub, compacting(FULL, SLOW), "1", "2")
    await session.comes("status.idle end_turn")
    await session.comes("status.running")
    if how == "delete":
        await session.delete()
    else:
        await session.archive()
        assert (await session.lines())[-1] == "0 status.archived"
        await judged(session)
