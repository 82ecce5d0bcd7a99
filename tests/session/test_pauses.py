"""While a session is paused what is in hand is finished and nothing new starts."""

from pathlib import Path

from managedagents.v1 import session_pb2
from support.calls import scripted
from support.driven import drive, let_pass, use_ids
from support.server import Stub, running

TURN = ["status.running", "agent.message", "status.idle end_turn"]
PAUSED, RESUMED = "0 status.paused", "0 status.resumed"


def turn(seq: int, rest: list[str] = TURN) -> list[str]:
    return [f"{seq} {line}" for line in rest]


async def test_a_message_to_a_paused_session_is_taken_and_waits(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "a"}))
    answer = await session.pause()
    await session.send("hi")
    await let_pass(stub, 0.05)
    assert (answer.seq, answer.status) == (1, session_pb2.SESSION_STATUS_PAUSED)
    assert await session.lines() == [PAUSED, "2 user.message"]
    status = await session.status()
    assert (status.status, status.state) == (
        session_pb2.SESSION_STATUS_PAUSED,
        session_pb2.SESSION_STATUS_QUEUED,
    )
    assert status.paused
    resumed = await session.resume()
    await session.comes("status.idle end_turn")
    assert (resumed.seq, resumed.status) == (3, session_pb2.SESSION_STATUS_QUEUED)
    assert await session.lines() == [PAUSED, "2 user.message", RESUMED, *turn(2)]


async def test_pausing_a_paused_session_and_resuming_another_logs_nothing(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "a"}))
    assert (await session.resume()).seq == 0
    assert [(await session.pause()).seq for _ in range(2)] == [1, 1]
    assert [(await session.resume()).seq for _ in range(2)] == [2, 2]
    assert (await session.resume()).status == session_pb2.SESSION_STATUS_QUEUED
    assert await session.lines() == [PAUSED, RESUMED]


async def test_the_model_answer_in_hand_is_finished_and_the_next_message_waits(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "a", "delay": "0.2s"}, {"text": "b"}), "1", "2")
    await session.comes("status.running")
    await session.pause()
    await session.comes("status.idle end_turn")
    await let_pass(stub, 0.05)
    before = ["1 user.message", "2 user.message", "1 status.running", PAUSED, *turn(1)[1:]]
    assert await session.lines() == before
    await session.resume()
    await session.comes("status.idle end_turn")
    assert await session.lines() == [*before, RESUMED, *turn(2)]


async def test_a_turn_paused_between_two_model_answers_goes_on_where_it_stood(stub: Stub) -> None:
    calls = {"tool_calls": [{"name": "nothing"}], "delay": "0.2s"}
    session = await drive(stub, scripted(calls, {"text": "b"}), "1")
    await session.comes("status.running")
    await session.pause()
    await session.comes("agent.tool_result denied")
    await let_pass(stub, 0.05)
    before = ["1 user.message", "1 status.running", PAUSED, "1 agent.tool_use", "1 agent.tool_result denied"]
    assert await session.lines() == before
    await session.resume()
    await session.comes("status.idle end_turn")
    assert await session.lines() == [*before, RESUMED, *turn(1)[1:]]


async def test_an_answer_to_a_paused_session_is_taken_and_the_turn_goes_on_after_it(stub: Stub) -> None:
    session = await drive(stub, scripted({"tool_calls": [{"name": "ask"}]}, {"text": "b"}, tools=["ask"]), "1")
    (use,) = use_ids(await session.comes("agent.custom_tool_use"))
    await session.pause()
    await session.answer(use)
    await let_pass(stub, 0.05)
    before = [
        "1 user.message",
        "1 status.running",
        "1 agent.custom_tool_use",
        PAUSED,
        "1 user.custom_tool_result",
    ]
    assert await session.lines() == before
    await session.resume()
    await session.comes("status.idle end_turn")
    assert await session.lines() == [*before, RESUMED, *turn(1)[1:]]


