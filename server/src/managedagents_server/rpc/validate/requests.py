"""One function for each shape of request."""

from collections.abc import Sequence
from typing import Protocol

from managedagents.v1 import event_pb2, service_pb2, session_pb2
from managedagents_server.rpc.validate.content import check_event
from managedagents_server.rpc.validate.definition import check_definition, check_tools
from managedagents_server.rpc.validate.environment import check_environment
from managedagents_server.rpc.validate.model import check_model
from managedagents_server.rpc.validate.problems import Problems, limit
from managedagents_server.words.limits import Limits

_PAGE_MOST = 1000

KINDS = frozenset(
    field.name.replace("_", ".", 1) for field in event_pb2.SessionEvent.DESCRIPTOR.oneofs_by_name["payload"].fields
)
"""The kinds of session events, as a filter names them."""


class _OnSession(Protocol):
    session_id: str


class _ChangesSession(Protocol):
    session_id: str
    request_id: str


def create(request: service_pb2.CreateRequest, limits: Limits) -> None:
    with Problems() as problems:
        problems.request_id(request.request_id)
        if request.HasField("definition"):
            check_definition(problems, "definition", request.definition, limits)
        else:
            problems.wrong("definition", "is required")


def start_session(request: service_pb2.StartSessionRequest, limits: Limits) -> None:
    with Problems() as problems:
        problems.required("agent_id", request.agent_id)
        problems.request_id(request.request_id)
        problems.metadata("metadata", request.metadata)
        for index, event in enumerate(request.initial_events):
            if problems.full:
                break
            check_event(problems, f"initial_events[{index}]", event, limits)
        if request.HasField("overrides"):
            _check_overrides(problems, "overrides", request.overrides, limits)
        if request.HasField("environment"):
            check_environment(problems, "environment", request.environment, limits)


def _check_overrides(problems: Problems, path: str, overrides: session_pb2.SessionOverrides, limits: Limits) -> None:
    limit("definition_bytes", f"the size of {path} in bytes", overrides.ByteSize(), limits.definition_bytes)
    if overrides.HasField("model"):
        check_model(problems, f"{path}.model", overrides.model)
    check_tools(problems, f"{path}.tools.tools", overrides.tools.tools, limits)


def send_event(request: service_pb2.SendEventRequest, limits: Limits) -> None:
    with Problems() as problems:
        problems.required("session_id", request.session_id)
        problems.request_id(request.request_id)
        if request.HasField("event"):
            check_event(problems, "event", request.event, limits)
        else:
            problems.wrong("event", "is required")


def stream_events(request: service_pb2.StreamEventsRequest, _limits: Limits) -> None:
    with Problems() as problems:
        problems.required("session_id", request.session_id)
        _check_kinds(problems, request.kinds)


def list_events(request: service_pb2.ListEventsRequest, _limits: Limits) -> None:
    with Problems() as problems:
        problems.required("session_id", request.session_id)
        _check_kinds(problems, request.kinds)
        problems.between("page_size", request.page_size, 0, _PAGE_MOST)


def list_agents(request: service_pb2.ListAgentsRequest, _limits: Limits) -> None:
    with Problems() as problems:
        problems.metadata("metadata", request.metadata)
        problems.between("page_size", request.page_size, 0, _PAGE_MOST)


def list_sessions(request: service_pb2.ListSessionsRequest, _limits: Limits) -> None:
    with Problems() as problems:
        if session_pb2.SESSION_STATUS_UNSPECIFIED in request.statuses:
            index = list(request.statuses).index(session_pb2.SESSION_STATUS_UNSPECIFIED)
            problems.wrong(f"statuses[{index}]", "must be a status")
        problems.metadata("metadata", request.metadata)
        problems.between("page_size", request.page_size, 0, _PAGE_MOST)


def on_session(request: _OnSession, _limits: Limits) -> None:
    """For a request that names a session and says nothing else that could be wrong."""
    with Problems() as problems:
        problems.required("session_id", request.session_id)


def change_session(request: _ChangesSession, _limits: Limits) -> None:
    """The same, with a request id."""
    with Problems() as problems:
        problems.required("session_id", request.session_id)
        problems.request_id(request.request_id)


def get_agent(request: service_pb2.GetAgentRequest, _limits: Limits) -> None:
    with Problems() as problems:
        problems.required("agent_id", request.agent_id)


def update_agent(request: service_pb2.UpdateAgentRequest, limits: Limits) -> None:
    with Problems() as problems:
        problems.required("agent_id", request.agent_id)
        problems.request_id(request.request_id)
        problems.between("version", request.version, 1, 2**63 - 1)
        if request.HasField("definition"):
            check_definition(problems, "definition", request.definition, limits, may_keep_key=True)
        else:
            problems.wrong("definition", "is required")


def archive_agent(request: service_pb2.ArchiveAgentRequest, _limits: Limits) -> None:
    with Problems() as problems:
        problems.required("agent_id", request.agent_id)
        problems.request_id(request.request_id)


def _check_kinds(problems: Problems, kinds: Sequence[str]) -> None:
    for index, kind in enumerate(kinds):
        if kind not in KINDS:
            problems.wrong(f"kinds[{index}]", f"{kind!r} is no kind of session event")
            if problems.full:
                return
