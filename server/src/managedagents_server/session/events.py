"""The events that the server itself writes, each from the facts that make it."""

from collections.abc import Callable, Iterable, Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from managedagents.v1 import agent_event_pb2, content_pb2, model_pb2, status_event_pb2
from managedagents_server.providers.base import Answer, ModelFailure, Text, Thinking, ToolCall
from managedagents_server.session.frames import Event
from managedagents_server.session.state import State
from managedagents_server.words import ids


def text(words: str) -> content_pb2.Content:
    return content_pb2.Content(text=content_pb2.TextContent(text=words))


def timestamp(wall: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromNanoseconds(wall)
    return stamp


def running(turn: int, attempt: int) -> Event:
    return Event(turn=turn, status_running=status_event_pb2.StatusRunning(attempt=attempt))


def idle(turn: int, reason: status_event_pb2.StopReason, usage: model_pb2.Usage) -> Event:
    return Event(turn=turn, status_idle=status_event_pb2.StatusIdle(stop_reason=reason, usage=usage))


def error(
    turn: int,
    code: status_event_pb2.ErrorCode.ValueType,
    message: str,
    next_: status_event_pb2.ErrorNext.ValueType,
    *,
    turn_excluded: bool = False,
) -> Event:
    return Event(
        turn=turn,
        error=status_event_pb2.ErrorEvent(code=code, message=message, next=next_, turn_excluded=turn_excluded),
    )


def rescheduling(turn: int, failure: ModelFailure, attempt: int, delay: float, now: int) -> Event:
    event = status_event_pb2.StatusRescheduling(attempt=attempt, cause=failure.code, message=failure.message)
    event.delay.FromNanoseconds(int(delay * 1e9))
    event.wake_time.FromNanoseconds(now + int(delay * 1e9))
    return Event(turn=turn, status_rescheduling=event)


def closed(turn: int, use: str, cause: agent_event_pb2.ToolResultCause.ValueType, words: str) -> Event:
    """A tool use that is closed without having run."""
    return Event(
        turn=turn,
        agent_tool_result=agent_event_pb2.AgentToolResult(
            tool_use_id=use, content=[text(words)], is_error=True, cause=cause
        ),
    )


def waits(uses: Iterable[str]) -> status_event_pb2.StopReason:
    return status_event_pb2.StopReason(requires_action=status_event_pb2.RequiresAction(ids=uses))


def response(
    state: State,
    answer: Answer,
    provider: str,
    *,
    response_id: str,
    attempt: int,
    deadline: int,
    is_custom: Callable[[str], bool],
) -> list[Event]:
    """What one model response produced: at least one event. A call of a name that is no tool of the agent is denied in
    the same write."""
    turn = state.turn
    events: list[Event] = []
    denials: list[Event] = []
    texts: list[content_pb2.Content] = []

    def flush() -> None:
        if texts:
            message = agent_event_pb2.AgentMessage(content=texts)
            events.append(Event(turn=turn, response_id=response_id, agent_message=message))
            texts.clear()

    for part in answer.parts:
        match part:
            case Text(words):
                texts.append(text(words))
            case Thinking(words):
                flush()
                thinking = agent_event_pb2.AgentThinking(text=words)
                events.append(Event(turn=turn, response_id=response_id, agent_thinking=thinking))
            case ToolCall(name, input_json):
                flush()
                use_id = ids.tool_use_id(state.head + len(events) + 1)
                event = Event(turn=turn, response_id=response_id)
                if is_custom(name):
                    custom = event.agent_custom_tool_use
                    custom.custom_tool_use_id = use_id
                    custom.deadline.CopyFrom(timestamp(deadline))
                    custom.permission = agent_event_pb2.PERMISSION_DECISION_ALLOW
                    custom.name, custom.input_json = name, input_json
                else:
                    use = event.agent_tool_use
                    use.tool_use_id = use_id
                    use.permission = agent_event_pb2.PERMISSION_DECISION_DENY
                    use.name, use.input_json = name, input_json
                    words = f"There is no tool named {name}."
                    denials.append(closed(turn, use_id, agent_event_pb2.TOOL_RESULT_CAUSE_DENIED, words))
                events.append(event)
    if texts or not events:
        message = agent_event_pb2.AgentMessage(content=texts)
        events.append(Event(turn=turn, response_id=response_id, agent_message=message))
    events[0].response.CopyFrom(
        agent_event_pb2.ModelResponse(
            model=answer.model,
            provider=provider,
            attempt=attempt,
            stop_reason=answer.stop_reason,
            usage=answer.usage,
        )
    )
    return events + denials


def end_of(answer: Answer) -> status_event_pb2.StopReason:
    """Why a turn ends whose last answer called no tool."""
    match answer.stop_reason:
        case model_pb2.MODEL_STOP_REASON_MAX_TOKENS:
            return status_event_pb2.StopReason(max_tokens=status_event_pb2.MaxTokens())
        case model_pb2.MODEL_STOP_REASON_REFUSAL:
            return status_event_pb2.StopReason(refusal=status_event_pb2.Refusal())
        case _:
            return status_event_pb2.StopReason(end_turn=status_event_pb2.EndTurn())


def closings(state: State, turn: int) -> list[Event]:
    """How an interrupt closes the uses that are open in the turn."""
    if turn != state.turn:
        return []
    words = "The user interrupted the turn before this was done."
    return [closed(turn, use, agent_event_pb2.TOOL_RESULT_CAUSE_INTERRUPTED, words) for use in state.uses]


def dropped(state: State, turn: int) -> Sequence[int]:
    """The queued messages that the interrupt of the turn drops."""
    return [seq for seq in state.queue if seq < state.interrupted[turn]]
