"""One model request: asking, and logging what became of it."""

import asyncio
import random
from collections.abc import Callable

from managedagents.v1 import status_event_pb2
from managedagents_server.providers.base import Answer, Delta, Model, ModelFailure, ModelRequest, ToolSpec, Verbatim
from managedagents_server.session import events
from managedagents_server.session.around import Around
from managedagents_server.session.frames import Event
from managedagents_server.session.live import LiveEnd, LiveResponse
from managedagents_server.session.plan import Ask
from managedagents_server.session.session import Session
from managedagents_server.words import failpoints

_ANY_OBJECT = '{"type":"object"}'


async def ask(session: Session, around: Around, step: Ask) -> None:
    """Asks once. An interrupt ends it without a trace: the next step closes the turn."""
    model = around.providers.model(session.definition)
    attempt = session.state.failures + 1
    begun = session.append([events.running(step.turn, attempt)]) if step.running else None
    live = LiveResponse(f"rsp_{step.turn}_{session.state.rounds + 1}", attempt)
    if begun is None:
        _show(session, around, live)
    else:
        # Nobody is told of a turn before the log has it.
        begun.add_done_callback(lambda _: _show(session, around, live))

    def on_delta(delta: Delta) -> None:
        live.add(delta)
        if session.live is live:
            around.log.ring_live(session.key)

    try:
        outcome = await _outcome(session, model, on_delta)
        if outcome is None or session.state.interrupted or session.state.terminal:
            # Cut off, or an interrupt came in the same moment as the answer and was logged first.
            return
        failpoints.hit("model_answered")
        live.closed = True
        if isinstance(outcome, ModelFailure):
            logged = session.append(_failed(session, around, outcome, attempt))
        else:
            logged = _append_answer(session, around, model.provider, outcome, live)
        await logged
        if isinstance(outcome, Answer):
            live.end = LiveEnd.LOGGED
    finally:
        if live.end is None:
            live.end = LiveEnd.DISCARDED
        if session.live is live:
            session.live = None
            around.log.ring_live(session.key)


def _show(session: Session, around: Around, live: LiveResponse) -> None:
    if not session.lost and live.end is None:
        session.live = live
        around.log.ring_live(session.key)


async def _outcome(session: Session, model: Model, on_delta: Callable[[Delta], None]) -> Answer | ModelFailure | None:
    """None: an interrupt cut it off."""
    definition = session.definition
    scope = asyncio.timeout(None)
    try:
        async with scope:
            session.scope = scope
            conversation = await session.conversation()
            request = ModelRequest(
                system=definition.system,
                conversation=conversation.items,
                tools=[
                    ToolSpec(tool.custom.name, tool.custom.description, tool.custom.input_schema_json or _ANY_OBJECT)
                    for tool in definition.tools
                ],
                settings=definition.model_settings,
                finished=session.state.finished,
            )
            return await model.ask(request, on_delta)
    except ModelFailure as failure:
        return failure
    except TimeoutError:
        if not scope.expired():
            raise
        return None
    finally:
        session.scope = None


def _append_answer(
    session: Session, around: Around, provider: str, answer: Answer, live: LiveResponse
) -> "asyncio.Future[None]":
    state = session.state
    definition = session.definition
    timeout = around.limits.custom_tool_timeout
    if definition.HasField("custom_tool_timeout"):
        timeout = definition.custom_tool_timeout.ToNanoseconds() / 1e9
    custom = {tool.custom.name for tool in definition.tools}
    produced = events.response(
        state,
        answer,
        provider,
        response_id=live.response_id,
        attempt=live.attempt,
        deadline=around.clock.wall() + int(timeout * 1e9),
        is_custom=custom.__contains__,
    )
    refusal = _too_much(session, around, produced, answer)
    if refusal is not None:
        return session.append(_ended_by(session, refusal))
    if not any(event.HasField("agent_custom_tool_use") or event.HasField("agent_tool_use") for event in produced):
        usage = state.turn_spent.plus(answer.usage).message()
        produced.append(events.idle(state.turn, events.end_of(answer), usage))
    return session.append(produced, verbatim=None if answer.verbatim is None else Verbatim(provider, answer.verbatim))


def _too_much(
    session: Session, around: Around, produced: list[Event], answer: Answer
) -> tuple[status_event_pb2.ErrorCode.ValueType, str] | None:
    """Why the log does not take what the response produced."""
    limits, state = around.limits, session.state
    size = sum(event.ByteSize() for event in produced) + len(answer.verbatim or b"")
    if size > limits.response_bytes or any(event.ByteSize() > limits.event_bytes for event in produced):
        return status_event_pb2.ERROR_CODE_RESPONSE_TOO_LARGE, f"the model's answer is too large ({size} bytes)"
    if (
        state.head + len(produced) > limits.session_events - limits.reserve_events
        or state.log_bytes + size > limits.session_bytes - limits.reserve_bytes
    ):
        return status_event_pb2.ERROR_CODE_LOG_FULL, "the session's log has reached its limit; start a new session"
    return None


def _ended_by(session: Session, why: tuple[status_event_pb2.ErrorCode.ValueType, str]) -> list[Event]:
    state = session.state
    reason = status_event_pb2.StopReason(error=status_event_pb2.StoppedByError())
    return [
        events.error(state.turn, *why, status_event_pb2.ERROR_NEXT_TURN_ENDS),
        events.idle(state.turn, reason, state.turn_spent.message()),
    ]


def _failed(session: Session, around: Around, failure: ModelFailure, attempt: int) -> list[Event]:
    state, limits = session.state, around.limits
    if failure.transient and attempt < limits.provider_attempts:
        delay = _delay(attempt, failure.retry_after, limits.retry_first, limits.retry_most)
        return [events.rescheduling(state.turn, failure, attempt, delay, around.clock.wall())]
    if failure.transient:
        reason = status_event_pb2.StopReason(retries_exhausted=status_event_pb2.RetriesExhausted())
    else:
        reason = status_event_pb2.StopReason(error=status_event_pb2.StoppedByError())
    return [
        events.error(
            state.turn,
            failure.code,
            failure.message,
            status_event_pb2.ERROR_NEXT_TURN_ENDS,
            turn_excluded=failure.content_rejected,
        ),
        events.idle(state.turn, reason, state.turn_spent.message()),
    ]


def _delay(attempt: int, retry_after: float | None, first: float, most: float) -> float:
    """Seconds before the next attempt: doubling, with a jitter of a fifth so that many sessions of one provider do not
    come back together; what the provider asks for counts up to the cap."""
    backoff = min(most, first * 2.0 ** (attempt - 1)) * random.uniform(0.8, 1.2)
    return min(most, max(backoff, retry_after or 0.0))
