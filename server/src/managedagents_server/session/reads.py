"""The reads. They go to the log and start nothing: a session at rest, or an ended one, is read without waking it."""

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import session_pb2
from managedagents_server.log import EventRow, SessionRow
from managedagents_server.session import views
from managedagents_server.session.around import Around
from managedagents_server.session.live import LiveResponse
from managedagents_server.session.registry import Registry
from managedagents_server.session.state import State
from managedagents_server.words.errors import SessionNotFound
from managedagents_server.words.request import TENANT


class Reads:
    def __init__(self, around: Around, registry: Registry) -> None:
        self._around = around
        self._registry = registry

    async def _row(self, session_id: str) -> SessionRow:
        row = await self._around.log.session(TENANT, session_id)
        if row is None:
            raise SessionNotFound.of(session_id)
        return row

    async def status(self, request: pb.StatusRequest) -> pb.StatusResponse:
        row = await self._row(request.session_id)
        state = await self._registry.state_of(row)
        return views.status_response(state, await self._waiting(row, state))

    async def pending_actions(self, session_id: str) -> list[session_pb2.PendingAction]:
        """What Status tells of it. Of a session that was deleted meanwhile: nothing."""
        row = await self._around.log.session(TENANT, session_id)
        if row is None:
            return []
        state = await self._registry.state_of(row)
        return views.pending_actions(state, await self._waiting(row, state))

    async def _waiting(self, row: SessionRow, state: State) -> list[EventRow]:
        """The tool uses that wait for the client."""
        waiting = [] if state.terminal else state.waiting
        uses = [await self._around.log.event(row.key, state.uses[use_id].seq) for use_id in waiting]
        return [use for use in uses if use is not None]

    async def get_session(self, request: pb.GetSessionRequest) -> pb.GetSessionResponse:
        row = await self._row(request.session_id)
        return pb.GetSessionResponse(session=views.session(row, await self._registry.state_of(row)))

    async def list_sessions(self, request: pb.ListSessionsRequest) -> pb.ListSessionsResponse:
        size, before = views.page(request)
        rows, more = await self._around.log.sessions(
            TENANT,
            before=before,
            agent_id=request.agent_id,
            statuses=[int(status) for status in request.statuses],
            metadata=request.metadata,
            most_rows=size,
            most_bytes=views.PAGE_BYTES,
        )
        sessions = [views.session(row, await self._registry.state_of(row)) for row in rows]
        token = views.next_token(request, rows[-1].key) if more else ""
        return pb.ListSessionsResponse(sessions=sessions, next_page_token=token)

    async def list_events(self, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        return await views.list_events(self._around.log, await self._row(request.session_id), request)

    async def followed(self, session_id: str) -> tuple[SessionRow, State]:
        """What a stream opens with."""
        row = await self._row(session_id)
        return row, await self._registry.state_of(row)

    def live(self, session_id: str) -> LiveResponse | None:
        """The model response in the making."""
        session = self._registry.peek(session_id)
        return None if session is None else session.live
