"""From a gRPC status to an error: by the reason in its details, and by its code where there is none."""

from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from managedagents._errors import (
    BY_REASON,
    DeadlineExceededError,
    FieldViolation,
    ManagedAgentsError,
    NoAnswerError,
    NotThisServiceError,
)

DOMAIN = "managedagents"
_DETAILS_KEY = "grpc-status-details-bin"

# What a cut connection looks like, where the status is none of the service's own. A server that stops, or a proxy, ends
# a call with CANCELLED (a cancellation of our own never becomes a status); a proxy that resets a stream in its middle,
# with INTERNAL.
_CUT = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL})


def error_of(failure: grpc.aio.AioRpcError, address: str, *, answered: bool) -> ManagedAgentsError:
    """The error that a failed call raises. `answered`: this client has heard from the server before."""
    code, text = failure.code(), failure.details() or ""
    info, fields = _details(failure)
    if info is not None:
        cls = BY_REASON.get(info.reason, ManagedAgentsError)
        return cls(text, code=code, reason=info.reason, metadata=dict(info.metadata), **fields)
    if code in _CUT:
        said = f"no answer from the server at {address}" if answered else f"no server at {address}"
        return NoAnswerError(f"{said} ({text})" if text else said, code=code, **fields)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return NotThisServiceError(f"{address} is no managed agents server, or an older one ({text})", code=code)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceededError(f"{address} did not answer in time; the call may have been applied", code=code)
    return ManagedAgentsError(f"{code.name}: {text}", code=code, **fields)


def is_passing(error: ManagedAgentsError) -> bool:
    """Whether asking again, with the same request id, may help."""
    is_away = error.code is grpc.StatusCode.UNAVAILABLE or isinstance(error, NoAnswerError)
    return is_away or error.retry_after is not None


def _details(failure: grpc.aio.AioRpcError) -> tuple[Any, dict[str, Any]]:
    """The ErrorInfo of our domain (None: there is none), and what else the details say."""
    info: Any = None
    fields: dict[str, Any] = {}
    for detail in _status(failure).details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            found = error_details_pb2.ErrorInfo()
            detail.Unpack(found)
            info = found if found.domain == DOMAIN else info
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest()
            detail.Unpack(bad)
            fields["violations"] = [FieldViolation(v.field, v.description) for v in bad.field_violations]
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo()
            detail.Unpack(retry)
            fields["retry_after"] = retry.retry_delay.ToTimedelta().total_seconds()
    return info, fields


def _status(failure: grpc.aio.AioRpcError) -> Any:
    for key, value in failure.trailing_metadata() or ():
        if key == _DETAILS_KEY:
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                # Not ours, then: the code and the text of the call still tell what there is to tell.
                return status_pb2.Status()
    return status_pb2.Status()
