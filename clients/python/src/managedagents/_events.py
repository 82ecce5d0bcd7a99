"""Small words for events: how they are made and what they are called."""

from collections.abc import Iterable, Sequence

from managedagents.v1 import content_pb2, event_pb2, session_pb2, status_event_pb2, stream_pb2, user_event_pb2

Message = str | content_pb2.Content | Sequence[content_pb2.Content] | user_event_pb2.UserEvent
"""What can be said to a session: a text, content blocks, or a whole user event."""


def text(words: str) -> content_pb2.Content:
    """A content block of plain text."""
    return content_pb2.Content(text=content_pb2.TextContent(text=words))


def user_event(said: Message) -> user_event_pb2.UserEvent:
    """The user event that says it: a `user.message`, or the event itself."""
    if isinstance(said, user_event_pb2.UserEvent):
        return said
    return user_event_pb2.UserEvent(user_message=user_event_pb2.UserMessage(content=_blocks(said)))


def outcome_event(criteria: str, max_iterations: int | None = None) -> user_event_pb2.UserEvent:
    """The user event that says what "done" means. `max_iterations`: 1 to 20; None is 3."""
    outcome = user_event_pb2.UserDefineOutcome(criteria=criteria, max_iterations=max_iterations)
    return user_event_pb2.UserEvent(user_define_outcome=outcome)


def result_event(
    action: session_pb2.PendingAction, content: Iterable[content_pb2.Content], is_error: bool = False
) -> user_event_pb2.UserEvent:
    """The user event that answers a tool use with its result."""
    if action.kind == session_pb2.PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT:
        custom = user_event_pb2.UserCustomToolResult(
            custom_tool_use_id=action.tool_use_id, content=content, is_error=is_error
        )
        return user_event_pb2.UserEvent(user_custom_tool_result=custom)
    result = user_event_pb2.UserToolResult(tool_use_id=action.tool_use_id, content=content, is_error=is_error)
    return user_event_pb2.UserEvent(user_tool_result=result)


def confirmation_event(use_id: str, decision: bool | str) -> user_event_pb2.UserEvent:
    """The user event that allows a tool use, or denies it: False, or a text that the model is told."""
    allow = decision is True
    confirmation = user_event_pb2.UserToolConfirmation(
        tool_use_id=use_id,
        decision=user_event_pb2.TOOL_CONFIRMATION_ALLOW if allow else user_event_pb2.TOOL_CONFIRMATION_DENY,
        deny_message=decision if isinstance(decision, str) else "",
    )
    return user_event_pb2.UserEvent(user_tool_confirmation=confirmation)


def _blocks(said: str | content_pb2.Content | Sequence[content_pb2.Content]) -> Iterable[content_pb2.Content]:
    if isinstance(said, str):
        return [text(said)]
    return [said] if isinstance(said, content_pb2.Content) else said


def kind_of(event: event_pb2.SessionEvent | user_event_pb2.UserEvent) -> str:
    """The event's kind, say `agent.message`. Empty: one that this version of the client does not know."""
    if isinstance(event, event_pb2.SessionEvent):
        field: str | None = event.WhichOneof("payload")
    else:
        field = event.WhichOneof("event")
    return (field or "").replace("_", ".", 1)


def text_of(content: Iterable[content_pb2.Content]) -> str:
    """The text of the blocks, joined. Pictures and files are left out."""
    return "".join(block.text.text for block in content if block.HasField("text"))


def stop_reason_of(ended: status_event_pb2.StatusIdle | stream_pb2.TurnResult) -> str:
    """Why the session went idle, or a turn ended, say `end_turn`. Empty: not said, or a reason that this version of the
    client does not know."""
    if isinstance(ended, status_event_pb2.StatusIdle):
        return ended.stop_reason.WhichOneof("reason") or ""
    if ended.stop_reason not in stream_pb2.TurnStopReason.values():
        return ""
    name = stream_pb2.TurnStopReason.Name(ended.stop_reason)
    return name.removeprefix("TURN_STOP_REASON_").lower() if ended.stop_reason else ""
