"""What a call raises. The class follows from the reason that the server gave (`ErrorReason`), never from a text.

A failed model or tool is no exception: it is an event in the session's log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One bad field of a request: its path from the request down, `definition.tools[1].custom.name`, and why."""

    field: str
    description: str
    place: str = ""
    """Where it stands, `weather.yaml:12:5`: file, line, column. Empty: in no file that is known here."""

    def __str__(self) -> str:
        return ": ".join(words for words in (self.place, self.field, self.description) if words)


class ManagedAgentsError(Exception):
    """A call that failed. Raised itself only for a reason that this version of the client does not know."""

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        code: grpc.StatusCode | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        """The name in `ErrorReason` without its prefix, say SESSION_NOT_FOUND. None: the server gave none."""
        self.code = code
        """The gRPC status. None: found before anything was sent."""
        self.violations = tuple(violations)
        """The bad fields of a refused request."""
        self.retry_after = retry_after
        """Seconds after which asking again may help. None: the server did not say that waiting helps."""
        self.metadata = dict(metadata or {})
        """What the server says beside the reason, say `limit` and `value`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.__dict__))


def _rebuild(cls: type[ManagedAgentsError], message: str, state: dict[str, object]) -> ManagedAgentsError:
    error = cls(message)
    error.__dict__.update(state)
    return error


class InvalidRequestError(ManagedAgentsError):
    """The request is wrong; `violations` names each bad field. Asking again does not help."""


class NotImplementedByServerError(ManagedAgentsError):
    """A part that this server does not have yet; `metadata["field"]` names it."""


class NotFoundError(ManagedAgentsError):
    """No such agent, session or tool use, or another tenant's."""


class ToolUseClosedError(ManagedAgentsError):
    """The tool use is closed: somebody was faster, or the turn was interrupted. Benign: go on."""


class SessionTerminalError(ManagedAgentsError):
    """The session is completed, failed or archived (`metadata["status"]`): only reads and a deletion work."""


class AgentArchivedError(ManagedAgentsError):
    """The agent is archived and takes no new sessions."""


class VersionConflictError(ManagedAgentsError):
    """The agent was changed since the version that the update names: read it and decide again."""


class RequestIdReusedError(ManagedAgentsError):
    """The request id was used with another request."""


class FromSeqBeyondHeadError(ManagedAgentsError):
    """The seq to go on from is beyond the log's head; `metadata["head_seq"]` gives the head."""


class LogReplacedError(ManagedAgentsError):
    """A backup was restored: the seqs known here mean nothing any more. Read the session anew from 0."""


class LimitExceededError(ManagedAgentsError):
    """A limit is reached; `metadata["limit"]` names it, `metadata["value"]` gives it."""


class ProviderUnusableError(ManagedAgentsError):
    """The model's provider cannot be used as the definition asks."""


class ToolUnusableError(ManagedAgentsError):
    """A tool of the definition cannot be used at this server."""


class OutcomeActiveError(ManagedAgentsError):
    """The session has an outcome that is not over yet (`metadata["seq"]`): wait for its end, or interrupt it."""


class UnauthenticatedError(ManagedAgentsError):
    """No token, or one that the server does not know."""


class EventUnreadableError(ManagedAgentsError):
    """An event of the log cannot be read (`metadata["seq"]`): go on after it."""


class ServerFaultError(ManagedAgentsError):
    """A fault of the server; its own log tells more under `metadata["error_id"]`."""


class UnavailableError(ManagedAgentsError):
    """The server is there and cannot do it now: it shuts down, or its log cannot be written."""


class NoAnswerError(UnavailableError):
    """No server answered in the time that the client has patience for. A changing call may have been applied."""


class DeadlineExceededError(ManagedAgentsError):
    """The server did not answer in time. A changing call may have been applied."""


class NotThisServiceError(ManagedAgentsError):
    """Something speaks gRPC at this address, and it is not this service, or an older version of it."""


class PromiseBrokenError(ManagedAgentsError):
    """A stream gave what it never gives, say a hole between two seqs: a fault of the server or of something between."""


class DefinitionError(ManagedAgentsError):
    """A definition that is no definition: `violations` names each field that is wrong. Nothing was sent."""

    @classmethod
    def of(cls, violations: Sequence[FieldViolation]) -> "DefinitionError":
        """The error of all that is wrong, a line for each."""
        return cls("\n".join(map(str, violations)), violations=violations)


BY_REASON: Mapping[str, type[ManagedAgentsError]] = {
    "INVALID_REQUEST": InvalidRequestError,
    "MALFORMED_REQUEST": InvalidRequestError,
    "INVALID_PAGE_TOKEN": InvalidRequestError,
    "NOT_IMPLEMENTED": NotImplementedByServerError,
    "AGENT_NOT_FOUND": NotFoundError,
    "SESSION_NOT_FOUND": NotFoundError,
    "TOOL_USE_NOT_FOUND": NotFoundError,
    "TOOL_USE_CLOSED": ToolUseClosedError,
    "SESSION_TERMINAL": SessionTerminalError,
    "AGENT_ARCHIVED": AgentArchivedError,
    "VERSION_CONFLICT": VersionConflictError,
    "REQUEST_ID_REUSED": RequestIdReusedError,
    "FROM_SEQ_BEYOND_HEAD": FromSeqBeyondHeadError,
    "LOG_REPLACED": LogReplacedError,
    "LIMIT_EXCEEDED": LimitExceededError,
    "PROVIDER_UNUSABLE": ProviderUnusableError,
    "TOOL_UNUSABLE": ToolUnusableError,
    "OUTCOME_ACTIVE": OutcomeActiveError,
    "UNAUTHENTICATED": UnauthenticatedError,
    "EVENT_UNREADABLE": EventUnreadableError,
    "INTERNAL": ServerFaultError,
    "LOG_UNAVAILABLE": UnavailableError,
    "DRAINING": UnavailableError,
    "DEADLINE_EXCEEDED": DeadlineExceededError,
}
