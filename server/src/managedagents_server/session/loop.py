"""The loop of one session: look at the state, do the next step, log what came of it; end when there is nothing to do.

A parked tool use, a backoff, a pause hold no loop: they are facts in the log, and whoever changes them starts it again.
"""

from contextlib import AsyncExitStack

from managedagents.v1 import status_event_pb2
from managedagents_server.session import events
from managedagents_server.session.around import Around
from managedagents_server.session.ask import ask
from managedagents_server.session.compact import compact
from managedagents_server.session.frames import Event
from managedagents_server.session.grade import grade
from managedagents_server.session.hands import run_tools
from managedagents_server.session.interruptible import until_interrupted
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
)
from managedagents_server.session.session import Session
from managedagents_server.session.state import Spent
from managedagents_server.words import failpoints


async def run(session: Session, around: Around) -> int | None:
    """Returns when there is nothing to do: the wall time (nanoseconds) at which there will be, or None."""
    definition = session.definition
    token_budget = definition.token_budget if definition.HasField("token_budget") else None
    async with AsyncExitStack() as held:
        slot = False
        while not around.draining:
            step = around.plan(session.state, token_budget)
            match step:
                case Rest():
                    return None
                case Wait(until):
                    failpoints.hit("waiting")
                    return until
                case Ask() | Grade() | RunTools() if not slot:
                    # The state may be another one by the time that there is a slot: decide again.
                    slot = await until_interrupted(session, _take_slot(held, session, around)) or False
                case RunTools():
                    await run_tools(session, around, step)
                case Ask():
                    if not await compact(session, around, step):
                        await ask(session, around, step)
                case Grade():
                    await grade(session, around, step)
                case _:
                    await session.append(_settling(session, step))
        return None


async def _take_slot(held: AsyncExitStack, session: Session, around: Around) -> bool:
    await held.enter_async_context(around.slots.held(around.providers.address(session.definition.model)))
    return True


def _settling(session: Session, step: Step) -> list[Event]:
    state = session.state
    match step:
        case EndInterrupted(turn):
            reason = status_event_pb2.StopReason(
                interrupted=status_event_pb2.Interrupted(dropped_seqs=events.dropped(state, turn))
            )
            usage = state.turn_spent if turn == state.turn else Spent()
            return [*events.closings(state, turn), events.idle(turn, reason, usage.message())]
        case CloseUnknown():
            return events.unknown_effects(state)
        case GiveUpWaiting(told=True):
            return [events.idle(state.turn, events.waits(state.waiting), state.turn_spent.message())]
        case GiveUpWaiting():
            error = events.error(
                state.turn,
                status_event_pb2.ERROR_CODE_TOOL_TIMEOUT,
                f"{len(state.uses)} of the turn's tool uses were not answered in time; they can still be answered",
                status_event_pb2.ERROR_NEXT_WAITS_FOR_ANSWERS,
            )
            return [error, events.idle(state.turn, events.waits(state.uses), state.turn_spent.message())]
        case EndToolRounds():
            reason = status_event_pb2.StopReason(max_tool_rounds=status_event_pb2.MaxToolRounds())
            return [events.idle(state.turn, reason, state.turn_spent.message())]
        case EndTokenBudget(turn, running):
            reason = status_event_pb2.StopReason(token_budget=status_event_pb2.TokenBudget())
            if running:
                return [events.running(turn, 1), events.idle(turn, reason, Spent().message())]
            return [events.idle(turn, reason, state.turn_spent.message())]
        case _:
            raise AssertionError(step)
