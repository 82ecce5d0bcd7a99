"""What the protos name stands in the lines of some scenario, or in the table here, with its reason."""

import json
import re
from pathlib import Path

import pytest
from google.protobuf.descriptor import EnumDescriptor, OneofDescriptor

from conformance.requests import METHODS
from managedagents.v1 import error_pb2, event_pb2, service_pb2, status_event_pb2, stream_pb2, user_event_pb2

ROOT = Path(__file__).parents[2]
LINES = "".join(path.read_text("utf-8") for path in sorted(Path(__file__).parent.glob("scenarios/*.expected")))

REASONS_HAVE_CLASSES = {
    "clients/go/errors_test.go": "TestEveryReasonOfTheProtosHasAnErrorOfItsOwnKind",
    "clients/java/src/test/java/io/github/managedagents/ManagedAgentsExceptionTest.java": (
        "everyReasonOfTheProtoHasAClass"
    ),
    "clients/rust/tests/client/errors.rs": "every_reason_of_the_proto_has_a_kind_that_follows_from_it_alone",
    "clients/typescript/test/errors.test.ts": "every reason of the proto has a class",
    "tests/unit/client/test_errors.py": "test_every_reason_of_the_proto_has_a_class",
}
HALF_AN_ANSWER_IS_DISCARDED = {
    "clients/go/follow_patience_test.go": "TestHalfAnAnswerIsDiscardedWhenItsStreamIsCut",
    "clients/java/src/test/java/io/github/managedagents/FollowDeltasTest.java": (
        "halfAnAnswerIsDiscardedWhenItsStreamIsCut"
    ),
    "clients/rust/tests/client/follow_patience.rs": "half_an_answer_is_discarded_when_its_stream_is_cut",
    "clients/typescript/test/follow.test.ts": "half an answer is discarded when its stream is cut",
    "tests/unit/client/test_follow_patience.py": "test_half_an_answer_is_discarded_when_its_stream_is_cut",
}
EXCEPTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "reason NOT_IMPLEMENTED": ("nothing that the protos have is left to build", REASONS_HAVE_CLASSES),
    "reason DEADLINE_EXCEEDED": (
        "the client's clock starts first, so that its own end comes first: `failed deadline_exceeded`, of `deadline`",
        REASONS_HAVE_CLASSES,
    ),
    "message delta_discarded": (
        "whether it comes before the events that follow it is a matter of chance",
        HALF_AN_ANSWER_IS_DISCARDED,
    ),
}
"""What no line shows: why not, and the test of each language that shows it, by its file."""


def told(pattern: str) -> set[str]:
    """What stands there in the lines; the pattern has one group, and is matched from the beginning of a line."""
    return set(re.findall(rf"^{pattern}", LINES, re.MULTILINE))


def anywhere(pattern: str) -> set[str]:
    return set(re.findall(pattern, LINES))


def fields(oneof: OneofDescriptor, what: str) -> set[str]:
    return {f"{what} {field.name}" for field in oneof.fields}


def values(enum: EnumDescriptor, what: str, prefix: str) -> set[str]:
    """Zero means nothing."""
    return {f"{what} {value.name.removeprefix(prefix)}" for value in enum.values if value.number != 0}


def of_kind(kind: str) -> str:
    """The field that carries an event of it."""
    return kind.replace(".", "_", 1)


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


KINDS = {of_kind(kind) for kind in told(r"event \d+ (\S+)")}
ANSWERED = {METHODS.get(verb, verb) for verb in told(r"(\w+) \{")} | (
    {"StreamEvents"} if told(r"follow (log#)") else set()
)
MESSAGES = {
    *told(r"(caught_up|delta|progress|turn|ended) "),
    *({"opened"} if told(r"follow (log#)") else ()),
    *({"batch"} if KINDS else ()),
}
USER_EVENT = user_event_pb2.UserEvent.DESCRIPTOR.oneofs_by_name["event"]
STOP_REASON = status_event_pb2.StopReason.DESCRIPTOR.oneofs_by_name["reason"]

NAMED: dict[str, set[str]] = {
    "calls": {
        f"call {method.name}" for method in service_pb2.DESCRIPTOR.services_by_name["ManagedAgentRuntime"].methods
    },
    "session events": fields(event_pb2.SessionEvent.DESCRIPTOR.oneofs_by_name["payload"], "event"),
    "user events": fields(USER_EVENT, "user event"),
    "stop reasons": fields(STOP_REASON, "stop reason"),
    "reasons": values(error_pb2.ErrorReason.DESCRIPTOR, "reason", "ERROR_REASON_"),
    "ends": values(stream_pb2.StreamEndReason.DESCRIPTOR, "end", ""),
    "ends of turns": values(stream_pb2.TurnStopReason.DESCRIPTOR, "turn's end", ""),
    "messages": fields(service_pb2.StreamEventsResponse.DESCRIPTOR.oneofs_by_name["message"], "message"),
}
SHOWN: set[str] = {
    *(f"call {method}" for method in ANSWERED),
    *(f"event {field}" for field in KINDS),
    *(f"user event {field}" for field in KINDS),
    *(
        f"stop reason {field.name}"
        for field in STOP_REASON.fields
        if camel(field.name) in anywhere(r'"stopReason":\{"(\w+)"')
    ),
    *(f"reason {reason}" for reason in told(r".* refused \S+ (\S+)")),
    *(f"end {reason}" for reason in anywhere(r"\bSTREAM_END_REASON_\w+")),
    *(f"turn's end {reason}" for reason in anywhere(r"\bTURN_STOP_REASON_\w+")),
    *(f"message {field}" for field in MESSAGES),
}


@pytest.mark.parametrize("what", NAMED)
def test_whatever_a_client_can_meet_is_met_in_a_scenario(what: str) -> None:
    assert NAMED[what] - SHOWN - set(EXCEPTIONS) == set()


def test_an_exception_is_of_something_that_no_scenario_shows() -> None:
    assert set(EXCEPTIONS) <= set().union(*NAMED.values()) - SHOWN


@pytest.mark.parametrize("what", EXCEPTIONS)
def test_an_exception_is_tested_in_every_language(what: str) -> None:
    _, tests = EXCEPTIONS[what]
    assert [file for file, name in tests.items() if name not in (ROOT / file).read_text("utf-8")] == []


def test_every_call_but_the_stream_is_a_verb() -> None:
    verbs = json.loads((Path(__file__).parent / "scenario.schema.json").read_text("utf-8"))["$defs"]["step"][
        "properties"
    ]
    assert set(METHODS) <= set(verbs)
    assert {f"call {method}" for method in (*METHODS.values(), "StreamEvents")} == NAMED["calls"]
