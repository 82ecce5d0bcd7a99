"""What each event means for its session: the only place that says it.

The fold knows no clock and asks nobody: the same events give the same state, on any machine, at any time. Raise FOLD
when it changes.
"""

from collections.abc import Iterable

from managedagents.v1 import agent_event_pb2, event_pb2, model_pb2, session_pb2, status_event_pb2, user_event_pb2
from managedagents_server.session.frames import from_frame
from managedagents_server.session.state import DEFAULT_ITERATIONS, Next, OpenUse, Outcome, Spent, State

Event = event_pb2.SessionEvent

MODEL_FAILURES = frozenset(
    {
        status_event_pb2.ERROR_CODE_MODEL_RATE_LIMITED,
        status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE,
        status_event_pb2.ERROR_CODE_MODEL_CONNECTION,
        status_event_pb2.ERROR_CODE_MODEL_TIMEOUT,
        status_event_pb2.ERROR_CODE_MODEL_BROKEN_STREAM,
        status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION,
        status_event_pb2.ERROR_CODE_MODEL_QUOTA,
        status_event_pb2.ERROR_CODE_MODEL_NOT_FOUND,
        status_event_pb2.ERROR_CODE_MODEL_REJECTED,
        status_event_pb2.ERROR_CODE_MODEL_CONTEXT_TOO_LONG,
        status_event_pb2.ERROR_CODE_RESPONSE_TOO_LARGE,
    }
)
"""Errors that are the end of a model request."""


_CUT_SHORT = frozenset({model_pb2.MODEL_STOP_REASON_MAX_TOKENS, model_pb2.MODEL_STOP_REASON_REFUSAL})


def fold(frames: Iterable[bytes]) -> State:
    """The state after a whole log."""
    state = State()
    for frame in frames:
        apply(state, from_frame(frame), len(frame))
    return state


def apply(state: State, event: Event, size: int) -> None:
    """Takes the next event, of `size` bytes in the log."""
    if event.seq != state.head + 1:
        raise ValueError(f"the log has seq {event.seq} after {state.head}")
    state.head = event.seq
    state.log_bytes += size
    if event.response_id and event.response_id != state.response:
        _answered_by(state, event)
    kind = event.WhichOneof("payload")
    if kind is not None:
        take = _FOLDS.get(kind)
        if take is not None:
            take(state, event)


def _answered_by(state: State, event: Event) -> None:
    state.response = event.response_id
    kind = event.WhichOneof("payload")
    if kind != "outcome_evaluated":
        state.finished += 1
    if kind not in ("agent_context_compacted", "outcome_evaluated"):
        state.rounds += 1
        # Until a use of the same answer, or a status.idle in its write, says otherwise.
        state.to_grade = state.towards is not None and event.response.stop_reason not in _CUT_SHORT
    state.failures = 0
    state.spent.add(event.response.usage)
    state.turn_spent.add(event.response.usage)


def _user_message(state: State, event: Event) -> None:
    state.queue.append(event.seq)


def _user_define_outcome(state: State, event: Event) -> None:
    state.queue.append(event.seq)
    defined = event.user_define_outcome
    most = defined.max_iterations if defined.HasField("max_iterations") else DEFAULT_ITERATIONS
    state.outcome = Outcome(event.seq, most)


def _user_interrupt(state: State, event: Event) -> None:
    drop_below = event.seq if event.user_interrupt.drop_queued else 0
    state.interrupted[event.turn] = max(drop_below, state.interrupted.get(event.turn, 0))


def _custom_tool_use(state: State, event: Event) -> None:
    state.to_grade = False
    use = event.agent_custom_tool_use
    deadline = use.deadline.ToNanoseconds() - _stood_still(state, event)
    state.uses[use.custom_tool_use_id] = OpenUse(use.name, event.seq, Next.CUSTOM_RESULT, deadline)


def _tool_use(state: State, event: Event) -> None:
    use = event.agent_tool_use
    _opened(state, event, use).at_client = use.runs_at_client
    if use.runs_at_client and use.permission != agent_event_pb2.PERMISSION_DECISION_ASK:
        state.uses[use.tool_use_id].next = Next.RESULT


def _mcp_tool_use(state: State, event: Event) -> None:
    _opened(state, event, event.agent_mcp_tool_use).mcp = True


def _opened(state: State, event: Event, use: agent_event_pb2.AgentToolUse | agent_event_pb2.AgentMcpToolUse) -> OpenUse:
    state.to_grade = False
    opened = state.uses[use.tool_use_id] = OpenUse(use.name, event.seq, Next.RUN)
    if use.HasField("deadline"):
        opened.deadline = use.deadline.ToNanoseconds() - _stood_still(state, event)
    if use.permission == agent_event_pb2.PERMISSION_DECISION_ASK:
        opened.next = Next.CONFIRMATION
        opened.patience = use.deadline.ToNanoseconds() - event.create_time.ToNanoseconds()
    return opened


def _confirmation(state: State, event: Event) -> None:
    given = event.user_tool_confirmation
    if given.decision != user_event_pb2.TOOL_CONFIRMATION_ALLOW:
        # Its result, in the same write, closes it.
        return
    use = state.uses[given.tool_use_id]
    use.next, use.overdue = Next.RUN, False
    if use.at_client:
        use.next = Next.RESULT
        use.deadline = event.create_time.ToNanoseconds() + use.patience - _stood_still(state, event)


def _tool_start(state: State, event: Event) -> None:
    state.uses[event.agent_tool_start.tool_use_id].next = Next.END


