"""How a refusal looks on the wire: the one table of statuses, and the details of google.rpc."""

import logging
from collections.abc import Awaitable, Mapping
from typing import Any, Never, TypeVar

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from managedagents.v1 import error_pb2
from managedagents_server.words import ids
from managedagents_server.words.errors import RuntimeFault

DOMAIN = "managedagents"

STATUS: Mapping[error_pb2.ErrorReason.ValueType, grpc.StatusCode] = {
    error_pb2.ERROR_REASON_INVALID_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    error_pb2.ERROR_REASON_MALFORMED_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    error_pb2.ERROR_REASON_NOT_IMPLEMENTED: grpc.StatusCode.UNIMPLEMENTED,
    error_pb2.ERROR_REASON_AGENT_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    error_pb2.ERROR_REASON_SESSION_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    error_pb2.ERROR_REASON_TOOL_USE_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    error_pb2.ERROR_REASON_TOOL_USE_CLOSED: grpc.StatusCode.FAILED_PRECONDITION,
    error_pb2.ERROR_REASON_SESSION_TERMINAL: grpc.StatusCode.FAILED_PRECONDITION,
    error_pb2.ERROR_REASON_AGENT_ARCHIVED: grpc.StatusCode.FAILED_PRECONDITION,
    error_pb2.ERROR_REASON_VERSION_CONFLICT: grpc.StatusCode.ABORTED,
    error_pb2.ERROR_REASON_REQUEST_ID_REUSED: grpc.StatusCode.ALREADY_EXISTS,
    error_pb2.ERROR_REASON_FROM_SEQ_BEYOND_HEAD: grpc.StatusCode.OUT_OF_RANGE,
    error_pb2.ERROR_REASON_LOG_REPLACED: grpc.StatusCode.FAILED_PRECONDITION,
    error_pb2.ERROR_REASON_EVENT_UNREADABLE: grpc.StatusCode.DATA_LOSS,
    error_pb2.ERROR_REASON_LIMIT_EXCEEDED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    error_pb2.ERROR_REASON_LOG_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    error_pb2.ERROR_REASON_DRAINING: grpc.StatusCode.UNAVAILABLE,
    error_pb2.ERROR_REASON_UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    error_pb2.ERROR_REASON_PROVIDER_UNUSABLE: grpc.StatusCode.FAILED_PRECONDITION,
    error_pb2.ERROR_REASON_TOOL_UNUSABLE: grpc.StatusCode.FAILED_PRECONDITION,
    error_pb2.ERROR_REASON_OUTCOME_ACTIVE: grpc.StatusCode.FAILED_PRECONDITION,
    error_pb2.ERROR_REASON_INTERNAL: grpc.StatusCode.INTERNAL,
    error_pb2.ERROR_REASON_INVALID_PAGE_TOKEN: grpc.StatusCode.INVALID_ARGUMENT,
    error_pb2.ERROR_REASON_DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
}

# A client refuses headers of more than 8 KiB in all. The message goes out twice, once percent-encoded (up to three
# times as long), and the details in base64.
MESSAGE_BYTES = 512
_VALUE_BYTES = 256
_DETAILS_BYTES = 2560

logger = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


class DeadlineExceeded(RuntimeFault):
    reason = error_pb2.ERROR_REASON_DEADLINE_EXCEEDED


class InternalFault(RuntimeFault):
    """A fault of ours. What it was stands in the server's log only, under `error_id`."""

    reason = error_pb2.ERROR_REASON_INTERNAL

    def __init__(self) -> None:
        self.error_id = ids.error_id()
        super().__init__(f"the server failed; its log has the details under {self.error_id}", error_id=self.error_id)


async def settle(work: Awaitable[_Answer]) -> _Answer | RuntimeFault:
    """Gives a refusal as a value, so that no failed call ends a task group. What is no refusal is logged."""
    try:
        return await work
    except RuntimeFault as fault:
        return fault
    except Exception:
        internal = InternalFault()
        logger.exception("a call failed", extra={"error_id": internal.error_id})
        return internal


async def refuse(context: "grpc.aio.ServicerContext[Any, Any]", fault: RuntimeFault) -> Never:
    status = to_status(fault)
    await context.abort(
        STATUS[fault.reason], status.message, (("grpc-status-details-bin", status.SerializeToString()),)
    )


def to_status(fault: RuntimeFault) -> status_pb2.Status:
    status = status_pb2.Status(code=STATUS[fault.reason].value[0], message=cut(fault.message, MESSAGE_BYTES))
    info = error_details_pb2.ErrorInfo(
        reason=reason_name(fault.reason),
        domain=DOMAIN,
        metadata={key: cut(value, _VALUE_BYTES) for key, value in fault.metadata.items()},
    )
    status.details.append(_pack(info))
    if fault.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(round(fault.retry_after * 1e9))
        status.details.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    if fault.violations:
        status.details.append(_pack(_bad_request(fault, _DETAILS_BYTES - status.ByteSize())))
    return status


def reason_name(reason: error_pb2.ErrorReason.ValueType) -> str:
    return error_pb2.ErrorReason.Name(reason).removeprefix("ERROR_REASON_")


def _bad_request(fault: RuntimeFault, room: int) -> error_details_pb2.BadRequest:
    """Names as many of the violations, from the first, as there is room for in bytes."""
    bad = error_details_pb2.BadRequest()
    for violation in fault.violations:
        bad.field_violations.add(
            field=cut(violation.field, _VALUE_BYTES), description=cut(violation.description, _VALUE_BYTES)
        )
        if bad.ByteSize() > room:
            del bad.field_violations[-1]
            break
    return bad


def _pack(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


def cut(text: str, most: int) -> str:
    """The text, or its beginning, in at most so many bytes of UTF-8."""
    encoded = text.encode()
    return text if len(encoded) <= most else encoded[: most - 3].decode(errors="ignore") + "…"
