"""Judging one iteration towards an outcome: a request of its own, and logging what became of it."""

from managedagents.v1 import model_pb2, status_event_pb2
from managedagents_server.providers import statuses
from managedagents_server.providers.base import Answer, Grading, ModelFailure, ModelRequest, Said, Text
from managedagents_server.session import events, sizes, verdict
from managedagents_server.session.around import Around
from managedagents_server.session.frames import Event
from managedagents_server.session.plan import Grade
from managedagents_server.session.request import (
    again,
    beside_talk,
    ended,
    given_up,
    model_of,
    own_settings,
    too_much,
    window_of,
)
from managedagents_server.session.session import Session
from managedagents_server.session.state import Outcome
from managedagents_server.words import failpoints

_UNKNOWN_WINDOW = 131_072
"""Tokens, where nobody says."""


async def grade(session: Session, around: Around, step: Grade) -> None:
    """Asks once. An interrupt ends it without a trace: the next step closes the turn."""
    state = session.state
    attempt = state.failures + 1
    if step.running:
        session.append([events.running(state.turn, attempt)])
    failpoints.hit("grader_asked")
    end = await ended(session, _request(session, around))
    if end is None:
        return
    failpoints.hit("grader_answered")
    if isinstance(end, ModelFailure):
        await session.append(_failed(session, around, end, attempt))
    else:
        await session.append(_evaluated(session, around, *end, attempt))


async def _request(session: Session, around: Around) -> tuple[str, Answer]:
    """The verdict, and the provider that it is from."""
    model = await model_of(session, around)
    conversation = await session.conversation()
    # Half of the window leaves room for the verdict and for what is not cut; after a refusal half of that, and so on.
    room = (window_of(session, around) or _UNKNOWN_WINDOW) // 2 >> session.state.too_long
    settings = own_settings(session)
    if not _outcome(session).schemaless:
        settings.response_schema_json = verdict.SCHEMA
    request = ModelRequest(
        system=verdict.SYSTEM,
        conversation=[Said([events.text(verdict.prompt(conversation, room * sizes.BYTES_A_TOKEN))])],
        tools=(),
        settings=settings,
        finished=session.state.finished,
        grading=Grading(_outcome(session).judged + 1, session.state.failures),
    )
    return model.provider, await model.ask(request, lambda _: None)


def _outcome(session: Session) -> Outcome:
    outcome = session.state.outcome
    if outcome is None:
        raise AssertionError("nothing is to be judged")
    return outcome


def _evaluated(session: Session, around: Around, provider: str, answer: Answer, attempt: int) -> list[Event]:
    if answer.stop_reason == model_pb2.MODEL_STOP_REASON_REFUSAL:
        return _failed(session, around, statuses.REFUSED.failure("the model declined"), attempt)
    try:
        given = verdict.read("".join(part.text for part in answer.parts if isinstance(part, Text)))
    except ModelFailure as failure:
        return _failed(session, around, failure, attempt)
    state, outcome = session.state, _outcome(session)
    event = beside_talk(session, "g", provider, answer, attempt)
    evaluated = status_event_pb2.OutcomeEvaluated(iteration=outcome.judged + 1, met=given.met, reason=given.reason)
    event.outcome_evaluated.CopyFrom(evaluated)
    logged = [event]
    if given.met and not state.next_turn:
        logged.append(Event(status_completed=status_event_pb2.StatusCompleted()))
    elif not given.met and evaluated.iteration >= outcome.most:
        reason = status_event_pb2.StopReason(max_outcome_iterations=status_event_pb2.MaxOutcomeIterations())
        logged.append(events.idle(state.turn, reason, state.turn_spent.plus(answer.usage).message()))
    return too_much(session, around, logged, b"") or logged


def _failed(session: Session, around: Around, failure: ModelFailure, attempt: int) -> list[Event]:
    retry = again(session, around, failure, attempt)
    if retry is not None:
        return retry
    is_rejected = failure.content_rejected and failure.code == status_event_pb2.ERROR_CODE_MODEL_REJECTED
    if is_rejected and not _outcome(session).schemaless and attempt < around.limits.provider_attempts:
        return [events.rescheduling(session.state.turn, failure, attempt, 0.0, around.clock.wall())]
    # Whatever the provider rejected, it is not the turn, which it has answered: it stays in later requests.
    words = f"the outcome could not be judged: {failure.message}"
    return given_up(session, ModelFailure(failure.code, words, transient=failure.transient))
