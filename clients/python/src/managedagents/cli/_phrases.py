"""What a chat says beside the answer: what it cost, why it is late, what can be done."""

from collections.abc import Mapping

from managedagents._events import text_of
from managedagents.cli._uses import is_asking
from managedagents.v1 import agent_event_pb2, model_pb2, session_pb2, status_event_pb2, user_event_pb2

_CAUSES: Mapping[int, str] = {
    status_event_pb2.ERROR_CODE_MODEL_RATE_LIMITED: "the provider asks to slow down",
    status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE: "the provider fails or is overloaded",
    status_event_pb2.ERROR_CODE_MODEL_CONNECTION: "the provider could not be reached",
    status_event_pb2.ERROR_CODE_MODEL_TIMEOUT: "the provider took too long",
    status_event_pb2.ERROR_CODE_MODEL_BROKEN_STREAM: "the answer broke off",
}

_LATER = "the provider may be well again later: send the message again then"
_ADVICE: Mapping[int, str] = {
    **dict.fromkeys(_CAUSES, _LATER),
    status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION: (
        "the operator can mend the credential; an agent's own key is changed by `agents update --api-key-env`, "
        "for new sessions"
    ),
    status_event_pb2.ERROR_CODE_MODEL_QUOTA: "raise the quota at the provider, then send the message again",
    status_event_pb2.ERROR_CODE_MODEL_NOT_FOUND: (
        "correct the model's name or base_url by `agents update`, and start a new session"
    ),
    status_event_pb2.ERROR_CODE_MODEL_REJECTED: "say it differently",
    status_event_pb2.ERROR_CODE_MODEL_CONTEXT_TOO_LONG: (
        "start a new session; an agent with `compaction` folds older turns in time"
    ),
    status_event_pb2.ERROR_CODE_RESPONSE_TOO_LARGE: "ask for less at once",
    status_event_pb2.ERROR_CODE_TOOL_TIMEOUT: "the turn still takes the answer; Ctrl-C ends it",
    status_event_pb2.ERROR_CODE_LOG_FULL: "start a new session",
    status_event_pb2.ERROR_CODE_UNRECOVERABLE: "start a new session; this one's log stays readable",
}

_STOPS: Mapping[str, str] = {
    "max_tokens": "the answer is cut off: it reached the limit of output tokens",
    "refusal": "the model declined to answer",
    "max_tool_rounds": "stopped: the turn reached its limit of tool rounds",
    "max_outcome_iterations": "stopped: the outcome was not met within its iterations",
    "token_budget": "the session's token budget is used up: start a new session",
    # An error stands before these, or the prompt says what is waited for.
    "end_turn": "",
    "requires_action": "",
    "error": "",
    "retries_exhausted": "",
}

_RESULTS: Mapping[int, str] = {
    agent_event_pb2.TOOL_RESULT_CAUSE_DENIED: " denied",
    agent_event_pb2.TOOL_RESULT_CAUSE_INTERRUPTED: " interrupted",
    agent_event_pb2.TOOL_RESULT_CAUSE_TIMED_OUT: " took too long",
    agent_event_pb2.TOOL_RESULT_CAUSE_EFFECT_UNKNOWN: " broke off",
}

_LINE = 120
"""Characters of a use or a result that a chat shows; the log has all of it."""


def wanted_words(action: session_pb2.PendingAction) -> str:
    """What a tool use waits for."""
    return "a confirmation" if is_asking(action) else "an answer"


def shortened(words: str) -> str:
    """In one line, and no long one."""
    line = " ".join(words.split())
    return line if len(line) <= _LINE else f"{line[: _LINE - 1]}…"


def result_words(name: str, result: agent_event_pb2.AgentToolResult | agent_event_pb2.AgentMcpToolResult) -> str:
    """How a tool use ended that the server closed, in one line."""
    how = _RESULTS.get(result.cause, " failed" if result.is_error else "")
    kinds = (block.WhichOneof("block") or "" for block in result.content)
    beside = ", ".join(f"[{kind.replace('_', ' ')}]" for kind in kinds if kind not in ("", "text"))
    said = shortened(" ".join(words for words in (text_of(result.content), beside) if words))
    return f"{name}{how}: {said}" if said else f"{name}{how or ' is done'}"


def decision_words(name: str, decided: user_event_pb2.UserToolConfirmation) -> str:
    """What somebody decided on a tool use."""
    if decided.decision == user_event_pb2.TOOL_CONFIRMATION_ALLOW:
        return f"{name} allowed"
    return shortened(f"{name} not allowed: {decided.deny_message}") if decided.deny_message else f"{name} not allowed"


def verdict_words(evaluated: status_event_pb2.OutcomeEvaluated) -> str:
    """How an iteration towards an outcome was judged."""
    met = "met" if evaluated.met else "not met"
    return f"iteration {evaluated.iteration}: {met}{f': {evaluated.reason}' if evaluated.reason else ''}"


def usage_words(usage: model_pb2.Usage) -> str:
    """What a turn cost."""
    cached = f" ({usage.cache_read_tokens} cached)" if usage.cache_read_tokens else ""
    reasoning = f" ({usage.reasoning_tokens} reasoning)" if usage.reasoning_tokens else ""
    requests = f"{usage.requests} request{'' if usage.requests == 1 else 's'}"
    seconds = usage.model_time.ToTimedelta().total_seconds()
    time = f", {seconds:.1f} s" if seconds else ""
    return f"{usage.input_tokens} tokens in{cached}, {usage.output_tokens} out{reasoning}, {requests}{time}"


def retry_words(again: status_event_pb2.StatusRescheduling) -> str:
    """Why a model request failed, and when the next attempt is."""
    cause = _CAUSES.get(again.cause, "the model request failed")
    return f"{cause}; attempt {again.attempt + 1} in {again.delay.ToTimedelta().total_seconds():.3g} s"


def advice(error: status_event_pb2.ErrorEvent) -> str:
    """What can be done about an error. Empty: nothing that is known here."""
    if error.next == status_event_pb2.ERROR_NEXT_TURN_GOES_ON:
        return "the turn goes on without it"
    return _ADVICE.get(error.code, "")


def stop_words(reason: str) -> str:
    """Why a turn stopped, where it did not end well. Empty: it did, or it is said already."""
    return _STOPS.get(reason, reason.replace("_", " "))