async def test_a_deadline_stands_still_while_paused_and_moves_on_by_as_much(stub: Stub) -> None:
    definition = scripted({"tool_calls": [{"name": "ask"}]}, tools=["ask"], custom_tool_timeout="0.5s")
    session = await drive(stub, definition, "1")
    await session.comes("agent.custom_tool_use")
    await session.pause()
    deadline = (await session.status()).pending_actions[0].deadline.ToNanoseconds()
    await let_pass(stub, 0.5)
    waiting = ["1 user.message", "1 status.running", "1 agent.custom_tool_use", PAUSED]
    assert await session.lines() == waiting
    assert (await session.status()).pending_actions[0].deadline.ToNanoseconds() == deadline
    await session.resume()
    given_up = (await session.comes("error tool_timeout"))[-1].create_time.ToNanoseconds()
    resumed = (await session.log())[4]
    moved_to = deadline + resumed.status_resumed.paused_for.ToNanoseconds()
    assert resumed.status_resumed.paused_for.ToNanoseconds() >= 500_000_000
    assert given_up >= moved_to
    await session.comes("status.idle requires_action")
    after = [RESUMED, "1 error tool_timeout", "1 status.idle requires_action"]
    assert await session.lines() == [*waiting, *after]


async def test_a_use_that_is_logged_while_paused_waits_its_full_time_after_it(stub: Stub) -> None:
    calls = {"tool_calls": [{"name": "ask"}], "delay": "0.1s"}
    session = await drive(stub, scripted(calls, tools=["ask"], custom_tool_timeout="0.2s"), "1")
    await session.comes("status.running")
    await session.pause()
    await session.comes("agent.custom_tool_use")
    await let_pass(stub, 0.2)
    assert (await session.lines())[2:] == [PAUSED, "1 agent.custom_tool_use"]
    await session.resume()
    *_, resumed, error, _ = await session.comes("status.idle requires_action")
    assert error.create_time.ToNanoseconds() - resumed.create_time.ToNanoseconds() >= 200_000_000


async def test_a_backoff_stands_still_while_paused(stub: Stub) -> None:
    failing = {"error": {"code": 429, "retry_after": "0.5s"}}
    session = await drive(stub, scripted(failing, {"text": "a"}), "1")
    rescheduling = (await session.comes("status.rescheduling"))[-1]
    await session.pause()
    await let_pass(stub, 0.6)
    before = ["1 user.message", "1 status.running", "1 status.rescheduling 1 model_rate_limited", PAUSED]
    assert await session.lines() == before
    await session.resume()
    *_, resumed, again, _, _ = await session.comes("status.idle end_turn")
    assert await session.lines() == [*before, RESUMED, "1 status.running attempt 2", *turn(1)[1:]]
    due = rescheduling.status_rescheduling.wake_time.ToNanoseconds()
    due += resumed.status_resumed.paused_for.ToNanoseconds()
    assert again.create_time.ToNanoseconds() >= due


async def test_answers_in_requires_action_are_taken_while_paused_and_the_turn_goes_on_after_it(stub: Stub) -> None:
    calls = {"tool_calls": [{"name": "ask"}, {"name": "ask"}]}
    definition = scripted(calls, {"text": "b"}, tools=["ask"], custom_tool_timeout="0.05s")
    session = await drive(stub, definition, "1")
    uses = use_ids(await session.comes("status.idle requires_action"))
    await session.pause()
    for use in uses:
        await session.answer(use)
    await let_pass(stub, 0.05)
    assert "1 agent.message" not in await session.lines()
    await session.resume()
    await session.comes("status.idle end_turn")
    assert (await session.lines())[-4:] == [RESUMED, *turn(1)]


async def test_a_turn_that_waits_for_its_slot_does_not_start_once_its_session_is_paused(tmp_path: Path) -> None:
    flags = ("--limit", "max_concurrent_turns=1", "--limit", "deadline_grace=0")
    async with running(tmp_path / "log.db", *flags) as server, server.channel() as channel:
        stub = Stub(channel)
        busy = await drive(stub, scripted({"text": "a", "delay": "600s"}), "hold the only slot")
        await busy.comes("status.running")
        waiting = await drive(stub, scripted({"text": "b"}), "1")
        await waiting.pause()
        await busy.interrupt()
        await let_pass(stub, 0.05)
        assert await waiting.lines() == ["1 user.message", PAUSED]
        await waiting.resume()
        await waiting.comes("status.idle end_turn")
        assert await waiting.lines() == ["1 user.message", PAUSED, RESUMED, *turn(1)]
