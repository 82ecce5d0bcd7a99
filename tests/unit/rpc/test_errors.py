"""How a refusal looks on the wire."""

import logging
from pathlib import Path
from typing import TypeVar

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from managedagents.v1 import error_pb2
from managedagents_server.rpc.errors import STATUS, DeadlineExceeded, InternalFault, settle, to_status
from managedagents_server.words import errors
from managedagents_server.words.errors import Draining, InvalidRequest, LimitExceeded, RuntimeFault, Violation

Detail = TypeVar("Detail", bound=Message)

# What a client takes as headers, all of them together.
HEADER_BYTES = 8192


def detail(status: status_pb2.Status, kind: type[Detail]) -> Detail | None:
    found = kind()
    return found if any(packed.Unpack(found) for packed in status.details) else None


def faults() -> list[type[RuntimeFault]]:
    named = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RuntimeFault)]
    return [kind for kind in named if kind is not RuntimeFault] + [DeadlineExceeded, InternalFault]


def test_every_reason_has_a_status() -> None:
    assert set(STATUS) == set(error_pb2.ErrorReason.values()) - {error_pb2.ERROR_REASON_UNSPECIFIED}


def test_every_reason_has_one_exception() -> None:
    assert sorted(kind.reason for kind in faults()) == sorted(STATUS)


@pytest.mark.parametrize("reason", STATUS, ids=error_pb2.ErrorReason.Name)
def test_the_status_is_the_one_that_the_proto_tells(reason: error_pb2.ErrorReason.ValueType) -> None:
    """The comments of the proto are the documentation; the first word of each is the status."""
    text = Path(error_pb2.__file__).with_suffix(".pyi").read_text("utf-8")
    name = error_pb2.ErrorReason.Name(reason)
    comment = text.split(f"\n{name}: ")[1].split('"""')[1]
    assert comment.split(".")[0] == STATUS[reason].name


def test_a_refusal_carries_reason_domain_and_metadata() -> None:
    status = to_status(LimitExceeded("too many", limit="tools", value=128))
    assert status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    assert status.message == "too many"
    assert detail(status, error_details_pb2.ErrorInfo) == error_details_pb2.ErrorInfo(
        reason="LIMIT_EXCEEDED", domain="managedagents", metadata={"limit": "tools", "value": "128"}
    )
    assert detail(status, error_details_pb2.BadRequest) is None
    assert detail(status, error_details_pb2.RetryInfo) is None


def test_a_bad_request_names_each_field() -> None:
    status = to_status(InvalidRequest.of(Violation("a.b[1]", "is required"), Violation("c", "is wrong")))
    bad = detail(status, error_details_pb2.BadRequest)
    assert bad is not None
    assert [(item.field, item.description) for item in bad.field_violations] == [
        ("a.b[1]", "is required"),
        ("c", "is wrong"),
    ]


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, (0, 0)), (1.0, (1, 0)), (2.5, (2, 500_000_000))])
def test_retry_info_is_there_where_waiting_helps(seconds: float, expected: tuple[int, int]) -> None:
    retry = detail(to_status(Draining("later", retry_after=seconds)), error_details_pb2.RetryInfo)
    assert retry is not None
    assert (retry.retry_delay.seconds, retry.retry_delay.nanos) == expected


def test_a_refusal_fits_into_the_headers_of_an_answer() -> None:
    violations = [Violation(f"metadata[{'ü' * 3000}{index}]", "ö" * 3000) for index in range(20)]
    fault = InvalidRequest("ä" * 100_000, violations=violations, status="é" * 5000)
    status = to_status(fault)
    bad = detail(status, error_details_pb2.BadRequest)
    assert bad is not None
    assert 0 < len(bad.field_violations) < len(violations)
    # The message is percent-encoded, the details are in base64.
    assert 3 * len(status.message.encode()) + 4 * status.ByteSize() // 3 < HEADER_BYTES


async def test_an_answer_passes() -> None:
    async def work() -> bytes:
        return b"answer"

    assert await settle(work()) == b"answer"


async def test_a_refusal_becomes_a_value() -> None:
    fault = Draining("later")

    async def work() -> bytes:
        raise fault

    assert await settle(work()) is fault


async def test_what_is_no_refusal_is_internal_and_only_the_log_tells_it(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> bytes:
        raise RuntimeError("the password is swordfish")

    with caplog.at_level(logging.ERROR):
        outcome = await settle(work())
    assert isinstance(outcome, InternalFault)
    status = to_status(outcome)
    assert b"swordfish" not in status.SerializeToString()
    info = detail(status, error_details_pb2.ErrorInfo)
    assert info is not None
    assert info.metadata["error_id"] == outcome.error_id
    [record] = caplog.records
    assert vars(record)["error_id"] == outcome.error_id
    assert "swordfish" in caplog.text
