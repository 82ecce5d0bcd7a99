"""An event in one line."""

import click

from managedagents._events import kind_of, stop_reason_of, text_of
from managedagents.cli._phrases import verdict_words
from managedagents.cli._terminal import plain
from managedagents.cli._uses import use_of
from managedagents.v1 import agent_event_pb2, event_pb2, status_event_pb2, user_event_pb2

_COLOURS = {"user": "cyan", "agent": "green", "status": "blue", "outcome": "magenta", "error": "red"}


def line_of(event: event_pb2.SessionEvent, width: int | None) -> str:
    """Seq, kind and what there is to say. `width`: columns to keep within; None is without bound."""
    kind = kind_of(event) or "unknown"
    head = f"{event.seq:>5}  {kind:<26}"
    said = plain(" ".join(words_of(event).split()))
    if width is not None and len(head) + 2 + len(said) > width:
        said = said[: max(width - len(head) - 3, 0)] + "…"
    colour = _COLOURS.get(kind.partition(".")[0])
    return f"{event.seq:>5}  {click.style(f'{kind:<26}' if said else kind, fg=colour)}  {said}".rstrip()


def words_of(event: event_pb2.SessionEvent) -> str:
    """What an event says, without its kind. Empty: its kind says it all."""
    use = use_of(event)
    if use is not None:
        asks = "asks: " if use.asks else ""
        return f"{asks}{use.name} {use.input_json} ({use.id})"
    which = event.WhichOneof("payload")
    payload = getattr(event, which) if which else None
    if isinstance(payload, user_event_pb2.UserMessage | agent_event_pb2.AgentMessage):
        return text_of(payload.content)
    if isinstance(payload, user_event_pb2.UserCustomToolResult):
        return f"({payload.custom_tool_use_id}) {_failed(payload)}{text_of(payload.content)}"
    if isinstance(payload, user_event_pb2.UserToolResult):
        return f"({payload.tool_use_id}) {_failed(payload)}{text_of(payload.content)}"
    if isinstance(payload, agent_event_pb2.AgentToolResult | agent_event_pb2.AgentMcpToolResult):
        cause = agent_event_pb2.ToolResultCause.Name(payload.cause).removeprefix("TOOL_RESULT_CAUSE_").lower()
        return f"({payload.tool_use_id}) {cause}: {_failed(payload)}{text_of(payload.content)}"
    if isinstance(payload, user_event_pb2.UserToolConfirmation):
        allowed = payload.decision == user_event_pb2.TOOL_CONFIRMATION_ALLOW
        return f"({payload.tool_use_id}) {'allow' if allowed else 'deny'} {payload.deny_message}"
    return _words_of_status(event)


def _words_of_status(event: event_pb2.SessionEvent) -> str:
    which = event.WhichOneof("payload")
    if which == "status_idle":
        ids = ", ".join(event.status_idle.stop_reason.requires_action.ids)
        return f"{stop_reason_of(event.status_idle)} {ids}"
    if which == "status_rescheduling":
        again = event.status_rescheduling
        delay = again.delay.ToTimedelta().total_seconds()
        return f"attempt {again.attempt} failed ({code_name(again.cause)}: {again.message}), again in {delay:.1f} s"
    if which == "error":
        return f"{code_name(event.error.code)}: {event.error.message}"
    if which == "outcome_evaluated":
        return verdict_words(event.outcome_evaluated)
    if which == "user_define_outcome":
        return event.user_define_outcome.criteria
    if which == "agent_thinking":
        return event.agent_thinking.text
    if which == "agent_context_compacted":
        return f"up to turn {event.agent_context_compacted.last_turn}"
    if which == "agent_tool_start":
        return f"({event.agent_tool_start.tool_use_id})"
    return ""


def code_name(code: status_event_pb2.ErrorCode.ValueType) -> str:
    """An error code in small letters."""
    known = code in status_event_pb2.ErrorCode.values()
    return status_event_pb2.ErrorCode.Name(code).removeprefix("ERROR_CODE_").lower() if known else str(code)


def _failed(result: user_event_pb2.UserCustomToolResult | user_event_pb2.UserToolResult | object) -> str:
    return "failed: " if getattr(result, "is_error", False) else ""
