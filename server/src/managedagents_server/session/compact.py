"""Older turns, folded into a summary that the model makes: the log stays whole, and the request stays small."""

from collections.abc import Sequence

from managedagents.v1 import model_pb2, status_event_pb2
from managedagents_server.providers import statuses
from managedagents_server.providers.base import Answer, ModelFailure, ModelRequest, Said, Text
from managedagents_server.session import events, sizes, transcript
from managedagents_server.session.around import Around
from managedagents_server.session.conversation import Turn
from managedagents_server.session.frames import Event
from managedagents_server.session.interruptible import until_interrupted
from managedagents_server.session.plan import Ask
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
from managedagents_server.words import failpoints

_THRESHOLD = 0.8

_SMALL_WINDOW = 32_768
_SUMMARY_SHARE = 4
"""In a small window a summary may have a fourth of it: what it stands for was about half. In a large one the prompt
alone keeps it short: a bound might be above what the model can write, or be eaten up by its thoughts."""


def may_compact(session: Session) -> bool:
    """Whether an answer that says that the conversation is too long leads to a summary: once in a turn."""
    state, loaded = session.state, session.loaded_conversation
    if not session.definition.HasField("compaction") or state.too_long or state.compaction_failed:
        return False
    return loaded is not None and bool(loaded.before(state.turn))


async def compact(session: Session, around: Around, step: Ask) -> bool:
    """Folds the oldest turns where that is due before the turn's next request. False: it is not, and nothing was done.

    One request, like any other: an interrupt ends it without a trace, a failure is logged, and it is made again.
    """
    state, definition = session.state, session.definition
    if not definition.HasField("compaction") or state.compaction_failed:
        return False
    conversation = session.loaded_conversation
    if conversation is None:
        # The state may be another one by the time that it is read: decide again.
        await until_interrupted(session, session.conversation())
        return True
    window = window_of(session, around)
    size = conversation.tokens(step.turn, _beside(session))
    older = conversation.before(step.turn)
    limit = window * (definition.compaction.threshold or _THRESHOLD)
    if not older or not (state.must_compact or 0 < limit < size):
        return False
    attempt = state.failures + 1
    if step.running:
        session.append([events.running(step.turn, attempt)])
    # Half of the window leaves room for the summary; after a refusal half of that, and so on.
    room = min(window or size, size) // 2 >> max(0, state.too_long - 1)
    folded = _oldest(older, room - sizes.tokens_of_text(conversation.summary))
    end = await ended(session, _summarise(session, around, conversation.summary, folded, room, window))
    if end is None:
        return True
    failpoints.hit("model_answered")
    if isinstance(end, ModelFailure):
        await session.append(_failed(session, around, end, attempt))
    else:
        await session.append(_compacted(session, around, *end, folded[-1].turn, attempt, window))
    return True


def _beside(session: Session) -> int:
    specs = session.toolbox.specs
    tools = sum(sizes.tokens_of_text(spec.description + spec.input_schema_json) for spec in specs)
    return sizes.tokens_of_text(session.definition.system) + tools


def _oldest(older: Sequence[Turn], room: int) -> Sequence[Turn]:
    """As many as there is room for, at least one."""
    count = 0
    for turn in older:
        room -= turn.tokens
        if count and room < 0:
            break
        count += 1
    return older[:count]


async def _summarise(
    session: Session, around: Around, summary: str, turns: Sequence[Turn], room: int, window: int
) -> tuple[str, Answer]:
    """The summary, and the provider that it is from."""
    model = await model_of(session, around)
    settings = own_settings(session)
    if 0 < window < _SMALL_WINDOW:
        settings.max_tokens = window // _SUMMARY_SHARE
    request = ModelRequest(
        system=transcript.SYSTEM,
        conversation=[Said([events.text(transcript.prompt(summary, turns, room * sizes.BYTES_A_TOKEN))])],
        tools=(),
        settings=settings,
        finished=session.state.finished,
    )
    return model.provider, await model.ask(request, lambda _: None)


def _compacted(
    session: Session, around: Around, provider: str, answer: Answer, last_turn: int, attempt: int, window: int
) -> list[Event]:
    summary = "".join(part.text for part in answer.parts if isinstance(part, Text)).strip()
    if answer.stop_reason == model_pb2.MODEL_STOP_REASON_REFUSAL:
        declined = statuses.REFUSED.failure("the model declined to summarise older turns")
        return _failed(session, around, declined, attempt, answered=True)
    if not summary:
        empty = statuses.BROKEN_STREAM.failure("the model gave an empty summary")
        return _failed(session, around, empty, attempt, answered=True)
    if window:
        # One that filled the window would leave no room for the talk, for ever.
        summary = transcript.cut(summary, window // 2 * sizes.BYTES_A_TOKEN)
    event = beside_talk(session, "s", provider, answer, attempt)
    event.agent_context_compacted.summary = summary
    event.agent_context_compacted.last_turn = last_turn
    return too_much(session, around, [event], b"") or [event]


def _failed(
    session: Session, around: Around, failure: ModelFailure, attempt: int, *, answered: bool = False
) -> list[Event]:
    """A turn that need not be shortened goes on without the summary, where the model will not make it. One that must
    be, and could not, stays out of later requests; not where its provider was away: then it is shortened later."""
    retry = again(session, around, failure, attempt)
    if retry is not None:
        return retry
    is_away = failure.transient and not answered
    if session.state.must_compact or is_away:
        return given_up(session, failure, exclude=not is_away)
    goes_on = status_event_pb2.ERROR_NEXT_TURN_GOES_ON
    words = f"older turns could not be summarised: {failure.message}"
    return [events.error(session.state.turn, failure.code, words, goes_on)]