def _custom_tool_result(state: State, event: Event) -> None:
    del state.uses[event.user_custom_tool_result.custom_tool_use_id]


def _client_tool_result(state: State, event: Event) -> None:
    del state.uses[event.user_tool_result.tool_use_id]


def _tool_result(state: State, event: Event) -> None:
    del state.uses[event.agent_tool_result.tool_use_id]


def _mcp_tool_result(state: State, event: Event) -> None:
    del state.uses[event.agent_mcp_tool_result.tool_use_id]


def _running(state: State, event: Event) -> None:
    if event.turn != state.turn:
        state.turn = event.turn
        if state.outcome is not None and event.turn == state.outcome.further:
            state.outcome.further = 0
        else:
            state.queue.remove(event.turn)
        state.rounds = 0
        state.failures = 0
        state.turn_spent = Spent()
    state.state = session_pb2.SESSION_STATUS_RUNNING
    state.retry_time = 0


def _idle(state: State, event: Event) -> None:
    state.state = session_pb2.SESSION_STATUS_IDLE
    reason = event.status_idle.stop_reason
    if reason.WhichOneof("reason") == "requires_action":
        for use_id in reason.requires_action.ids:
            state.uses[use_id].overdue = True
        return
    dropped = set(reason.interrupted.dropped_seqs)
    is_dropped = state.outcome is not None and state.outcome.seq in dropped
    # With end_turn a message's turn comes next, and it is judged after that one.
    is_over = state.towards is not None and not reason.HasField("end_turn")
    if is_dropped or is_over:
        state.outcome = None
    state.queue = [seq for seq in state.queue if seq not in dropped]
    state.interrupted.pop(event.turn, None)
    _close(state)


def _close(state: State) -> None:
    """The open turn ends."""
    state.turn = 0
    state.to_grade = False
    state.uses.clear()
    state.failures = 0
    state.must_compact = False
    state.too_long = 0
    state.compaction_failed = False
    state.retry_time = 0


def _rescheduling(state: State, event: Event) -> None:
    state.state = session_pb2.SESSION_STATUS_RESCHEDULING
    state.failures = event.status_rescheduling.attempt
    if not state.to_grade:
        state.finished += 1
    elif state.outcome is not None and event.status_rescheduling.cause == status_event_pb2.ERROR_CODE_MODEL_REJECTED:
        state.outcome.schemaless = True
    if event.status_rescheduling.cause == status_event_pb2.ERROR_CODE_MODEL_CONTEXT_TOO_LONG:
        # What the grader is told is cut shorter instead.
        state.must_compact = not state.to_grade
        state.too_long += 1
    state.retry_time = event.status_rescheduling.wake_time.ToNanoseconds() - _stood_still(state, event)


def _stood_still(state: State, event: Event) -> int:
    """What was in hand when the pause began is logged in it: its times stand still from the beginning of the pause,
    because status.resumed moves them on by all of it."""
    return event.create_time.ToNanoseconds() - state.paused_time if state.paused_seq else 0


def _error(state: State, event: Event) -> None:
    if event.error.code in MODEL_FAILURES and not state.to_grade:
        state.finished += 1
        if event.error.next == status_event_pb2.ERROR_NEXT_TURN_GOES_ON:
            state.compaction_failed = True
            state.failures = 0


def _compacted(state: State, _: Event) -> None:
    state.must_compact = False


def _evaluated(state: State, event: Event) -> None:
    _close(state)
    outcome = state.outcome
    if outcome is None:
        raise ValueError(f"seq {event.seq} judges an outcome, and there is none")
    outcome.judged = event.outcome_evaluated.iteration
    if not event.outcome_evaluated.met and outcome.judged < outcome.most:
        outcome.further = event.seq


def _paused(state: State, event: Event) -> None:
    state.paused_seq = event.seq
    state.paused_time = event.create_time.ToNanoseconds()


def _resumed(state: State, event: Event) -> None:
    stood_still = event.status_resumed.paused_for.ToNanoseconds()
    for use in state.uses.values():
        use.deadline += stood_still
    if state.retry_time:
        state.retry_time += stood_still
    state.paused_seq = 0
    state.resumed_seq = event.seq


def _completed(state: State, _: Event) -> None:
    state.state = session_pb2.SESSION_STATUS_COMPLETED


def _failed(state: State, _: Event) -> None:
    state.state = session_pb2.SESSION_STATUS_FAILED


def _archived(state: State, _: Event) -> None:
    state.state = session_pb2.SESSION_STATUS_ARCHIVED


_FOLDS = {
    "user_message": _user_message,
    "user_define_outcome": _user_define_outcome,
    "user_interrupt": _user_interrupt,
    "user_custom_tool_result": _custom_tool_result,
    "user_tool_confirmation": _confirmation,
    "user_tool_result": _client_tool_result,
    "agent_custom_tool_use": _custom_tool_use,
    "agent_tool_use": _tool_use,
    "agent_mcp_tool_use": _mcp_tool_use,
    "agent_tool_start": _tool_start,
    "agent_tool_result": _tool_result,
    "agent_mcp_tool_result": _mcp_tool_result,
    "agent_context_compacted": _compacted,
    "outcome_evaluated": _evaluated,
    "status_running": _running,
    "status_idle": _idle,
    "status_rescheduling": _rescheduling,
    "status_paused": _paused,
    "status_resumed": _resumed,
    "status_completed": _completed,
    "status_failed": _failed,
    "status_archived": _archived,
    "error": _error,
}
