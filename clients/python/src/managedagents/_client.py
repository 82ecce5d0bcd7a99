"""The client: one method for each call, with a request id of its own for each that changes something."""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Literal, TypeVar, overload

import grpc

from managedagents._calls import Calls
from managedagents._channel import TLS, open_channel
from managedagents._definition import (
    Definition,
    Environment,
    Overrides,
    parse_definition,
    parse_environment,
    parse_overrides,
)
from managedagents._events import Message, user_event
from managedagents._follow import Follow, FollowItem, TurnItem
from managedagents._run import Confirm, OnEvent, Run, RunResult
from managedagents._tools import Answers, Tools
from managedagents.v1 import agent_pb2, event_pb2, service_pb2, service_pb2_grpc, session_pb2, user_event_pb2

PageRequest = TypeVar(
    "PageRequest", service_pb2.ListAgentsRequest, service_pb2.ListSessionsRequest, service_pb2.ListEventsRequest
)
Page = TypeVar("Page", service_pb2.ListAgentsResponse, service_pb2.ListSessionsResponse, service_pb2.ListEventsResponse)


class Client:
    """A client of one managed agents server; `async with Client.connect("127.0.0.1:50051") as client:`.

    Every call that changes something takes a `request_id`; without one the client makes one. It is kept over the
    retries of the call, so that it happens once however often the connection breaks. Give one of your own (up to 128
    bytes) where the same call may be made again by another process.

    What fails raises a ManagedAgentsError. A call that may pass is asked again by itself.
    """

    def __init__(self, calls: Calls, channel: grpc.aio.Channel, *, heartbeat_timeout: float) -> None:
        """Made by `connect`."""
        self._calls, self._channel = calls, channel
        self._stub = service_pb2_grpc.ManagedAgentRuntimeStub(channel)
        self._heartbeat_timeout = heartbeat_timeout
        self._answers = Answers()

    @classmethod
    def connect(
        cls,
        address: str,
        *,
        token: str | None = None,
        tls: TLS | bool | None = None,
        connect_timeout: float = 5.0,
        patience: float = 60.0,
        heartbeat_timeout: float = 30.0,
    ) -> "Client":
        """A client of the server at `address` (host and port), to be used with `async with` in a running event loop.

        The connection is made by the first call. `token`: sent as a bearer token. `tls`: True, or a TLS; None is plain
        text. Times are in seconds. `connect_timeout`: how long to try a server that has never answered. `patience`:
        how long to go on with one that has, and how long one call may take; 0: each call is made once, and takes what
        it takes. `heartbeat_timeout`: how long a followed session may be silent before its stream counts as cut (the
        server gives a sign of life every 10).
        """
        calls = Calls(address, token=token, connect_timeout=connect_timeout, patience=patience)
        return cls(calls, open_channel(address, tls), heartbeat_timeout=heartbeat_timeout)

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls that are under way are cancelled."""
        await self._channel.close()

    # The ten calls of the trait.

    async def create(self, definition: Definition, *, request_id: str | None = None) -> service_pb2.CreateResponse:
        """Create an agent. The definition may be plain values, with a tool's `input_schema` written inline."""
        request = service_pb2.CreateRequest(definition=parse_definition(definition), request_id=_id(request_id))
        return await self._calls.unary(self._stub.Create, request)

    async def start_session(
        self,
        agent_id: str,
        *,
        message: Message | None = None,
        initial: Sequence[user_event_pb2.UserEvent] = (),
        version: int | None = None,
        overrides: Overrides | None = None,
        environment: Environment | None = None,
        metadata: Mapping[str, str] | None = None,
        request_id: str | None = None,
    ) -> service_pb2.StartSessionResponse:
        """Start a session. Its log begins with the events of `initial` and then `message`, in the same write.

        `version`: the agent's; None is the newest. `overrides`: the model, system and tools that it has instead.
        `environment`: what its tools at the server find around them, say `{"env": {"LANG": "C"}, "network": True}`.
        """
        events = [*initial, *([] if message is None else [user_event(message)])]
        request = service_pb2.StartSessionRequest(
            agent_id=agent_id,
            version=version,
            overrides=None if overrides is None else parse_overrides(overrides),
            environment=None if environment is None else parse_environment(environment),
            metadata=metadata,
            initial_events=events,
            request_id=_id(request_id),
        )
        return await self._calls.unary(self._stub.StartSession, request)

    async def send(self, session_id: str, event: Message, *, request_id: str | None = None) -> int:
        """Send an event, or a text as a user.message. Returns its seq: it is in the log."""
        request = service_pb2.SendEventRequest(
            session_id=session_id, event=user_event(event), request_id=_id(request_id)
        )
        return (await self._calls.unary(self._stub.SendEvent, request)).seq

    @overload
    def follow(
        self,
        session_id: str,
        from_seq: int | None = 0,
        *,
        kinds: Sequence[str] = (),
        log_id: str | None = None,
        deltas: Literal[False] = False,
        turn: Literal[0] = 0,
    ) -> Follow[event_pb2.SessionEvent]: ...

    @overload
    def follow(
        self,
        session_id: str,
        from_seq: int | None = 0,
        *,
        kinds: Sequence[str] = (),
        log_id: str | None = None,
        deltas: bool,
        turn: Literal[0] = 0,
    ) -> Follow[FollowItem]: ...

    @overload
    def follow(
        self,
        session_id: str,
        from_seq: int | None = 0,
        *,
        kinds: Sequence[str] = (),
        log_id: str | None = None,
        deltas: bool = False,
        turn: int,
    ) -> Follow[TurnItem]: ...

    def follow(
        self,
        session_id: str,
        from_seq: int | None = 0,
        *,
        kinds: Sequence[str] = (),
        log_id: str | None = None,
        deltas: bool = False,
        turn: int = 0,
    ) -> Follow[event_pb2.SessionEvent] | Follow[FollowItem] | Follow[TurnItem]:
        """Follow a session: all events after `from_seq`, then what comes, across cuts and restarts of the server.

        `from_seq`: 0 is the whole log; None is only what comes from now on. `kinds`: only these, say `agent.message`;
        empty is all. `log_id`: the history that `from_seq` belongs to, from an earlier follow. `deltas`: also what a
        model is in the middle of saying.
        `turn`: the seq of a message or outcome: only the events of its turn, and where it stands as `StreamTurn`, until
        it is over; 0 is the whole session.
        """
        return Follow(
            self._calls,
            self._stub,
            session_id,
            from_seq=from_seq,
            log_id=log_id,
            kinds=kinds,
            deltas=deltas,
            turn=turn,
            heartbeat_timeout=self._heartbeat_timeout,
        )

    async def interrupt(
        self, session_id: str, *, drop_queued: bool = False, request_id: str | None = None
    ) -> service_pb2.InterruptResponse:
        """Stop the turn that runs; with `drop_queued` also drop the messages that wait. The session lives on."""
        request = service_pb2.InterruptRequest(
            session_id=session_id, drop_queued=drop_queued, request_id=_id(request_id)
        )
        return await self._calls.unary(self._stub.Interrupt, request)

    async def pause(self, session_id: str, *, request_id: str | None = None) -> service_pb2.PauseResponse:
        """Let nothing new start. Holds until `resume`, also across a restart of the server."""
        request = service_pb2.PauseRequest(session_id=session_id, request_id=_id(request_id))
        return await self._calls.unary(self._stub.Pause, request)

    async def resume(self, session_id: str, *, request_id: str | None = None) -> service_pb2.ResumeResponse:
        """End a pause."""
        request = service_pb2.ResumeRequest(session_id=session_id, request_id=_id(request_id))
        return await self._calls.unary(self._stub.Resume, request)

    async def status(self, session_id: str) -> service_pb2.StatusResponse:
        """Where a session stands, and what it waits for."""
        return await self._calls.unary(self._stub.Status, service_pb2.StatusRequest(session_id=session_id))

    async def archive(self, session_id: str, *, request_id: str | None = None) -> int:
        """End a session for good; its log stays readable. Returns the seq of status.archived."""
        request = service_pb2.ArchiveRequest(session_id=session_id, request_id=_id(request_id))
        return (await self._calls.unary(self._stub.Archive, request)).seq

    async def delete_session(self, session_id: str, *, request_id: str | None = None) -> None:
        """Delete a session and all its data."""
        request = service_pb2.DeleteSessionRequest(session_id=session_id, request_id=_id(request_id))
        await self._calls.unary(self._stub.DeleteSession, request)

    # The rest.

    async def run(
        self,
        session_id: str,
        message: Message,
        *,
        tools: Tools | None = None,
        confirm: Confirm | None = None,
        on_event: OnEvent | None = None,
        request_id: str | None = None,
    ) -> RunResult:
        """Send a message, answer what its turn asks for, and return when the turn is over. With an `outcome_event`
        instead of a message: when the outcome is.

        `tools`: by name, what answers a custom tool use (or a built-in one that runs at the client): a function, sync
        or async, of the input that the model gave, as Python values. What it returns is told to the model: a text,
        content blocks, or anything that JSON can hold. What it raises is told as an error. `current_tool_use_id()` is
        the id of the use: keep effects apart by it. `confirm`: decides a use that waits for permission. `on_event`: is
        given each event of the turn.
        """
        seq = await self.send(session_id, message, request_id=request_id)
        run = Run(self, self._answers, session_id, seq, tools=tools or {}, confirm=confirm, on_event=on_event)
        return await run.result()

    async def get_agent(self, agent_id: str, *, version: int | None = None) -> agent_pb2.Agent:
        """One agent. `version`: None is the newest."""
        request = service_pb2.GetAgentRequest(agent_id=agent_id, version=version)
        return (await self._calls.unary(self._stub.GetAgent, request)).agent

    async def list_agents(
        self, *, metadata: Mapping[str, str] | None = None, include_archived: bool = False, page_size: int = 0
    ) -> AsyncIterator[agent_pb2.Agent]:
        """The agents, newest first, page by page. `metadata`: only those that have it. `page_size`: 0 is 50."""
        request = service_pb2.ListAgentsRequest(
            metadata=metadata, include_archived=include_archived, page_size=page_size
        )
        async for page in self._pages(self._stub.ListAgents, request):
            for agent in page.agents:
                yield agent

    async def update_agent(
        self, agent_id: str, version: int, definition: Definition, *, request_id: str | None = None
    ) -> int:
        """Replace `version`, the newest, by a new one, and return its number. Sessions keep the version they have."""
        request = service_pb2.UpdateAgentRequest(
            agent_id=agent_id, version=version, definition=parse_definition(definition), request_id=_id(request_id)
        )
        return (await self._calls.unary(self._stub.UpdateAgent, request)).version

    async def archive_agent(self, agent_id: str, *, request_id: str | None = None) -> None:
        """Let an agent take no new sessions."""
        request = service_pb2.ArchiveAgentRequest(agent_id=agent_id, request_id=_id(request_id))
        await self._calls.unary(self._stub.ArchiveAgent, request)

    async def get_session(self, session_id: str) -> session_pb2.Session:
        """One session."""
        request = service_pb2.GetSessionRequest(session_id=session_id)
        return (await self._calls.unary(self._stub.GetSession, request)).session

    async def list_sessions(
        self,
        *,
        agent_id: str = "",
        statuses: Sequence[session_pb2.SessionStatus.ValueType] = (),
        metadata: Mapping[str, str] | None = None,
        page_size: int = 0,
    ) -> AsyncIterator[session_pb2.Session]:
        """The sessions, newest first, page by page. An empty filter lets all pass. `page_size`: 0 is 50."""
        request = service_pb2.ListSessionsRequest(
            agent_id=agent_id, statuses=statuses, metadata=metadata, page_size=page_size
        )
        async for page in self._pages(self._stub.ListSessions, request):
            for session in page.sessions:
                yield session

    async def list_events(
        self, session_id: str, from_seq: int = 0, *, kinds: Sequence[str] = (), page_size: int = 0
    ) -> AsyncIterator[event_pb2.SessionEvent]:
        """The events after `from_seq` that are in the log now. `kinds`: empty is all. `page_size`: 0 is 100."""
        request = service_pb2.ListEventsRequest(
            session_id=session_id, from_seq=from_seq, kinds=kinds, page_size=page_size
        )
        async for page in self._pages(self._stub.ListEvents, request):
            for event in page.events:
                yield event

    async def _pages(
        self, method: "grpc.aio.UnaryUnaryMultiCallable[PageRequest, Page]", request: PageRequest
    ) -> AsyncIterator[Page]:
        while True:
            page = await self._calls.unary(method, request)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token


def _id(given: str | None) -> str:
    return uuid.uuid4().hex if given is None else given
