"""The request of a step: its short ways spelt out, and what it leaves out put in."""

from typing import Any

from google.protobuf import json_format

from conformance.lines import Json
from managedagents.v1 import service_pb2 as pb

METHODS = {
    "create": "Create",
    "start": "StartSession",
    "send": "SendEvent",
    "answer": "SendEvent",
    "confirm": "SendEvent",
    "result": "SendEvent",
    "interrupt": "Interrupt",
    "pause": "Pause",
    "resume": "Resume",
    "status": "Status",
    "archive": "Archive",
    "delete": "DeleteSession",
    "get_agent": "GetAgent",
    "list_agents": "ListAgents",
    "update_agent": "UpdateAgent",
    "archive_agent": "ArchiveAgent",
    "get_session": "GetSession",
    "list_sessions": "ListSessions",
    "list_events": "ListEvents",
}
"""The call of each verb that is one."""


class Requests:
    def __init__(self, agent: Json) -> None:
        self.agent_id = ""
        """The last agent that was created."""
        self.session_id = ""
        """The last session that was started."""
        self._agent = agent

    def of(self, verb: str, given: Json) -> Any:
        return self.message(METHODS[verb], self._spelt_out(verb, given))

    def message(self, method: str, given: Json) -> Any:
        """What is left out is the last agent and the last session."""
        request = getattr(pb, f"{method}Request")()
        last = {"agent_id": self.agent_id, "session_id": self.session_id}
        defaults = {name: id_ for name, id_ in last.items() if name in request.DESCRIPTOR.fields_by_name}
        return json_format.ParseDict({**defaults, **given}, request)

    def _spelt_out(self, verb: str, given: Json) -> Json:
        match verb:
            case "create":
                return {"definition": self._agent, **given}
            case "start" if "texts" in given:
                given["initial_events"] = [_user_message(text) for text in given.pop("texts")]
            case "send" if "text" in given:
                given["event"] = _user_message(given.pop("text"))
            case "answer":
                given["event"] = {"user_custom_tool_result": _result("custom_tool_use_id", given)}
            case "result":
                given["event"] = {"user_tool_result": _result("tool_use_id", given)}
            case "confirm":
                given["event"] = {"user_tool_confirmation": _decided(given)}
        return given


def _content(text: str) -> Json:
    return [{"text": {"text": text}}]


def _user_message(text: str) -> Json:
    return {"user_message": {"content": _content(text)}}


# These take what they use out of the step.


def _result(id_field: str, given: Json) -> Json:
    result = {id_field: given.pop("use"), "content": _content(given.pop("text"))}
    if "is_error" in given:
        result["is_error"] = given.pop("is_error")
    return result


def _decided(given: Json) -> Json:
    decision = "TOOL_CONFIRMATION_ALLOW" if given.pop("allow") else "TOOL_CONFIRMATION_DENY"
    decided = {"tool_use_id": given.pop("use"), "decision": decision}
    if "message" in given:
        decided["deny_message"] = given.pop("message")
    return decided
