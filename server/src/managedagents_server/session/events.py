"""The events that the server itself writes, each from the facts that make it."""

from collections.abc import Iterable, Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from managedagents.v1 import agent_event_pb2, content_pb2, model_pb2, status_event_pb2
from managedagents_server.providers.base import Answer, ModelFailure, Text, Thinking, ToolCall
from managedagents_server.session.frames import Event
from managedagents_server.session.state import Next, State
from managedagents_server.session.toolbox import Builtin, Custom, Entry, Mcp, Toolbox
from managedagents_server.tools.base import Outcome
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


def ran(turn: int, use: str, outcome: Outcome, *, mcp: bool) -> Event:
    """A tool use that the server ran; `mcp`: or had an MCP server run."""
    timed_out, ran = agent_event_pb2.TOOL_RESULT_CAUSE_TIMED_OUT, agent_event_pb2.TOOL_RESULT_CAUSE_RAN
    event = _result(
        turn, use, outcome.content, timed_out if outcome.timed_out else ran, mcp=mcp, failed=outcome.is_error
    )
    if mcp:
        event.agent_mcp_tool_result.structured_content_json = outcome.structured_content_json
    return event


def closed(
    turn: int, use: str, cause: agent_event_pb2.ToolResultCause.ValueType, words: str, *, mcp: bool = False
) -> Event:
    """A tool use that is closed without having run."""
    return _result(turn, use, [text(words)], cause, mcp=mcp, failed=True)


def _result(
    turn: int,
    use: str,
    content: Sequence[content_pb2.Content],
    cause: agent_event_pb2.ToolResultCause.ValueType,
    *,
    mcp: bool,
    failed: bool,
) -> Event:
    if mcp:
        told = agent_event_pb2.AgentMcpToolResult(tool_use_id=use, content=content, is_error=failed, cause=cause)
        return Event(turn=turn, agent_mcp_tool_result=told)
    result = agent_event_pb2.AgentToolResult(tool_use_id=use, content=content, is_error=failed, cause=cause)
    return Event(turn=turn, agent_tool_result=result)


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
    denials: Sequence[str],
) -> list[Event]:
    """What one model response produced: at least one event. `denials`: for each tool call, why it is not to run, say
    because the policy says so, the name is no tool's or the input does not fit; such a one is closed in the same write.
    """
    turn = state.turn
    events: list[Event] = []
    closings: list[Event] = []
    denied = iter(denials)
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
                denial = next(denied)
                event = _use(use_id, name, input_json, entry, deadline, denied=bool(denial))
                event.turn, event.response_id = turn, response_id
                if denial:
                    cause, mcp = agent_event_pb2.TOOL_RESULT_CAUSE_DENIED, event.HasField("agent_mcp_tool_use")
                    closings.append(closed(turn, use_id, cause, denial, mcp=mcp))
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
    return events + closings


def _use(use_id: str, name: str, input_json: str, entry: Entry | None, deadline: int, *, denied: bool) -> Event:
    if isinstance(entry, Custom):
        custom = agent_event_pb2.AgentCustomToolUse(
            custom_tool_use_id=use_id,
            name=name,
            input_json=input_json,
            permission=agent_event_pb2.PERMISSION_DECISION_ALLOW,
            deadline=timestamp(deadline),
        )
        return Event(agent_custom_tool_use=custom)
    use: agent_event_pb2.AgentToolUse | agent_event_pb2.AgentMcpToolUse
    if isinstance(entry, Mcp):
        event = Event(agent_mcp_tool_use=agent_event_pb2.AgentMcpToolUse(server_name=entry.tool.server))
        use, name = event.agent_mcp_tool_use, entry.tool.tool
    else:
        event = Event(agent_tool_use=agent_event_pb2.AgentToolUse())
        use = event.agent_tool_use
    use.tool_use_id, use.name, use.input_json = use_id, name, input_json
    if entry is None or denied:
        use.permission = agent_event_pb2.PERMISSION_DECISION_DENY
        return event
    use.permission = entry.decision
    at_client = isinstance(entry, Builtin) and entry.at_client
    if at_client:
        event.agent_tool_use.runs_at_client = True
    if at_client or entry.decision == agent_event_pb2.PERMISSION_DECISION_ASK:
        use.deadline.CopyFrom(timestamp(deadline))
    return event


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
    cause = agent_event_pb2.TOOL_RESULT_CAUSE_INTERRUPTED
    return [closed(turn, id_, cause, words, mcp=use.mcp) for id_, use in state.uses.items()]


def unknown_effects(state: State) -> list[Event]:
    """How the uses are closed that somebody began to run who is gone."""
    words = (
        "The server was restarted while this ran, and it is not run twice: whether it took effect is not known. Look "
        "before you do it again."
    )
    cause = agent_event_pb2.TOOL_RESULT_CAUSE_EFFECT_UNKNOWN
    return [
        closed(state.turn, id_, cause, words, mcp=use.mcp) for id_, use in state.uses.items() if use.next == Next.END
    ]


def dropped(state: State, turn: int) -> Sequence[int]:
    """The queued messages that the interrupt of the turn drops."""
    return [seq for seq in state.queue if seq < state.interrupted[turn]]
