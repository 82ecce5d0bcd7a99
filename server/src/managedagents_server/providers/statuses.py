"""What an HTTP status of a provider means: one table for the real providers and the scripted one."""

from dataclasses import dataclass

from managedagents.v1 import status_event_pb2
from managedagents_server.providers.base import ModelFailure


@dataclass(frozen=True, slots=True)
class Meaning:
    code: status_event_pb2.ErrorCode.ValueType
    transient: bool = False
    content_rejected: bool = False

    def failure(self, message: str, *, retry_after: float | None = None) -> ModelFailure:
        return ModelFailure(
            self.code,
            message,
            transient=self.transient,
            retry_after=retry_after,
            content_rejected=self.content_rejected,
        )


UNREACHABLE = Meaning(status_event_pb2.ERROR_CODE_MODEL_CONNECTION, transient=True)
TIMEOUT = Meaning(status_event_pb2.ERROR_CODE_MODEL_TIMEOUT, transient=True)
BROKEN_STREAM = Meaning(status_event_pb2.ERROR_CODE_MODEL_BROKEN_STREAM, transient=True)
RATE_LIMITED = Meaning(status_event_pb2.ERROR_CODE_MODEL_RATE_LIMITED, transient=True)
UNAVAILABLE = Meaning(status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE, transient=True)
AUTHENTICATION = Meaning(status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION)
QUOTA = Meaning(status_event_pb2.ERROR_CODE_MODEL_QUOTA)
NOT_FOUND = Meaning(status_event_pb2.ERROR_CODE_MODEL_NOT_FOUND)
REFUSED = Meaning(status_event_pb2.ERROR_CODE_MODEL_REJECTED)
"""Refused for a reason that is not known to lie in the conversation."""
CONTENT_REJECTED = Meaning(status_event_pb2.ERROR_CODE_MODEL_REJECTED, content_rejected=True)
CONTEXT_TOO_LONG = Meaning(status_event_pb2.ERROR_CODE_MODEL_CONTEXT_TOO_LONG, content_rejected=True)
TOO_LARGE = Meaning(status_event_pb2.ERROR_CODE_RESPONSE_TOO_LARGE)

_BY_STATUS = {
    400: CONTENT_REJECTED,
    401: AUTHENTICATION,
    402: QUOTA,
    403: AUTHENTICATION,
    404: NOT_FOUND,
    408: TIMEOUT,
    409: UNAVAILABLE,
    413: CONTEXT_TOO_LONG,
    415: CONTENT_REJECTED,
    422: CONTENT_REJECTED,
    425: UNAVAILABLE,
    429: RATE_LIMITED,
}


def of_status(status: int) -> Meaning:
    """`status` is one that tells of a failure, 300 or more. A redirection is not followed: the key is for the
    address that was given."""
    if status < 400:
        return NOT_FOUND
    if status >= 500:
        return UNAVAILABLE
    return _BY_STATUS.get(status, REFUSED)
