"""What a session takes from its client, and what it refuses. Decided on its state alone, before anything is written."""

from managedagents.v1 import session_pb2, user_event_pb2
from managedagents_server.session import events
from managedagents_server.session.frames import Event
from managedagents_server.session.state import State
from managedagents_server.words.errors import LimitExceeded, RuntimeFault, SessionTerminal, ToolUseClosed
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
        case "user_custom_tool_result":
            use_id = event.user_custom_tool_result.custom_tool_use_id
            if use_id not in state.uses:
                return ToolUseClosed(f"the tool use {use_id} is closed", tool_use_id=use_id)
    return no_room(state, limits)


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
        case "user_interrupt":
            return [Event(turn=state.turn or own, user_interrupt=event.user_interrupt)]
        case "user_custom_tool_result":
            given = Event(turn=state.turn, user_custom_tool_result=event.user_custom_tool_result)
            return [given, *_still_waits(state, event.user_custom_tool_result.custom_tool_use_id)]
    raise AssertionError(f"{event.WhichOneof('event')} was let through")


def _still_waits(state: State, answered: str) -> list[Event]:
    """In requires_action each partial answer says again what remains."""
    remaining = [use_id for use_id in state.uses if use_id != answered]
    if state.state != session_pb2.SESSION_STATUS_IDLE or not remaining or state.interrupted:
        return []
    return [events.idle(state.turn, events.waits(remaining), state.turn_spent.message())]
