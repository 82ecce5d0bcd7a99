"""The fold, over random logs that a session may have."""

import random
from collections.abc import Sequence

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from managedagents.v1 import (
    agent_event_pb2,
    content_pb2,
    event_pb2,
    model_pb2,
    session_pb2,
    status_event_pb2,
    user_event_pb2,
)
from managedagents_server.session.fold import apply
from managedagents_server.session.state import FOLD, State
from support.judge import Judge

Event = event_pb2.SessionEvent
SECOND = 1_000_000_000
EVENTS = 60
SIZE = 100

logs = st.integers(0, 2**32).map(lambda seed: Imagined(random.Random(seed)).log())
some = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def stamp(wall: int) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromNanoseconds(wall)
    return timestamp


def idle(turn: int, reason: status_event_pb2.StopReason) -> Event:
    return Event(turn=turn, status_idle=status_event_pb2.StatusIdle(stop_reason=reason))


def waits_for(turn: int, uses: Sequence[str]) -> Event:
    return idle(turn, status_event_pb2.StopReason(requires_action=status_event_pb2.RequiresAction(ids=uses)))


class Imagined:
    """A session that draws what happens next among what may happen. Where it stands it knows from the judge."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.judge = Judge()
        self.events: list[Event] = []
        self.now = 1_700_000_000 * SECOND
        self.interrupt: Event | None = None
        self.is_calm = rng.random() < 0.5
        """Its client sends little, so that outcomes come to their end."""

    def log(self) -> list[Event]:
        while len(self.events) < EVENTS and not self.judge.terminal:
            self.now += self.rng.randrange(10 * SECOND)
            for event in self.next():
                event.seq = len(self.events) + 1
                event.create_time.FromNanoseconds(self.now)
                begins = event.HasField("user_message") or event.HasField("user_define_outcome")
                if begins or (event.HasField("user_interrupt") and not event.turn):
                    event.turn = event.seq
                reason = event.status_idle.stop_reason
                if reason.HasField("max_outcome_iterations") or (
                    event.HasField("status_idle") and event.turn == self.judge.turn
                ):
                    for name, count in self.judge.turn_spent.items():
                        setattr(event.status_idle.usage, name, count)
                self.judge.read([event])
                self.events.append(event)
        return self.events

    def next(self) -> Sequence[Event]:
        judge, rng = self.judge, self.rng
        if self.interrupt is not None and rng.random() < 0.8:
            return self.ends_interrupted(self.interrupt)
        match rng.randrange(60 if self.is_calm else 12):
            case 0 | 1:
                if not judge.outcome and rng.random() < 0.4:
                    most = rng.randrange(1, 4)
                    return [Event(user_define_outcome=user_event_pb2.UserDefineOutcome(max_iterations=most))]
                return [Event(user_message=user_event_pb2.UserMessage(content=[content_pb2.Content()]))]
            case 2 if self.interrupt is None:
                drop = user_event_pb2.UserInterrupt(drop_queued=rng.random() < 0.5)
                self.interrupt = Event(turn=judge.turn, user_interrupt=drop)
                return [self.interrupt]
            case 3:
                return [self.pauses()]
            case 4 if rng.random() < 0.1:
                return [Event(status_archived=status_event_pb2.StatusArchived())]
        if self.interrupt is not None:
            return []
        if judge.uses:
            return self.waits()
        return self.runs()

    def ends_interrupted(self, interrupt: Event) -> list[Event]:
        self.interrupt = None
        below = interrupt.seq if interrupt.user_interrupt.drop_queued else 0
        dropped = [seq for seq in self.judge.queue if seq < below]
        interrupted = agent_event_pb2.TOOL_RESULT_CAUSE_INTERRUPTED
        closings = [
            Event(
                turn=interrupt.turn,
                agent_tool_result=agent_event_pb2.AgentToolResult(tool_use_id=use, cause=interrupted),
            )
            for use in self.judge.uses
        ]
        reason = status_event_pb2.StopReason(interrupted=status_event_pb2.Interrupted(dropped_seqs=dropped))
        return [*closings, idle(interrupt.turn, reason)]

    def pauses(self) -> Event:
        if not self.judge.paused:
            return Event(status_paused=status_event_pb2.StatusPaused())
        event = Event(status_resumed=status_event_pb2.StatusResumed())
        event.status_resumed.paused_for.FromNanoseconds(self.rng.randrange(SECOND))
        return event

    def waits(self) -> list[Event]:
        judge, turn = self.judge, self.judge.turn
        late = judge.state == session_pb2.SESSION_STATUS_IDLE
        if not late and not judge.paused and self.rng.random() < 0.3:
            waits = status_event_pb2.ERROR_NEXT_WAITS_FOR_ANSWERS
            error = status_event_pb2.ErrorEvent(code=status_event_pb2.ERROR_CODE_TOOL_TIMEOUT, next=waits)
            return [Event(turn=turn, error=error), waits_for(turn, judge.uses)]
        use = self.rng.choice(judge.uses)
        given = Event(turn=turn, user_custom_tool_result=user_event_pb2.UserCustomToolResult(custom_tool_use_id=use))
        remaining = [other for other in judge.uses if other != use]
        return [given, waits_for(turn, remaining)] if late and remaining else [given]

    def runs(self) -> list[Event]:
        judge = self.judge
        if judge.state == session_pb2.SESSION_STATUS_RUNNING and judge.turn:
            return self.answers()
        if judge.paused or not (judge.turn or judge.waits_for_its_turn):
            return []
        turn = judge.turn or judge.waits_for_its_turn[0]
        return [Event(turn=turn, status_running=status_event_pb2.StatusRunning(attempt=judge.failures + 1))]

    def answers(self) -> list[Event]:
        turn, seq = self.judge.turn, len(self.events) + 1
        usage = model_pb2.Usage(input_tokens=self.rng.randrange(9), output_tokens=self.rng.randrange(9), requests=1)
        response = agent_event_pb2.ModelResponse(usage=usage, attempt=self.judge.failures + 1)
        answer = Event(turn=turn, response_id=f"rsp_{seq}", response=response)
        older = self.judge.to_cover
        if self.judge.done and self.rng.random() < 0.8:
            return self.evaluates(answer)
        if self.judge.towards and not self.judge.done and self.rng.random() < 0.5:
            what = 0
        else:
            what = self.rng.randrange(1, 3) if self.judge.done else self.rng.randrange(5)
        match what:
            case 4 if older:
                answer.agent_context_compacted.summary = "what was said"
                answer.agent_context_compacted.last_turn = self.rng.choice(older)
                return [answer]
            case 0:
                answer.agent_message.SetInParent()
                if self.judge.towards and not self.judge.waits_for_its_turn:
                    return [answer]
                return [answer, idle(turn, status_event_pb2.StopReason(end_turn=status_event_pb2.EndTurn()))]
            case 1:
                wake_time = stamp(self.now + SECOND)
                again = status_event_pb2.StatusRescheduling(attempt=self.judge.failures + 1, wake_time=wake_time)
                return [Event(turn=turn, status_rescheduling=again)]
            case 2:
                error = status_event_pb2.ErrorEvent(
                    code=status_event_pb2.ERROR_CODE_MODEL_REJECTED, next=status_event_pb2.ERROR_NEXT_TURN_ENDS
                )
                return [
                    Event(turn=turn, error=error),
                    idle(turn, status_event_pb2.StopReason(error=status_event_pb2.StoppedByError())),
                ]
        uses = [Event(turn=turn, response_id=answer.response_id) for _ in range(self.rng.randrange(1, 4))]
        uses[0].response.CopyFrom(answer.response)
        for number, event in enumerate(uses):
            event.agent_custom_tool_use.custom_tool_use_id = f"use_{seq + number}"
            event.agent_custom_tool_use.deadline.CopyFrom(stamp(self.now + 5 * SECOND))
        return uses

    def evaluates(self, verdict: Event) -> list[Event]:
        judge, met = self.judge, self.rng.random() < 0.4
        verdict.outcome_evaluated.iteration, verdict.outcome_evaluated.met = judge.judged + 1, met
        if met and not judge.waits_for_its_turn:
            return [verdict, Event(status_completed=status_event_pb2.StatusCompleted())]
        if met or judge.judged + 1 < judge.iterations:
            return [verdict]
        reached = status_event_pb2.MaxOutcomeIterations()
        return [verdict, idle(verdict.turn, status_event_pb2.StopReason(max_outcome_iterations=reached))]


@given(logs)
@some
def test_a_checkpoint_gives_back_the_state_at_every_seq_and_goes_on_from_there(log: list[Event]) -> None:
    state = State()
    for event in log:
        reloaded = State.load(state.dump())
        assert reloaded == state
        apply(state, event, SIZE)
        apply(reloaded, event, SIZE)
        assert reloaded == state
    assert (state.head, state.log_bytes) == (len(log), SIZE * len(log))


@given(logs)
@some
def test_the_fold_and_the_contract_agree_at_every_seq(log: list[Event]) -> None:
    state, judge = State(), Judge()
    for event in log:
        apply(state, event, SIZE)
        judge.read([event])
        assert (state.state, bool(state.paused_seq), state.turn) == (judge.state, judge.paused, judge.turn)
        assert (state.queue, list(state.uses)) == (judge.queue, judge.uses)
        assert (state.to_grade, state.next_turn) == (judge.done, min(judge.waits_for_its_turn, default=0))
        assert (state.outcome is not None, state.towards is not None) == (bool(judge.outcome), judge.towards)
        assert state.terminal == judge.terminal


@given(logs)
@some
def test_usage_is_the_sum_of_what_the_responses_cost(log: list[Event]) -> None:
    state = State()
    failed = 0
    for event in log:
        # What the grader is asked moves the position of nothing else.
        failed += _failed(event) and not state.to_grade
        apply(state, event, SIZE)
    usages = [event.response.usage for event in log if event.HasField("response")]
    verdicts = sum(event.HasField("outcome_evaluated") for event in log)
    assert state.finished - failed == len(usages) - verdicts
    assert state.spent.requests == len(usages)
    assert state.spent.input_tokens == sum(usage.input_tokens for usage in usages)
    assert state.spent.output_tokens == sum(usage.output_tokens for usage in usages)


def _failed(event: Event) -> bool:
    return event.HasField("status_rescheduling") or event.error.code == status_event_pb2.ERROR_CODE_MODEL_REJECTED


@given(logs)
@some
def test_a_log_with_a_hole_is_no_log(log: list[Event]) -> None:
    state = State()
    for event in log[:-2]:
        apply(state, event, SIZE)
    if len(log) >= 2:
        with pytest.raises(ValueError, match="the log has seq"):
            apply(state, log[-1], SIZE)


def test_a_checkpoint_of_another_fold_is_thrown_away() -> None:
    assert State.load(State().dump().replace(f'"fold":{FOLD}', f'"fold":{FOLD + 1}')) is None
    assert State.load("") is None
