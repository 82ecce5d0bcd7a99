"""One model request of a turn: asking, and logging what became of it."""

import asyncio
from asyncio import Future
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from managedagents.v1 import status_event_pb2
from managedagents_server.providers.base import Answer, Delta, ModelFailure, ModelRequest, ToolCall, Verbatim
from managedagents_server.session import events, mcp
from managedagents_server.session.around import Around
from managedagents_server.session.compact import may_compact
from managedagents_server.session.frames import Event
from managedagents_server.session.live import LiveEnd, LiveResponse
from managedagents_server.session.plan import Ask
from managedagents_server.session.request import TOO_LONG, again, ended, given_up, model_of, too_much
from managedagents_server.session.session import Session
from managedagents_server.session.toolbox import Mcp, Toolbox, why_not
from managedagents_server.tools import SkillError
from managedagents_server.words import failpoints

TOOL_USES = frozenset({"agent_custom_tool_use", "agent_tool_use", "agent_mcp_tool_use"})


async def ask(session: Session, around: Around, step: Ask) -> None:
    """Asks once. An interrupt ends it without a trace: the next step closes the turn."""
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
        end = await ended(session, _request(session, around, on_delta))
        if end is None:
            return
        failpoints.hit("model_answered")
        live.closed = True
        if isinstance(end, ModelFailure):
            logged = session.append(_failed(session, around, end, attempt))
        else:
            logged = _append_answer(session, around, end, live)
        await logged
        if not isinstance(end, ModelFailure):
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


@dataclass(frozen=True, slots=True)
class _Answered:
    provider: str
    answer: Answer
    denials: Sequence[str]
    """For each tool call, why it is not to run. Empty: it may."""


async def _request(session: Session, around: Around, on_delta: Callable[[Delta], None]) -> _Answered:
    definition = session.definition
    model = await model_of(session, around)
    conversation = await session.conversation()
    try:
        system = await around.tools.system(definition)
        await mcp.refresh(session, around)
    except SkillError as fault:
        raise ModelFailure(status_event_pb2.ERROR_CODE_TOOL_UNAVAILABLE, str(fault), transient=False) from None
    mcp.tell(session)
    toolbox = session.toolbox
    request = ModelRequest(
        system=system,
        conversation=conversation.items,
        tools=toolbox.specs,
        settings=definition.model_settings,
        finished=session.state.finished,
    )
    answer = await model.ask(request, on_delta)
    return _Answered(model.provider, answer, await _denials(toolbox, answer))


async def _denials(toolbox: Toolbox, answer: Answer) -> Sequence[str]:
    calls = [
        (part.name, part.input_json, toolbox.get(part.name)) for part in answer.parts if isinstance(part, ToolCall)
    ]
    if any(isinstance(entry, Mcp) for _, _, entry in calls):
        # Its schema is a server's, and may take its time.
        return await asyncio.to_thread(lambda: [why_not(*call) for call in calls])
    return [why_not(*call) for call in calls]


def _append_answer(session: Session, around: Around, answered: _Answered, live: LiveResponse) -> Future[None]:
    state, answer, provider = session.state, answered.answer, answered.provider
    definition = session.definition
    timeout = around.limits.custom_tool_timeout
    if definition.HasField("custom_tool_timeout"):
        timeout = definition.custom_tool_timeout.ToNanoseconds() / 1e9
    produced = events.response(
        state,
        answer,
        provider,
        response_id=live.response_id,
        attempt=live.attempt,
        deadline=around.clock.wall() + int(timeout * 1e9),
        toolbox=session.toolbox,
        denials=answered.denials,
    )
    end = too_much(session, around, produced, answer.verbatim or b"")
    if end is not None:
        return session.append(end)
    if not any(event.WhichOneof("payload") in TOOL_USES for event in produced):
        end_of_turn = events.end_of(answer)
        is_graded = state.towards is not None and end_of_turn.HasField("end_turn") and not state.next_turn
        if not is_graded:
            usage = state.turn_spent.plus(answer.usage).message()
            produced.append(events.idle(state.turn, end_of_turn, usage))
    return session.append(produced, verbatim=None if answer.verbatim is None else Verbatim(provider, answer.verbatim))


def _failed(session: Session, around: Around, failure: ModelFailure, attempt: int) -> list[Event]:
    if failure.code != TOO_LONG:
        return again(session, around, failure, attempt) or given_up(session, failure)
    if not may_compact(session):
        return given_up(session, failure)
    # However many attempts that were, and with nothing to wait for: what comes next is another request.
    return [events.rescheduling(session.state.turn, failure, attempt, 0.0, around.clock.wall())]
