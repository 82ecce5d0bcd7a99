"""The methods: how each one's request is checked, and what answers it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from managedagents.v1 import service_pb2
from managedagents_server.rpc import validate
from managedagents_server.rpc.follow import Followers
from managedagents_server.session import Runtime
from managedagents_server.words.limits import Limits
from managedagents_server.words.request import RequestKey

Validate = Callable[[Any, Limits], None]


@dataclass(frozen=True, slots=True)
class Read:
    """Changes nothing."""

    validate: Validate
    run: Callable[[Any], Awaitable[Message]]


@dataclass(frozen=True, slots=True)
class Change:
    """Happens once for one request id. `run` keeps the answer in the write that it is an answer to."""

    validate: Validate
    run: Callable[[Any, RequestKey | None], Awaitable[Message]]
    slow: Callable[[Any], bool] = lambda _: False
    """Whether validating a request can take a second, so that it is done in a thread."""


@dataclass(frozen=True, slots=True)
class Follow:
    """Answers with a stream of serialized messages."""

    validate: Validate
    run: Callable[[Any, Callable[[bytes], Awaitable[None]]], Awaitable[None]]


Method = Read | Change | Follow


def _has_overrides(request: service_pb2.StartSessionRequest) -> bool:
    return request.HasField("overrides")


def methods(runtime: Runtime, followers: Followers) -> Mapping[str, Method]:
    agents, changes, reads = runtime.agents, runtime.changes, runtime.reads
    return {
        "Create": Change(validate.create, agents.create, slow=lambda _: True),
        "StartSession": Change(validate.start_session, runtime.starts.start_session, slow=_has_overrides),
        "SendEvent": Change(validate.send_event, changes.send_event),
        "StreamEvents": Follow(validate.stream_events, followers.follow),
        "Interrupt": Change(validate.change_session, changes.interrupt),
        "Pause": Change(validate.change_session, changes.pause),
        "Resume": Change(validate.change_session, changes.resume),
        "Status": Read(validate.on_session, reads.status),
        "Archive": Change(validate.change_session, changes.archive),
        "DeleteSession": Change(validate.change_session, changes.delete_session),
        "GetAgent": Read(validate.get_agent, agents.get),
        "ListAgents": Read(validate.list_agents, agents.list),
        "UpdateAgent": Change(validate.update_agent, agents.update, slow=lambda _: True),
        "ArchiveAgent": Change(validate.archive_agent, agents.archive),
        "GetSession": Read(validate.on_session, reads.get_session),
        "ListSessions": Read(validate.list_sessions, reads.list_sessions),
        "ListEvents": Read(validate.list_events, reads.list_events),
    }
