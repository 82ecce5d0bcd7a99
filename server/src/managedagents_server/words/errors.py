"""Why a call is refused: one class for each reason. What status each becomes stands in one table, in rpc."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from managedagents.v1 import error_pb2

Reason = error_pb2.ErrorReason


@dataclass(frozen=True, slots=True)
class Violation:
    """One bad field of a request: its path from the request down, `definition.tools[1].custom.name`, and why."""

    field: str
    description: str


class RuntimeFault(Exception):
    """A call that is refused or failed. Each subclass is one reason."""

    reason: ClassVar[Reason.ValueType]

    def __init__(
        self,
        message: str,
        *,
        violations: Sequence[Violation] = (),
        retry_after: float | None = None,
        **metadata: object,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.violations = tuple(violations)
        self.retry_after = retry_after
        """Seconds after which asking again may help. None: waiting does not help."""
        self.metadata: Mapping[str, str] = {key: str(value) for key, value in metadata.items()}


class InvalidRequest(RuntimeFault):
    reason = error_pb2.ERROR_REASON_INVALID_REQUEST

    @classmethod
    def of(cls, *violations: Violation) -> "InvalidRequest":
        return cls("; ".join(f"{v.field}: {v.description}" for v in violations), violations=violations)


class MalformedRequest(RuntimeFault):
    reason = error_pb2.ERROR_REASON_MALFORMED_REQUEST


class NotImplementedYet(RuntimeFault):
    """Nothing is, now. A part that is not built is refused with this, never silently ignored."""

    reason = error_pb2.ERROR_REASON_NOT_IMPLEMENTED


class AgentNotFound(RuntimeFault):
    reason = error_pb2.ERROR_REASON_AGENT_NOT_FOUND

    @classmethod
    def of(cls, agent_id: str, version: int | None) -> "AgentNotFound":
        of_version = "" if version is None else f" of version {version}"
        return cls(f"there is no agent {agent_id}{of_version}", agent_id=agent_id)


class SessionNotFound(RuntimeFault):
    reason = error_pb2.ERROR_REASON_SESSION_NOT_FOUND

    @classmethod
    def of(cls, session_id: str) -> "SessionNotFound":
        return cls(f"there is no session {session_id}", session_id=session_id)


class ToolUseNotFound(RuntimeFault):
    reason = error_pb2.ERROR_REASON_TOOL_USE_NOT_FOUND


class ToolUseClosed(RuntimeFault):
    reason = error_pb2.ERROR_REASON_TOOL_USE_CLOSED


class SessionTerminal(RuntimeFault):
    reason = error_pb2.ERROR_REASON_SESSION_TERMINAL


class AgentArchived(RuntimeFault):
    reason = error_pb2.ERROR_REASON_AGENT_ARCHIVED

    @classmethod
    def of(cls, agent_id: str) -> "AgentArchived":
        return cls(f"the agent {agent_id} is archived", agent_id=agent_id)


class VersionConflict(RuntimeFault):
    reason = error_pb2.ERROR_REASON_VERSION_CONFLICT


class RequestIdReused(RuntimeFault):
    reason = error_pb2.ERROR_REASON_REQUEST_ID_REUSED


class FromSeqBeyondHead(RuntimeFault):
    reason = error_pb2.ERROR_REASON_FROM_SEQ_BEYOND_HEAD


class LogReplaced(RuntimeFault):
    reason = error_pb2.ERROR_REASON_LOG_REPLACED


class LimitExceeded(RuntimeFault):
    reason = error_pb2.ERROR_REASON_LIMIT_EXCEEDED


class LogUnavailable(RuntimeFault):
    reason = error_pb2.ERROR_REASON_LOG_UNAVAILABLE


class Draining(RuntimeFault):
    reason = error_pb2.ERROR_REASON_DRAINING


class Unauthenticated(RuntimeFault):
    reason = error_pb2.ERROR_REASON_UNAUTHENTICATED


class ProviderUnusable(RuntimeFault):
    reason = error_pb2.ERROR_REASON_PROVIDER_UNUSABLE


class ToolUnusable(RuntimeFault):
    reason = error_pb2.ERROR_REASON_TOOL_UNUSABLE


class OutcomeActive(RuntimeFault):
    reason = error_pb2.ERROR_REASON_OUTCOME_ACTIVE


class InvalidPageToken(RuntimeFault):
    reason = error_pb2.ERROR_REASON_INVALID_PAGE_TOKEN


class EventUnreadable(RuntimeFault):
    reason = error_pb2.ERROR_REASON_EVENT_UNREADABLE

    @classmethod
    def of(cls, seq: int) -> "EventUnreadable":
        return cls(f"the event {seq} of the session's log cannot be read", seq=seq)
