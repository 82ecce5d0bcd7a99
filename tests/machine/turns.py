"""What streams over the turns of a session at rest say of them, held against its log."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from support.calls import Event, kind
from support.driven import told as words
from support.followed_turn import Followed, followed
from support.judge import figures
from support.server import Stub

_TERMINAL = {"status.completed": "COMPLETED", "status.failed": "FAILED", "status.archived": "ARCHIVED"}


async def check_turns(stub: Stub, session_id: str, log: Sequence[Event]) -> None:
    """Each message's and each outcome's is over, and is told as it is logged."""
    for first in log:
        if kind(first) in ("user.message", "user.define_outcome"):
            async with asyncio.timeout(5):
                told = await followed(stub, session_id, first.seq)
            assert told.end == "TURN_OVER", f"turn {first.seq} is not over"
            assert told.events[0] == first
            assert told.result is not None
            assert figures(told.result.usage) == _spent(told.events)
            if kind(first) == "user.message":
                _check_message(told, log)
            else:
                _check_outcome(told, log)


def _check_message(told: Followed, log: Sequence[Event]) -> None:
    first, last = told.events[0], told.events[-1]
    logged = [event for event in log if event.turn == first.seq]
    if told.why == "OUTCOME_EVALUATED" and logged[-1].status_idle.stop_reason.HasField("max_outcome_iterations"):
        # The verdict ended the message's turn; that it was the last one ends the outcome.
        del logged[-1]
    assert told.events == logged, f"turn {first.seq} is {[*map(words, logged)]}, told is {[*map(words, told.events)]}"
    stopped = last.status_idle.stop_reason.WhichOneof("reason")
    if stopped not in (None, "requires_action"):
        assert told.why == stopped.upper()
    elif kind(last) == "outcome.evaluated":
        assert told.why == "OUTCOME_EVALUATED"
    elif first.seq in _dropped(log):
        assert told.why == "DROPPED"
    else:
        assert told.why == _TERMINAL[kind(log[-1])]


def _check_outcome(told: Followed, log: Sequence[Event]) -> None:
    first = told.events[0]
    turns = {first.seq, *(event.seq for event in told.events if event.HasField("outcome_evaluated"))}
    assert {event.turn for event in told.events if not event.HasField("outcome_evaluated")} <= turns
    if told.why == "DROPPED":
        assert first.seq in _dropped(log)
    elif told.why in _TERMINAL.values():
        assert told.why == _TERMINAL[kind(log[-1])]
    else:
        # The idle that ended it is its own, or that of a message's turn within it.
        stops = [event.status_idle.stop_reason.WhichOneof("reason") for event in log[told.events[-1].seq - 1 :]]
        assert told.why.lower() in stops


def _spent(events: Sequence[Event]) -> Counter[str]:
    spent: Counter[str] = Counter()
    for event in events:
        spent += figures(event.response.usage)
    return spent


def _dropped(log: Sequence[Event]) -> set[int]:
    return {seq for event in log for seq in event.status_idle.stop_reason.interrupted.dropped_seqs}
