"""From a status to an exception."""

import pickle
from typing import Any

import grpc
import pytest

from managedagents import (
    InvalidRequestError,
    LimitExceededError,
    ManagedAgentsError,
    NoAnswerError,
    NotThisServiceError,
)
from managedagents._errors import BY_REASON
from managedagents._status import error_of, is_passing
from managedagents.v1 import error_pb2
from support.fake_service import details


def failure(code: grpc.StatusCode, details_bin: bytes | None = None, text: str = "words") -> grpc.aio.AioRpcError:
    pairs = () if details_bin is None else (("grpc-status-details-bin", details_bin),)
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*pairs), text)


def error(code: grpc.StatusCode, reason: str = "", **more: Any) -> ManagedAgentsError:
    status = details(code, reason, **more)
    return error_of(failure(code, status.SerializeToString()), "host:1", answered=True)


def test_every_reason_of_the_proto_has_a_class() -> None:
    names = {name.removeprefix("ERROR_REASON_") for name, _ in error_pb2.ErrorReason.items()}
    assert set(BY_REASON) == names - {"UNSPECIFIED"}


def test_the_class_follows_from_the_reason_alone() -> None:
    for reason, cls in BY_REASON.items():
        found = error(grpc.StatusCode.FAILED_PRECONDITION, reason)
        assert type(found) is cls
        assert found.reason == reason


def test_an_unknown_reason_is_the_base_error_with_that_reason() -> None:
    found = error(grpc.StatusCode.FAILED_PRECONDITION, "NEW_ONE")
    assert type(found) is ManagedAgentsError
    assert found.reason == "NEW_ONE"


def test_violations_metadata_and_delay_are_carried() -> None:
    bad = error(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", fields={"definition.name": "is required"})
    assert isinstance(bad, InvalidRequestError)
    assert [(v.field, v.description) for v in bad.violations] == [("definition.name", "is required")]
    full = error(grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED", retry_after=1.5, limit="streams", value="3")
    assert isinstance(full, LimitExceededError)
    assert full.metadata == {"limit": "streams", "value": "3"}
    assert full.retry_after == 1.5
    assert is_passing(full)
    assert not is_passing(bad)


def test_a_reason_of_another_domain_is_not_ours() -> None:
    assert error(grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND", domain="elsewhere").reason is None


def test_no_server_is_told_with_its_address() -> None:
    never = error_of(failure(grpc.StatusCode.UNAVAILABLE), "host:1", answered=False)
    assert isinstance(never, NoAnswerError)
    assert never.message.startswith("no server at host:1")
    assert is_passing(never)


def test_a_stream_that_a_proxy_reset_was_cut_and_a_fault_of_the_server_was_not() -> None:
    reset = error_of(failure(grpc.StatusCode.INTERNAL), "host:1", answered=True)
    assert isinstance(reset, NoAnswerError)
    assert is_passing(reset)
    assert not is_passing(error(grpc.StatusCode.INTERNAL, "INTERNAL"))


def test_another_service_is_told_as_such() -> None:
    other = error_of(failure(grpc.StatusCode.UNIMPLEMENTED), "host:1", answered=False)
    assert isinstance(other, NotThisServiceError)


def test_details_that_cannot_be_read_leave_the_code() -> None:
    found = error_of(failure(grpc.StatusCode.INTERNAL, b"\xff\xff"), "host:1", answered=True)
    assert found.code is grpc.StatusCode.INTERNAL
    assert "words" in found.message


@pytest.mark.parametrize("reason", ["LIMIT_EXCEEDED", "NEW_ONE"])
def test_an_error_survives_pickling(reason: str) -> None:
    before = error(grpc.StatusCode.RESOURCE_EXHAUSTED, reason, retry_after=1.0, limit="streams")
    after = pickle.loads(pickle.dumps(before))
    assert type(after) is type(before)
    assert (str(after), after.reason, after.metadata) == (str(before), reason, {"limit": "streams"})
