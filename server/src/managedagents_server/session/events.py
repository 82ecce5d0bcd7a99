"""The events that the server itself writes, each from the facts that make it."""

from collections.abc import Iterable, Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from managedagents.v1 import agent_event_pb2, content_pb2, model_pb2, status_event_pb2
from managedagents_server.providers.base import Answer, ModelFailure, Text, Thinking, ToolCall
from managedagents_server.session.frames import Event
from managedagents_server.session.state import Next, State
from managedagents_server.session.toolbox import Custom, Entry, Toolbox
from managedagents_server.tools.base import Outcome
from managedagents_server.tools.inputs import BadInput
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


def tool_start(turn: int, use: str) -> Event:
    return Event(turn=turn, agent_tool_start=agent_event_pb2.AgentToolStart(tool_use_id=use))


def ran(turn: int, use: str, outcome: Outcome) -> Event:
    """A tool use that the server ran."""
    timed_out, ran = agent_event_pb2.TOOL_RESULT_CAUSE_TIMED_OUT, agent_event_pb2.TOOL_RESULT_CAUSE_RAN
    result = agent_event_pb2.AgentToolResult(
        tool_use_id=use,
        content=outcome.content,
        is_error=outcome.is_error,
        cause=timed_out if outcome.timed_out else ran,
    )
    return Event(turn=turn, agent_tool_result=result)


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
    toolbox: Toolbox,
) -> list[Event]:
    """What one model response produced: at least one event. A call that is not to run, because the policy says so, the
    name is no tool's or the input does not fit, is closed in the same write."""
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
                entry = toolbox.get(name)
                denial = _denial(name, input_json, entry)
                event = _use(use_id, name, input_json, None if denial else entry, deadline)
                event.turn, event.response_id = turn, response_id
                if denial:
                    denials.append(closed(turn, use_id, agent_event_pb2.TOOL_RESULT_CAUSE_DENIED, denial))
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


def _use(use_id: str, name: str, input_json: str, entry: Entry | None, deadline: int) -> Event:
    """`entry`: None where the call is denied."""
    if isinstance(entry, Custom):
        custom = agent_event_pb2.AgentCustomToolUse(
            custom_tool_use_id=use_id,
            name=name,
            input_json=input_json,
            permission=agent_event_pb2.PERMISSION_DECISION_ALLOW,
            deadline=timestamp(deadline),
        )
        return Event(agent_custom_tool_use=custom)
    use = agent_event_pb2.AgentToolUse(tool_use_id=use_id, name=name, input_json=input_json)
    if entry is None:
        use.permission = agent_event_pb2.PERMISSION_DECISION_DENY
    else:
        use.permission = entry.decision
        use.runs_at_client = entry.at_client
        if entry.at_client or entry.decision == agent_event_pb2.PERMISSION_DECISION_ASK:
            use.deadline.CopyFrom(timestamp(deadline))
    return Event(agent_tool_use=use)


def _denial(name: str, input_json: str, entry: Entry | None) -> str:
    """Why a call is not to run, in words for the model. Empty: it may."""
    if entry is None:
        return f"There is no tool named {name}."
    if isinstance(entry, Custom):
        return ""
    if entry.decision == agent_event_pb2.PERMISSION_DECISION_DENY:
        return f"The tool {name} may not be used here: its permission policy denies it."
    try:
        entry.schema.read(input_json)
    except BadInput as fault:
        return str(fault)
    return ""


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


def unknown_effects(state: State) -> list[Event]:
    """How the uses are closed that somebody began to run who is gone."""
    words = (
        "The server was restarted while this ran, and it is not run twice: whether it took effect is not known. Look "
        "before you do it again."
    )
    cause = agent_event_pb2.TOOL_RESULT_CAUSE_EFFECT_UNKNOWN
    return [closed(state.turn, id_, cause, words) for id_, use in state.uses.items() if use.next == Next.END]


def dropped(state: State, turn: int) -> Sequence[int]:
    """The queued messages that the interrupt of the turn drops."""
    return [seq for seq in state.queue if seq < state.interrupted[turn]]
