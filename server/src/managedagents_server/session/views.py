"""What callers are shown of rows and states."""

import base64
import binascii
import copy
import hashlib
import json
from collections.abc import Mapping, Sequence

from managedagents.v1 import agent_pb2, event_pb2, session_pb2
from managedagents.v1 import service_pb2 as pb
from managedagents_server.log import AgentRow, EventRow, Log, SessionRow
from managedagents_server.session.events import timestamp
from managedagents_server.session.frames import from_row
from managedagents_server.session.state import Next, Spent, State
from managedagents_server.words.errors import EventUnreadable, FromSeqBeyondHead, InvalidPageToken, SessionNotFound

PagedRequest = pb.ListAgentsRequest | pb.ListSessionsRequest | pb.ListEventsRequest

_PAGE = 50
_EVENTS_PAGE = 100
PAGE_BYTES = 1024 * 1024
"""At about as much a page ends."""


def status(value: int) -> session_pb2.SessionStatus.ValueType:
    return session_pb2.SessionStatus.ValueType(value)


def dump_metadata(metadata: Mapping[str, str]) -> str:
    return json.dumps(dict(metadata), ensure_ascii=False, sort_keys=True)


def agent(row: AgentRow) -> agent_pb2.Agent:
    _, *spent = row.usage
    return agent_pb2.Agent(
        agent_id=row.agent_id,
        version=row.version,
        definition=agent_pb2.AgentDefinition.FromString(row.definition),
        create_time=timestamp(row.create_time),
        update_time=timestamp(row.update_time),
        archive_time=None if row.archive_time is None else timestamp(row.archive_time),
        usage=Spent(*spent).message(),
    )


def session(row: SessionRow, state: State) -> session_pb2.Session:
    return session_pb2.Session(
        session_id=row.session_id,
        agent_id=row.agent_id,
        agent_version=row.agent_version,
        status=status(state.status),
        state=status(state.state),
        paused=bool(state.paused_seq),
        head_seq=row.head_seq,
        usage=state.spent.message(),
        metadata=json.loads(row.metadata),
        create_time=timestamp(row.create_time),
        update_time=timestamp(row.update_time),
        overrides=None if row.overrides is None else session_pb2.SessionOverrides.FromString(row.overrides),
    )


def use_id(row: EventRow) -> str:
    """The id of the tool use that the row holds; empty: it holds none."""
    used = _used(from_row(row))
    return "" if used is None else used[0]


def _used(event: event_pb2.SessionEvent) -> tuple[str, str, str] | None:
    """Id, name and input of the tool use."""
    match event.WhichOneof("payload"):
        case "agent_custom_tool_use":
            custom = event.agent_custom_tool_use
            return custom.custom_tool_use_id, custom.name, custom.input_json
        case "agent_tool_use":
            return event.agent_tool_use.tool_use_id, event.agent_tool_use.name, event.agent_tool_use.input_json
        case "agent_mcp_tool_use":
            mcp = event.agent_mcp_tool_use
            return mcp.tool_use_id, mcp.name, mcp.input_json
        case _:
            return None


def status_response(state: State, uses: Sequence[EventRow]) -> pb.StatusResponse:
    return pb.StatusResponse(
        status=status(state.status),
        state=status(state.state),
        paused=bool(state.paused_seq),
        head_seq=state.head,
        turn=0 if state.terminal else state.turn,
        queued_messages=0 if state.terminal else len(state.queue),
        pending_actions=pending_actions(state, uses),
        usage=state.spent.message(),
    )


def pending_actions(state: State, uses: Sequence[EventRow]) -> list[session_pb2.PendingAction]:
    return [_pending(state, from_row(row)) for row in uses]


_KINDS = {
    Next.CUSTOM_RESULT: session_pb2.PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT,
    Next.CONFIRMATION: session_pb2.PENDING_ACTION_KIND_TOOL_CONFIRMATION,
    Next.RESULT: session_pb2.PENDING_ACTION_KIND_TOOL_RESULT,
}


def _pending(state: State, event: event_pb2.SessionEvent) -> session_pb2.PendingAction:
    used = _used(event)
    if used is None:
        raise EventUnreadable.of(event.seq)
    use_id, name, input_json = used
    use = state.uses[use_id]
    return session_pb2.PendingAction(
        server_name=event.agent_mcp_tool_use.server_name,
        runs_at_client=use.at_client,
        tool_use_id=use_id,
        kind=_KINDS[use.next],
        name=name,
        input_json=input_json,
        seq=event.seq,
        deadline=timestamp(use.deadline),
    )


async def list_events(log: Log, row: SessionRow, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
    if request.from_seq > row.head_seq:
        raise FromSeqBeyondHead(f"from_seq {request.from_seq} is beyond the head {row.head_seq}", head_seq=row.head_seq)
    size, after = page(request, _EVENTS_PAGE)
    cursor = request.from_seq if after is None else after
    events: list[event_pb2.SessionEvent] = []
    room = PAGE_BYTES
    kinds = frozenset(request.kinds)
    while cursor < row.head_seq and len(events) < size and room > 0:
        for found in await log.events(row.key, cursor, most_rows=1000, most_bytes=room):
            if found.seq != cursor + 1:
                # Its purge has begun meanwhile.
                raise SessionNotFound.of(row.session_id)
            if len(events) == size or room <= 0 or found.seq > row.head_seq:
                break
            if not kinds or found.kind in kinds:
                try:
                    events.append(from_row(found))
                except EventUnreadable:
                    if not events:
                        raise
                    # A page of its own says so; this one ends before it.
                    return pb.ListEventsResponse(events=events, next_page_token=next_token(request, cursor))
                room -= len(found.frame)
            cursor = found.seq
    token = next_token(request, cursor) if cursor < row.head_seq else ""
    return pb.ListEventsResponse(events=events, next_page_token=token)


# Page tokens: the last row's key, and a mark of the filters that the page was asked with.


def _mark(request: PagedRequest, key: int) -> str:
    filters = copy.deepcopy(request)
    filters.ClearField("page_token")
    filters.ClearField("page_size")
    content = f"{type(request).__name__} {key} ".encode() + filters.SerializeToString(deterministic=True)
    return hashlib.sha256(content).hexdigest()[:12]


def next_token(request: PagedRequest, key: int) -> str:
    return base64.urlsafe_b64encode(f"{key}.{_mark(request, key)}".encode()).decode().rstrip("=")


def page(request: PagedRequest, default: int = _PAGE) -> tuple[int, int | None]:
    """How many rows, and the key that the page before ended with; None: the first page."""
    size = request.page_size or default
    if not request.page_token:
        return size, None
    token = request.page_token
    try:
        key, _, mark = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode().partition(".")
        number = int(key)
    except (binascii.Error, ValueError) as error:
        raise InvalidPageToken("the page token is none of this server's") from error
    if not 0 <= number < 2**63 or mark != _mark(request, number):
        raise InvalidPageToken("the page token is none of this server's, or belongs to a request with other filters")
    return size, number
