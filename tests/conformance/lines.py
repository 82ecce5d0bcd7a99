"""The words of the lines: JSON with sorted keys, names for ids, stars for what changes from run to run."""

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from managedagents import (
    DeadlineExceededError,
    ManagedAgentsError,
    NoAnswerError,
    NotThisServiceError,
    PromiseBrokenError,
)
from managedagents.v1 import event_pb2
from support.calls import kind

Json = Any

# What the client finds by itself, where no server gave a reason.
_FAILURES: Mapping[type[ManagedAgentsError], str] = {
    NoAnswerError: "no_answer",
    DeadlineExceededError: "deadline_exceeded",
    NotThisServiceError: "not_this_service",
    PromiseBrokenError: "promise_broken",
}

_NAMED = {
    "agentId": "agt",
    "sessionId": "ses",
    "customToolUseId": "use",
    "toolUseId": "use",
    "responseId": "rsp",
    "logId": "log",
    "log_id": "log",
    "nextPageToken": "tok",
}
_STARRED = {
    "createTime",
    "updateTime",
    "archiveTime",
    "deadline",
    "wakeTime",
    "delay",
    "pausedFor",
    "message",
    "error_id",
}


class Names:
    """Ids by their names, in the order in which they were first seen."""

    def __init__(self) -> None:
        self._name_of: dict[str, str] = {}
        self._id_of: dict[str, str] = {}

    def stable(self, value: Json, key: str = "") -> Json:
        match value:
            case dict():
                return {name: self.stable(value[name], name) for name in sorted(value)}
            case list():
                return [self.stable(item, key) for item in value]
            case str() if key in _STARRED:
                return "*"
            case str():
                if key in _NAMED and value not in self._name_of:
                    prefix = _NAMED[key]
                    name = f"{prefix}#{1 + sum(known.startswith(prefix) for known in self._id_of)}"
                    self._name_of[value], self._id_of[name] = name, value
                return self._name_of.get(value, value)
            case _:
                return value

    def ids(self, value: Json) -> Json:
        """The other way: what a step says, with ids for names."""
        match value:
            case dict():
                return {name: self.ids(item) for name, item in value.items()}
            case list():
                return [self.ids(item) for item in value]
            case str():
                return self._id_of.get(value, value)
            case _:
                return value

    def message(self, message: Message) -> Json:
        return self.stable(json_format.MessageToDict(message))

    def event(self, event: event_pb2.SessionEvent) -> str:
        said = self.message(event)
        rest = {name: said[name] for name in said if name not in ("seq", "turn", "createTime")}
        return f"event {event.seq} {kind(event)} turn={event.turn} {dump(rest)}"

    def payload(self, event: event_pb2.SessionEvent) -> Json:
        return self.message(getattr(event, event.WhichOneof("payload") or ""))

    def failure(self, error: ManagedAgentsError) -> str:
        """What stands behind the verb."""
        if error.reason is None:
            return f"failed {_FAILURES[type(error)]}"
        assert error.code is not None, "a server that gives a reason gives a code"
        fields = [violation.field for violation in error.violations]
        said = {"fields": fields, "metadata": error.metadata, "retry": error.retry_after is not None}
        return f"refused {error.code.name} {error.reason} {dump(self.stable(said))}"


def has(said: Json, wanted: Json) -> bool:
    """Every field that is wanted is there; others may be, too."""
    if isinstance(wanted, Mapping) and isinstance(said, Mapping):
        return all(name in said and has(said[name], value) for name, value in wanted.items())
    return bool(said == wanted)


def dump(value: Json) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
