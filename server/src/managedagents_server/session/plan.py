"""What a session does next. A decision from its state and the time alone, so that the loop, a restart and a test all
come to the same one."""

from dataclasses import dataclass

from managedagents.v1 import session_pb2
from managedagents_server.session.state import Next, State


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing, until somebody calls."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing, until somebody calls or this wall time (nanoseconds) comes."""

    until: int


@dataclass(frozen=True, slots=True)
class EndInterrupted:
    """Close what the interrupt left open, and this turn."""

    turn: int


@dataclass(frozen=True, slots=True)
class CloseUnknown:
    """A tool that must not run twice was begun, and whoever began it is gone."""


@dataclass(frozen=True, slots=True)
class RunTools:
    """Run the tools that the model asked for and that may run."""

    running: bool
    """status.running is logged first: the turn goes on."""


@dataclass(frozen=True, slots=True)
class GiveUpWaiting:
    """The answers did not come in time: the turn goes to requires_action."""

    told: bool
    """An earlier status.idle has said so already: this one says what remains."""


@dataclass(frozen=True, slots=True)
class EndToolRounds:
    """The turn reached its limit of tool rounds."""


@dataclass(frozen=True, slots=True)
class EndTokenBudget:
    """The session has used up its tokens: this turn ends."""

    turn: int
    running: bool
    """status.running is logged first: the turn has not begun."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the model, in this turn."""

    turn: int
    running: bool
    """status.running is logged first: the turn begins, goes on, or tries again."""


@dataclass(frozen=True, slots=True)
class Grade:
    """Ask the grader about the open turn."""

    running: bool
    """status.running is logged first: it tries again."""


Step = (
    Rest
    | Wait
    | EndInterrupted
    | CloseUnknown
    | RunTools
    | GiveUpWaiting
    | EndToolRounds
    | EndTokenBudget
    | Ask
    | Grade
)


def plan(state: State, now: int, no_deadline_before: int, tool_rounds: int, token_budget: int | None) -> Step:
    """`now` and `no_deadline_before` are wall times in nanoseconds. `token_budget`: None for no bound."""
    used_up = token_budget is not None and state.spent.tokens >= token_budget
    if state.terminal:
        return Rest()
    if state.interrupted:
        return EndInterrupted(next(iter(state.interrupted)))
    if any(use.next == Next.END for use in state.uses.values()):
        return CloseUnknown()
    if state.paused_seq:
        return Rest()
    if not state.turn:
        if not state.next_turn:
            return Rest()
        return (EndTokenBudget if used_up else Ask)(state.next_turn, running=True)
    if state.uses:
        return _with_uses(state, now, no_deadline_before)
    if state.retry_time > now:
        return Wait(state.retry_time)
    if used_up:
        return EndTokenBudget(state.turn, running=False)
    running = state.state != session_pb2.SESSION_STATUS_RUNNING
    if state.to_grade:
        return Grade(running)
    if state.rounds >= tool_rounds:
        return EndToolRounds()
    return Ask(state.turn, running)


def _with_uses(state: State, now: int, no_deadline_before: int) -> Step:
    running = state.state == session_pb2.SESSION_STATUS_RUNNING
    if any(use.next == Next.RUN for use in state.uses.values()):
        return RunTools(running=not running)
    if not running:
        return Rest()
    if all(use.overdue for use in state.uses.values()):
        return GiveUpWaiting(told=True)
    deadline = max(min(use.deadline for use in state.uses.values() if not use.overdue), no_deadline_before)
    return GiveUpWaiting(told=False) if deadline <= now else Wait(deadline)


def wake_time(step: Step) -> int | None:
    """What the log's index of wake-up times says of a session whose next step this is."""
    match step:
        case Rest():
            return None
        case Wait(until):
            return until
        case _:
            return 0
