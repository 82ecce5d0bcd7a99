"""The calls that change a session.

Each goes the same way: get the session, look at its state, refuse or append, answer after the commit.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import session_pb2, status_event_pb2, user_event_pb2
from managedagents_server.log import LogConflict
from managedagents_server.session import inbox, views
from managedagents_server.session.around import Around
from managedagents_server.session.frames import Event
from managedagents_server.session.housekeeping import Housekeeping
from managedagents_server.session.loops import Loops
from managedagents_server.session.registry import Registry
from managedagents_server.session.session import Session
from managedagents_server.session.state import State
from managedagents_server.words import ids
from managedagents_server.words.errors import (
    LogUnavailable,
    RuntimeFault,
    SessionNotFound,
    ToolUseClosed,
    ToolUseNotFound,
)
from managedagents_server.words.limits import Limits
from managedagents_server.words.request import TENANT, KeptAnswer, RequestKey

R = TypeVar("R", bound=Message)

_TRIES = 5
"""A session that moves under a call is read anew; more often than this in a row means that something is wrong."""


class Changes:
    def __init__(self, around: Around, registry: Registry, loops: Loops, housekeeping: Housekeeping) -> None:
        self._around = around
        self._registry = registry
        self._loops = loops
        self._housekeeping = housekeeping

    async def send_event(self, request: pb.SendEventRequest, key: RequestKey | None) -> pb.SendEventResponse:
        return await self._send(request.session_id, request.event, key, lambda seq, _: pb.SendEventResponse(seq=seq))

    async def interrupt(self, request: pb.InterruptRequest, key: RequestKey | None) -> pb.InterruptResponse:
        event = user_event_pb2.UserEvent(user_interrupt=user_event_pb2.UserInterrupt(drop_queued=request.drop_queued))

        def answer(seq: int, state: State) -> pb.InterruptResponse:
            return pb.InterruptResponse(seq=seq, status=views.status(state.status))

        return await self._send(request.session_id, event, key, answer)

    async def _send(
        self,
        session_id: str,
        event: user_event_pb2.UserEvent,
        key: RequestKey | None,
        answer: Callable[[int, State], R],
    ) -> R:
        limits = self._around.limits

        def decide(state: State) -> list[Event]:
            refused = inbox.refusal(state, event, limits)
            if refused is not None:
                raise refused
            return inbox.logged(state, event)

        try:
            return await self._change(session_id, decide, key, answer)
        except ToolUseClosed as closed:
            await self._must_have_been(session_id, inbox.answered(event))
            raise closed

    async def _must_have_been(self, session_id: str, use_id: str) -> None:
        """A tool use that is not open is closed, or never was: its id says where in the log to look."""
        session = await self._registry.get(session_id)
        seq = ids.seq_of_tool_use(use_id)
        row = None if seq is None else await self._around.log.event(session.key, seq)
        if row is None or views.use_id(row) != use_id:
            raise ToolUseNotFound(f"the session has no tool use {use_id}", tool_use_id=use_id)

    async def pause(self, request: pb.PauseRequest, key: RequestKey | None) -> pb.PauseResponse:
        def decide(state: State) -> list[Event] | int:
            _must_take(state, self._around.limits)
            return state.paused_seq or [Event(status_paused=status_event_pb2.StatusPaused())]

        def answer(seq: int, _: State) -> pb.PauseResponse:
            return pb.PauseResponse(seq=seq, status=session_pb2.SESSION_STATUS_PAUSED)

        return await self._change(request.session_id, decide, key, answer)

    async def resume(self, request: pb.ResumeRequest, key: RequestKey | None) -> pb.ResumeResponse:
        def decide(state: State) -> list[Event] | int:
            _must_take(state, self._around.limits)
            if not state.paused_seq:
                return state.resumed_seq
            event = Event(status_resumed=status_event_pb2.StatusResumed())
            # Wall time may have been set back by the time of a restart.
            paused_for = max(0, self._around.clock.wall() - state.paused_time)
            event.status_resumed.paused_for.FromNanoseconds(paused_for)
            return [event]

        def answer(seq: int, state: State) -> pb.ResumeResponse:
            return pb.ResumeResponse(seq=seq, status=views.status(state.status))

        return await self._change(request.session_id, decide, key, answer)

    async def archive(self, request: pb.ArchiveRequest, key: RequestKey | None) -> pb.ArchiveResponse:
        def decide(state: State) -> list[Event]:
            dead = inbox.must_live(state)
            if dead is not None:
                raise dead
            return [Event(status_archived=status_event_pb2.StatusArchived())]

        def answer(seq: int, _: State) -> pb.ArchiveResponse:
            return pb.ArchiveResponse(seq=seq)

        return await self._change(request.session_id, decide, key, answer)

    async def _change(
        self,
        session_id: str,
        decide: Callable[[State], list[Event] | int],
        key: RequestKey | None,
        answer: Callable[[int, State], R],
    ) -> R:
        """Appends the events that `decide` makes of the state, or nothing where it gives a seq that stands already.
        `answer` is made of the first one's seq and the state behind them."""
        for _ in range(_TRIES):
            session = await self._registry.get(session_id)
            try:
                events = decide(session.state)
            except RuntimeFault:
                if not session.in_flight:
                    raise
                # The refusal may rest on what is not committed yet.
                await session.settled()
                continue
            try:
                if isinstance(events, int):
                    response = answer(events, session.state)
                    await self._stands(session, key, response)
                    return response
                return await self._append(session, events, key, answer)
            except LogConflict:
                continue
        raise LogUnavailable(f"the session {session_id} changes too fast", retry_after=1.0)

    async def _append(
        self, session: Session, events: list[Event], key: RequestKey | None, answer: Callable[[int, State], R]
    ) -> R:
        answers: list[R] = []

        def kept(seq: int) -> KeptAnswer | None:
            answers.append(answer(seq, session.state))
            return KeptAnswer.of(key, answers[0])

        done = session.append(events, kept=kept)
        self._take_up(session)
        await done
        return answers[0]

    def _take_up(self, session: Session) -> None:
        """Something came in for the session. Its loop need not wait for the commit: what it logs stands behind this in
        the same log, is committed with or after it, and fails with it. An effect outside must wait for its own
        commit."""
        if session.state.interrupted or session.state.terminal:
            session.interrupt()
        self._loops.start(session)

    async def _stands(self, session: Session, key: RequestKey | None, response: Message) -> None:
        await session.settled()
        if session.lost:
            raise LogConflict("what the answer rests on was not written")
        kept = KeptAnswer.of(key, response)
        if kept is not None:
            await self._around.log.keep(kept)

    async def delete_session(
        self, request: pb.DeleteSessionRequest, key: RequestKey | None
    ) -> pb.DeleteSessionResponse:
        row = await self._around.log.session(TENANT, request.session_id)
        if row is None:
            raise SessionNotFound.of(request.session_id)
        response = pb.DeleteSessionResponse()
        try:
            await self._around.log.bury(row.key, self._around.clock.wall(), KeptAnswer.of(key, response))
        except LogConflict as error:
            raise SessionNotFound.of(request.session_id) from error
        session = self._registry.peek(request.session_id)
        if session is not None:
            session.lost = True
            if session.loop is not None:
                session.loop.cancel()
                # Its tools write into the workspace until they are ended.
                await asyncio.wait([session.loop])
            self._registry.forget(session)
        self._housekeeping.rested(row.agent_id)
        self._housekeeping.purge(row.key, row.session_id)
        return response


def _must_take(state: State, limits: Limits) -> None:
    refused = inbox.must_live(state) or inbox.no_room(state, limits)
    if refused is not None:
        raise refused
