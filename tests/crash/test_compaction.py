"""A crash in the middle of a summary, and what was decided about folding before it, leave no seam in the log."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from managedagents_server.session.state import FOLD
from support.calls import scripted
from support.driven import Driven, drive, texts
from support.judge import Judge
from support.server import Server, Stub
from support.stored import check_conversation, stored
from support.stubborn import Stubborn

FULL = {"text": "hello", "usage": {"input_tokens": 900}}
SUMMARY = {"text": "what was said"}
ANSWER = {"text": "Ada"}
TOO_LONG = {"error": {"code": 413}}
FOLDED = ["2 agent.context_compacted", "2 agent.message", "2 status.idle end_turn"]

pytestmark = pytest.mark.long


async def begun(stub: Stub, *responses: dict[str, Any]) -> Driven:
    """The first turn is over, the second is waiting for its summary."""
    definition = scripted(*responses, compaction={"window_tokens": "1000"})
    session = await drive(stub, definition, "1", "2")
    await session.comes("status.idle end_turn")
    await session.comes("status.running")
    return session


async def back(server: Server, session: Driven) -> None:
    """A crash, a restart, and a channel that has found the server again."""
    await server.kill()
    await server.start()
    await Stubborn(session.stub).log(session.session_id)


async def judged(server: Server, session: Driven) -> None:
    _, log = stored(server.db, session.session_id)
    Judge().read(log)
    check_conversation(log)
    shown = await session.status()
    assert shown.usage.requests == sum(event.HasField("response") for event in log)


def lines_after(lines: list[str], line: str) -> list[str]:
    return lines[lines.index(line) + 1 :]


async def test_a_summary_that_was_in_hand_at_a_pause_and_a_crash_is_made_after_the_pause(
    server: Server, stub: Stub
) -> None:
    session = await begun(stub, FULL, {**SUMMARY, "delay": "1.5s"}, ANSWER)
    await session.pause()
    await back(server, session)
    assert (await session.lines())[-2:] == ["2 status.running", "0 status.paused"]
    await session.resume()
    await session.comes("status.idle end_turn")
    assert (await session.lines())[-5:] == ["0 status.paused", "0 status.resumed", *FOLDED]
    await judged(server, session)


async def test_an_interrupt_of_a_summary_is_finished_after_a_crash(server: Server, stub: Stub) -> None:
    session = await begun(stub, FULL, {**SUMMARY, "delay": "0.7s"}, ANSWER)
    await session.pause()
    await session.send("3")
    await session.interrupt()
    await back(server, session)
    await session.comes("status.idle interrupted")
    await session.resume()
    await session.comes("status.idle end_turn")
    assert [line for line in await session.lines() if line.endswith("agent.context_compacted")] != []
    await judged(server, session)


async def test_a_refusal_as_too_long_before_a_crash_is_followed_by_a_summary_after_it(
    server: Server, stub: Stub
) -> None:
    session = await begun(stub, {"text": "hello"}, TOO_LONG, {**SUMMARY, "delay": "0.7s"}, ANSWER)
    await session.comes("status.running attempt 2")
    await back(server, session)
    await session.comes("status.idle end_turn")
    assert lines_after(await session.lines(), "2 status.running attempt 2") == FOLDED
    await judged(server, session)


async def test_a_turn_that_goes_on_without_its_summary_does_so_after_a_crash(server: Server, stub: Stub) -> None:
    refused = {"text": "no", "stop_reason": "MODEL_STOP_REASON_REFUSAL"}
    session = await begun(stub, FULL, refused, {**ANSWER, "delay": "0.7s"}, {"text": "too many"})
    await session.comes("error")
    await back(server, session)
    assert texts(await session.comes("status.idle end_turn")) == ["Ada"]
    assert "2 agent.context_compacted" not in await session.lines()
    await judged(server, session)


async def test_what_a_summary_cost_still_counts_for_its_turn_after_a_crash(server: Server, stub: Stub) -> None:
    costly = {**SUMMARY, "usage": {"input_tokens": 70, "output_tokens": 7}}
    session = await begun(stub, FULL, costly, {**ANSWER, "delay": "0.7s"})
    await session.comes("agent.context_compacted")
    await back(server, session)
    usage = (await session.comes("status.idle end_turn"))[-1].status_idle.usage
    assert (usage.requests, usage.input_tokens, usage.output_tokens) == (2, 70, 7)
    await judged(server, session)


def to_an_older_fold(db: Path) -> None:
    """The checkpoints as a server wrote them that knew nothing of summaries and budgets."""
    new = {"must_compact", "too_long", "compaction_failed", "turn_spent"}
    with closing(sqlite3.connect(db, isolation_level=None)) as log:
        for session, checkpoint in log.execute("SELECT session, checkpoint FROM sessions").fetchall():
            values = {name: value for name, value in json.loads(checkpoint).items() if name not in new}
            older = json.dumps({**values, "fold": FOLD - 1})
            log.execute("UPDATE sessions SET checkpoint = ? WHERE session = ?", (older, session))


async def test_a_log_with_checkpoints_of_an_older_fold_goes_on_as_it_stands(server: Server, stub: Stub) -> None:
    session = await begun(stub, FULL, {**SUMMARY, "delay": "0.7s"}, ANSWER)
    resting = await drive(stub, scripted(FULL, ANSWER, token_budget=900), "1")
    await resting.comes("status.idle end_turn")
    await server.kill()
    to_an_older_fold(server.db)
    await server.start()
    await Stubborn(stub).log(session.session_id)
    await session.comes("status.idle end_turn")
    assert (await session.lines())[-3:] == FOLDED
    await judged(server, session)
    await resting.send("2")
    await resting.comes("status.idle token_budget")
    assert (await resting.status()).usage.input_tokens == 900
