"""What a session takes from its client, and what it refuses. Decided on its state alone, before anything is written."""

from managedagents.v1 import agent_event_pb2, session_pb2, user_event_pb2
from managedagents_server.session import events
from managedagents_server.session.frames import Event
from managedagents_server.session.state import Next, State
from managedagents_server.words.errors import (
    LimitExceeded,
    OutcomeActive,
    RuntimeFault,
    SessionTerminal,
    ToolUseClosed,
    ToolUseNotFound,
)
from managedagents_server.words.limits import Limits


def must_live(state: State) -> RuntimeFault | None:
    if not state.terminal:
        return None
    status = session_pb2.SessionStatus.Name(session_pb2.SessionStatus.ValueType(state.state))
    short = status.removeprefix("SESSION_STATUS_")
    return SessionTerminal(f"the session is {short.lower()}", status=short)


def refusal(state: State, event: user_event_pb2.UserEvent, limits: Limits) -> RuntimeFault | None:
    """Why the event is not taken; None: it is. ToolUseClosed also stands for a use that never was."""
    dead = must_live(state)
    if dead is not None:
        return dead
    match event.WhichOneof("event"):
        case "user_message":
            return _no_room_for_message(state, event.ByteSize(), limits)
        case "user_define_outcome":
            return _one_at_a_time(state) or _no_room_for_message(state, event.ByteSize(), limits)
        case "user_custom_tool_result" | "user_tool_confirmation" | "user_tool_result" as kind:
            return _nobody_waits(state, answered(event), kind) or no_room(state, limits)
    return no_room(state, limits)


def answered(event: user_event_pb2.UserEvent) -> str:
    """The id of the tool use that the event is about. Empty: it is about none."""
    match event.WhichOneof("event"):
        case "user_custom_tool_result":
            return event.user_custom_tool_result.custom_tool_use_id
        case "user_tool_confirmation":
            return event.user_tool_confirmation.tool_use_id
        case "user_tool_result":
            return event.user_tool_result.tool_use_id
        case _:
            return ""


_ANSWERS = {
    "user_custom_tool_result": Next.CUSTOM_RESULT,
    "user_tool_confirmation": Next.CONFIRMATION,
    "user_tool_result": Next.RESULT,
}


def _nobody_waits(state: State, use_id: str, kind: str) -> RuntimeFault | None:
    """A confirmation that somebody else was faster with is closed as a result is."""
    use = state.uses.get(use_id)
    if use is None:
        return ToolUseClosed(f"the tool use {use_id} is closed", tool_use_id=use_id)
    if use.next == _ANSWERS[kind]:
        return None
    if kind == "user_tool_confirmation" and use.patience:
        return ToolUseClosed(f"the tool use {use_id} is decided", tool_use_id=use_id)
    name = kind.replace("_", ".", 1)
    return ToolUseNotFound(f"the tool use {use_id} does not wait for {name}", tool_use_id=use_id)


def _one_at_a_time(state: State) -> RuntimeFault | None:
    if state.outcome is None:
        return None
    seq = state.outcome.seq
    return OutcomeActive(f"the outcome of seq {seq} is not over; wait for its end, or interrupt it", seq=seq)


def _no_room_for_message(state: State, size: int, limits: Limits) -> RuntimeFault | None:
    if len(state.queue) >= limits.queued_messages:
        return LimitExceeded(
            f"{limits.queued_messages} messages are queued already",
            retry_after=1.0,
            limit="queued_messages",
            value=limits.queued_messages,
        )
    if state.head >= limits.session_events - limits.reserve_events:
        return _full("session_events", limits.session_events)
    if state.log_bytes + size > limits.session_bytes - limits.reserve_bytes:
        return _full("session_bytes", limits.session_bytes)
    return None


def no_room(state: State, limits: Limits) -> RuntimeFault | None:
    """For what the reserve is kept for. The last hundred events are the server's own, to end what is open."""
    if state.head >= limits.session_events - min(100, limits.reserve_events // 2):
        return _full("session_events", limits.session_events)
    if state.log_bytes >= limits.session_bytes:
        return _full("session_bytes", limits.session_bytes)
    return None


def _full(limit: str, value: int) -> LimitExceeded:
    return LimitExceeded("the session's log is full; start a new session", limit=limit, value=value)


def logged(state: State, event: user_event_pb2.UserEvent) -> list[Event]:
    """What the log gets: the event, in the turn that it belongs to, and what follows from it at once."""
    own = state.head + 1
    match event.WhichOneof("event"):
        case "user_message":
            return [Event(turn=own, user_message=event.user_message)]
        case "user_define_outcome":
            return [Event(turn=own, user_define_outcome=event.user_define_outcome)]
        case "user_interrupt":
            return [Event(turn=state.turn or own, user_interrupt=event.user_interrupt)]
        case "user_custom_tool_result":
            given = Event(turn=state.turn, user_custom_tool_result=event.user_custom_tool_result)
            return [given, *_still_waits(state, _without(state, event.user_custom_tool_result.custom_tool_use_id))]
        case "user_tool_result":
            given = Event(turn=state.turn, user_tool_result=event.user_tool_result)
            return [given, *_still_waits(state, _without(state, event.user_tool_result.tool_use_id))]
        case "user_tool_confirmation":
            return _decided(state, event.user_tool_confirmation)
    raise AssertionError(f"{event.WhichOneof('event')} was let through")


def _decided(state: State, given: user_event_pb2.UserToolConfirmation) -> list[Event]:
    use_id = given.tool_use_id
    use = state.uses[use_id]
    event = Event(turn=state.turn, user_tool_confirmation=given)
    if given.decision == user_event_pb2.TOOL_CONFIRMATION_ALLOW:
        # One that the server runs is no wait any more: its turn goes on first, and says then what remains.
        return [event, *_still_waits(state, state.waiting)] if use.at_client else [event]
    words = given.deny_message or "The user did not allow this."
    denied = events.closed(state.turn, use_id, agent_event_pb2.TOOL_RESULT_CAUSE_DENIED, words, mcp=use.mcp)
    return [event, denied, *_still_waits(state, _without(state, use_id))]


def _without(state: State, answered: str) -> list[str]:
    return [use_id for use_id in state.waiting if use_id != answered]


def _still_waits(state: State, remaining: list[str]) -> list[Event]:
    """In requires_action each partial answer says again what remains."""
    if state.state != session_pb2.SESSION_STATUS_IDLE or not remaining or state.interrupted:
        return []
    if any(not use.waits for use in state.uses.values()):
        # What may run says it when it has run.
        return []
    return [events.idle(state.turn, events.waits(remaining), state.turn_spent.message())]
