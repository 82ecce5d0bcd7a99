"""What comes next follows from the state and the time alone."""

from collections.abc import Callable
from typing import Any

import pytest

from managedagents.v1 import session_pb2
from managedagents_server.session.plan import (
    Ask,
    CloseUnknown,
    EndInterrupted,
    EndTokenBudget,
    EndToolRounds,
    GiveUpWaiting,
    Grade,
    Rest,
    RunTools,
    Step,
    Wait,
    plan,
    wake_time,
)
from managedagents_server.session.state import Next, OpenUse, Outcome, Spent, State

IDLE = session_pb2.SESSION_STATUS_IDLE
RUNNING = session_pb2.SESSION_STATUS_RUNNING
RESCHEDULING = session_pb2.SESSION_STATUS_RESCHEDULING
ARCHIVED = session_pb2.SESSION_STATUS_ARCHIVED
COMPLETED = session_pb2.SESSION_STATUS_COMPLETED
FAILED = session_pb2.SESSION_STATUS_FAILED

NOW = 1000
ROUNDS = 3


def parked(*deadlines: int, state: int = RUNNING, **more: Any) -> State:
    """Waits in turn 1 for as many answers."""
    uses = {f"use_{n}": OpenUse("a", 2 + n, Next.CUSTOM_RESULT, deadline) for n, deadline in enumerate(deadlines)}
    return State(state=state, turn=1, uses=uses, rounds=1, **more)


def with_uses(*due: Next, state: int = RUNNING, overdue: bool = False) -> State:
    uses = {f"use_{n}": OpenUse("a", 2 + n, next_, NOW + 9, overdue=overdue) for n, next_ in enumerate(due)}
    return State(state=state, turn=1, uses=uses, rounds=1)


def at_work(state: int = RUNNING, **more: Any) -> State:
    return State(state=state, turn=1, **more)


def to_grade(state: int = RUNNING, **more: Any) -> State:
    return at_work(state, outcome=Outcome(1, 3), to_grade=True, **more)


def further(verdict: int) -> Outcome:
    return Outcome(1, 3, judged=1, further=verdict)


TABLE: list[tuple[str, State, Step]] = [
    ("a new session", State(), Rest()),
    ("a message", State(queue=[1, 2]), Ask(1, running=True)),
    ("a message after a turn", State(state=IDLE, queue=[7]), Ask(7, running=True)),
    ("an idle session", State(state=IDLE), Rest()),
    ("a turn that began", at_work(queue=[5]), Ask(1, running=False)),
    ("a turn whose uses are all answered", at_work(rounds=1), Ask(1, running=False)),
    ("a turn that went on before the tool rounds were used up", at_work(rounds=ROUNDS - 1), Ask(1, running=False)),
    ("a turn that used up its tool rounds", at_work(rounds=ROUNDS), EndToolRounds()),
    ("a parked turn", parked(NOW + 5, NOW + 3), Wait(NOW + 3)),
    ("a parked turn with a queue", parked(NOW + 5, queue=[9]), Wait(NOW + 5)),
    ("a parked turn at its deadline", parked(NOW), GiveUpWaiting(told=False)),
    ("a parked turn of which one use is late", parked(NOW + 5, NOW - 5), GiveUpWaiting(told=False)),
    ("a turn in requires_action", parked(NOW - 5, state=IDLE), Rest()),
    ("a tool that may run", with_uses(Next.RUN), RunTools(running=False)),
    ("a tool that may run beside one that waits", with_uses(Next.CONFIRMATION, Next.RUN), RunTools(running=False)),
    ("a tool that is allowed in requires_action", with_uses(Next.RUN, state=IDLE), RunTools(running=True)),
    ("a tool that was begun by a server that is gone", with_uses(Next.END, Next.RUN), CloseUnknown()),
    ("what remains when another has run", with_uses(Next.CONFIRMATION, overdue=True), GiveUpWaiting(told=True)),
    ("a tool that waits for a decision", with_uses(Next.CONFIRMATION), Wait(NOW + 9)),
    ("a tool that waits for a decision in requires_action", with_uses(Next.CONFIRMATION, state=IDLE), Rest()),
    ("a turn in requires_action with a queue", parked(NOW - 5, state=IDLE, queue=[9]), Rest()),
    ("the last answer in requires_action", at_work(IDLE, rounds=1), Ask(1, running=True)),
    ("the last answer, with no rounds left", at_work(IDLE, rounds=ROUNDS), EndToolRounds()),
    ("a backoff", at_work(RESCHEDULING, failures=1, retry_time=NOW + 9), Wait(NOW + 9)),
    ("a backoff that is over", at_work(RESCHEDULING, failures=1, retry_time=NOW), Ask(1, running=True)),
    ("an interrupt at rest", State(state=IDLE, interrupted={4: 0}), EndInterrupted(4)),
    ("an interrupt of a turn", at_work(interrupted={1: 0}), EndInterrupted(1)),
    ("an interrupt of a parked turn", parked(NOW + 5, interrupted={1: 0}), EndInterrupted(1)),
    ("an interrupt of requires_action", parked(NOW - 5, state=IDLE, interrupted={1: 0}), EndInterrupted(1)),
    ("an interrupt of a backoff", at_work(RESCHEDULING, retry_time=NOW + 9, interrupted={1: 0}), EndInterrupted(1)),
    ("an interrupt with a queue", State(state=IDLE, queue=[3], interrupted={4: 0}), EndInterrupted(4)),
    ("an outcome", State(queue=[1], outcome=Outcome(1, 3)), Ask(1, running=True)),
    ("a turn that is done", to_grade(), Grade(running=False)),
    ("a turn that is done, with a queue", to_grade(queue=[9]), Grade(running=False)),
    ("a turn that is done in its last tool round", to_grade(rounds=ROUNDS), Grade(running=False)),
    ("a backoff of the grader", to_grade(RESCHEDULING, failures=1, retry_time=NOW + 9), Wait(NOW + 9)),
    ("a backoff of the grader that is over", to_grade(RESCHEDULING, failures=1, retry_time=NOW), Grade(running=True)),
    ("an interrupt of the grader", to_grade(interrupted={1: 0}), EndInterrupted(1)),
    ("a further turn", State(state=RUNNING, outcome=further(5)), Ask(5, running=True)),
    (
        "a further turn and an older message",
        State(state=RUNNING, queue=[4, 6], outcome=further(5)),
        Ask(4, running=True),
    ),
    ("a further turn and a younger message", State(state=RUNNING, queue=[6], outcome=further(5)), Ask(5, running=True)),
    ("an interrupt before a further turn", State(outcome=further(5), interrupted={6: 0}), EndInterrupted(6)),
    ("two interrupts", State(state=IDLE, interrupted={4: 0, 5: 0}), EndInterrupted(4)),
]
PAUSED: list[tuple[str, State, Step]] = [
    ("a paused queue", State(queue=[2], paused_seq=1), Rest()),
    ("a paused turn", at_work(paused_seq=4), Rest()),
    ("a paused parked turn beyond its deadline", parked(NOW - 5, paused_seq=4), Rest()),
    ("a paused backoff", at_work(RESCHEDULING, retry_time=NOW - 5, paused_seq=4), Rest()),
    ("a paused turn without rounds", at_work(rounds=ROUNDS, paused_seq=4), Rest()),
    ("a paused turn that is done", to_grade(paused_seq=4), Rest()),
    ("a paused session before a further turn", State(state=RUNNING, outcome=further(5), paused_seq=6), Rest()),
    ("an interrupt while paused", parked(NOW + 5, paused_seq=4, interrupted={1: 0}), EndInterrupted(1)),
]


