"""There is one class for each reason, and each carries what its caller needs."""

import importlib
import pkgutil

import pytest

import managedagents_server
from managedagents.v1 import error_pb2
from managedagents_server.words.errors import InvalidRequest, LimitExceeded, RuntimeFault, Violation


def every_fault() -> list[type[RuntimeFault]]:
    for module in pkgutil.walk_packages(managedagents_server.__path__, "managedagents_server."):
        if ".rpc." in module.name:
            importlib.import_module(module.name)
    return [fault for fault in RuntimeFault.__subclasses__() if fault.__module__.startswith("managedagents_server.")]


def test_every_reason_of_the_protos_has_one_class() -> None:
    reasons = sorted(fault.reason for fault in every_fault())
    assert reasons == sorted(set(error_pb2.ErrorReason.values()) - {error_pb2.ERROR_REASON_UNSPECIFIED})


def test_a_bad_request_names_every_field_in_its_message_too() -> None:
    first, second = Violation("definition.name", "is required"), Violation("definition.tools[1]", "is a twin")
    fault = InvalidRequest.of(first, second)
    assert fault.violations == (first, second)
    assert fault.message == "definition.name: is required; definition.tools[1]: is a twin"


@pytest.mark.parametrize("retry_after", [None, 0.0, 1.5])
def test_metadata_goes_out_as_text_and_waiting_is_advised_only_on_purpose(retry_after: float | None) -> None:
    fault = LimitExceeded("full", retry_after=retry_after, limit="streams", value=7)
    assert fault.metadata == {"limit": "streams", "value": "7"}
    assert fault.retry_after == retry_after
    assert str(fault) == "full"
