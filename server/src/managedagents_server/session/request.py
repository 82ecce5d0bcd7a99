"""One model request, whatever it is for: what it is asked with, what it may end in, and what the log is told of an end
that is none of the good ones."""

import random
from collections.abc import Awaitable, Sequence

from managedagents.v1 import agent_event_pb2, agent_pb2, status_event_pb2
from managedagents_server.providers.base import Answer, Model, ModelFailure
from managedagents_server.session import events
from managedagents_server.session.around import Around
from managedagents_server.session.frames import Event
from managedagents_server.session.interruptible import T, until_interrupted
from managedagents_server.session.session import Session

ErrorCode = status_event_pb2.ErrorCode
TOO_LONG = status_event_pb2.ERROR_CODE_MODEL_CONTEXT_TOO_LONG


async def model_of(session: Session, around: Around) -> Model:
    """The session's model, with its key, ready to be asked. Raises ModelFailure."""
    return around.providers.model(session.definition.model, await around.keys.inline_key(session))


def own_settings(session: Session) -> agent_pb2.ModelSettings:
    """Those of a request that is no part of the conversation: without what is meant for its answers."""
    settings = agent_pb2.ModelSettings()
    settings.CopyFrom(session.definition.model_settings)
    for of_answers in ("max_tokens", "response_schema_json", "stop_sequences", "thinking_effort"):
        settings.ClearField(of_answers)
    return settings


def window_of(session: Session, around: Around) -> int:
    """In tokens; 0: not known. What the policy says is said of the agent's own model."""
    said, known = session.definition.compaction.window_tokens, around.providers.window(session.definition.model)
    return (known or said) if session.agent.own_model else (said or known)


async def ended(session: Session, work: Awaitable[T]) -> T | ModelFailure | None:
    """None: an interrupt cut it off, or came in the same moment as the end and was logged first. Then nothing is
    logged: the next step closes the turn."""
    try:
        end: T | ModelFailure | None = await until_interrupted(session, work)
    except ModelFailure as failure:
        end = failure
    return None if session.state.interrupted or session.state.terminal else end


def beside_talk(session: Session, kind: str, provider: str, answer: Answer, attempt: int) -> Event:
    """The event of a response that is no part of the conversation, without payload. `kind`: a letter, for the id."""
    turn = session.state.turn
    response = agent_event_pb2.ModelResponse(
        model=answer.model, provider=provider, attempt=attempt, stop_reason=answer.stop_reason, usage=answer.usage
    )
    return Event(turn=turn, response_id=f"rsp_{turn}_{kind}{session.state.head + 1}", response=response)


def again(session: Session, around: Around, failure: ModelFailure, attempt: int) -> list[Event] | None:
    """What is logged before the request is made again; None: it is not."""
    limits = around.limits
    if attempt >= limits.provider_attempts:
        return None
    if failure.code == TOO_LONG:
        # Nothing to wait for: the next attempt is another request.
        delay = 0.0
    elif failure.transient:
        delay = _delay(attempt, failure.retry_after, limits.retry_first, limits.retry_most)
    else:
        return None
    return [events.rescheduling(session.state.turn, failure, attempt, delay, around.clock.wall())]


def given_up(session: Session, failure: ModelFailure, *, exclude: bool = False) -> list[Event]:
    """How a failure ends the turn. `exclude`: the turn stays out of later requests, whatever the failure says."""
    state = session.state
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
            turn_excluded=exclude or failure.content_rejected,
        ),
        events.idle(state.turn, reason, state.turn_spent.message()),
    ]


def _delay(attempt: int, retry_after: float | None, first: float, most: float) -> float:
    """Seconds before the next attempt: doubling, with a jitter of a fifth so that many sessions of one provider do not
    come back together; what the provider asks for counts up to the cap."""
    backoff = min(most, first * 2.0 ** (attempt - 1)) * random.uniform(0.8, 1.2)
    return min(most, max(backoff, retry_after or 0.0))


def too_much(session: Session, around: Around, produced: Sequence[Event], verbatim: bytes) -> list[Event] | None:
    """How the turn ends because the log does not take what the response produced; None: it does."""
    limits, state = around.limits, session.state
    size = sum(event.ByteSize() for event in produced) + len(verbatim)
    if size > limits.response_bytes or any(event.ByteSize() > limits.event_bytes for event in produced):
        code: ErrorCode.ValueType = status_event_pb2.ERROR_CODE_RESPONSE_TOO_LARGE
        return _ended_by(session, code, f"the model's answer is too large ({size} bytes)")
    if (
        state.head + len(produced) > limits.session_events - limits.reserve_events
        or state.log_bytes + size > limits.session_bytes - limits.reserve_bytes
    ):
        code = status_event_pb2.ERROR_CODE_LOG_FULL
        return _ended_by(session, code, "the session's log has reached its limit; start a new session")
    return None


def _ended_by(session: Session, code: ErrorCode.ValueType, message: str) -> list[Event]:
    state = session.state
    reason = status_event_pb2.StopReason(error=status_event_pb2.StoppedByError())
    return [
        events.error(state.turn, code, message, status_event_pb2.ERROR_NEXT_TURN_ENDS),
        events.idle(state.turn, reason, state.turn_spent.message()),
    ]