def named(table: list[tuple[str, State, Step]]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return pytest.mark.parametrize(
        ("state", "step"), [pytest.param(state, step, id=name) for name, state, step in table]
    )


def step_of(state: State, no_deadline_before: int = 0, token_budget: int | None = None) -> Step:
    return plan(state, NOW, no_deadline_before, ROUNDS, token_budget)


@named(TABLE)
def test_the_next_step(state: State, step: Step) -> None:
    assert step_of(state) == step


@named(PAUSED)
def test_while_paused_nothing_starts_but_an_interrupt_is_finished(state: State, step: Step) -> None:
    assert step_of(state) == step


@pytest.mark.parametrize("terminal", [ARCHIVED, COMPLETED, FAILED])
@named(TABLE + PAUSED)
def test_a_terminal_session_has_no_next_step(state: State, step: Step, terminal: int) -> None:
    before, state.state = state.state, terminal
    try:
        assert step_of(state) == Rest()
    finally:
        state.state = before


@pytest.mark.parametrize(
    ("deadline", "no_deadline_before", "step"),
    [
        (NOW - 500, NOW + 30, Wait(NOW + 30)),
        (NOW - 500, NOW, GiveUpWaiting(told=False)),
        (NOW + 50, NOW + 30, Wait(NOW + 50)),
    ],
)
def test_no_deadline_fires_in_the_grace_after_a_start(deadline: int, no_deadline_before: int, step: Step) -> None:
    assert step_of(parked(deadline), no_deadline_before) == step


def test_a_backoff_needs_no_grace() -> None:
    assert step_of(at_work(RESCHEDULING, retry_time=NOW - 5), NOW + 30) == Ask(1, running=True)


SPENT = Spent(input_tokens=60, output_tokens=40)


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (State(queue=[1], spent=SPENT), EndTokenBudget(1, running=True)),
        (at_work(spent=SPENT), EndTokenBudget(1, running=False)),
        (at_work(RESCHEDULING, retry_time=NOW - 5, spent=SPENT), EndTokenBudget(1, running=False)),
        (to_grade(spent=SPENT), EndTokenBudget(1, running=False)),
        (State(state=RUNNING, outcome=further(5), spent=SPENT), EndTokenBudget(5, running=True)),
        (parked(NOW + 50, spent=SPENT), Wait(NOW + 50)),
        (State(spent=SPENT), Rest()),
    ],
)
def test_a_used_up_budget_ends_what_would_ask_the_model_and_nothing_else(state: State, step: Step) -> None:
    assert step_of(state, token_budget=100) == step
    assert not isinstance(step_of(state, token_budget=101), EndTokenBudget)
    assert not isinstance(step_of(state), EndTokenBudget)


@pytest.mark.parametrize(
    ("step", "wake"),
    [
        (Rest(), None),
        (Wait(77), 77),
        (Ask(1, running=True), 0),
        (EndInterrupted(1), 0),
        (GiveUpWaiting(told=False), 0),
        (RunTools(running=True), 0),
        (CloseUnknown(), 0),
        (EndToolRounds(), 0),
        (EndTokenBudget(1, running=True), 0),
        (Grade(running=False), 0),
    ],
)
def test_what_has_something_to_do_is_woken_at_a_start(step: Step, wake: int | None) -> None:
    assert wake_time(step) == wake
