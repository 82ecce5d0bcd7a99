"""Who runs when: starts the loop of a session that has something to do, wakes those whose time has come, and deals
with a loop that fails. Owns every loop's task."""

import asyncio
import contextvars
import logging
from collections.abc import Coroutine
from typing import Any

from managedagents.v1 import status_event_pb2
from managedagents_server.log import LogConflict
from managedagents_server.session import events, loop
from managedagents_server.session.around import Around
from managedagents_server.session.frames import Event
from managedagents_server.session.housekeeping import Housekeeping
from managedagents_server.session.pinned import NOBODY
from managedagents_server.session.registry import Registry
from managedagents_server.session.session import Session
from managedagents_server.session.state import State
from managedagents_server.words import context as log_context
from managedagents_server.words import failpoints
from managedagents_server.words.errors import LogUnavailable, SessionNotFound
from managedagents_server.words.request import TENANT

logger = logging.getLogger(__name__)

_CRASHES = 3
"""Exceptions in a row of a session's own loop after which it is failed."""


class Loops:
    def __init__(
        self, around: Around, registry: Registry, housekeeping: Housekeeping, tasks: asyncio.TaskGroup
    ) -> None:
        self._around = around
        self._registry = registry
        self._housekeeping = housekeeping
        self._tasks = tasks
        self._running: set[asyncio.Task[None]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._resting: dict[str, asyncio.TimerHandle] = {}
        """Until what runs for a session between its calls is ended."""
        self._crashes: dict[str, int] = {}

    def start(self, session: Session) -> None:
        """The session may have something to do. Called after every change that its loop did not make itself."""
        if session.loop is None and not self._around.draining and not session.lost:
            self._registry.woke(session)
            if (timer := self._resting.pop(session.session_id, None)) is not None:
                timer.cancel()
            session.loop = self._own(session.session_id, self._run(session))

    def _own(self, session_id: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # A context of its own: what the session logs from here on is not about the call that woke it.
        context = contextvars.Context()
        context.run(log_context.session_id.set, session_id)
        task = self._tasks.create_task(work, name=session_id, context=context)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _run(self, session: Session) -> None:
        try:
            until = await loop.run(session, self._around)
        except (LogUnavailable, LogConflict):
            self._leave(session, lost=True)
            self.wake_later(session.session_id, 0.0)
        except Exception:
            logger.exception("the session's loop failed")
            self._leave(session, lost=True)
            self._crashes[session.session_id] = self._crashes.get(session.session_id, 0) + 1
            self.wake_later(session.session_id, 0.0)
        except asyncio.CancelledError:
            self._leave(session, lost=True)
            raise
        else:
            # No await since the loop's last look at the state: whoever changes it from here on starts a new one.
            self._crashes.pop(session.session_id, None)
            self._leave(session, lost=False)
            self._wake_at(session.session_id, until)

    def _leave(self, session: Session, *, lost: bool) -> None:
        session.loop = None
        session.lost = session.lost or lost
        self._registry.rested(session)
        self._housekeeping.rested(session.agent.agent_id)
        if session.definition.mcp_servers and not self._around.draining:
            after = 0.0 if session.state.terminal else self._around.limits.mcp_idle
            self._resting[session.session_id] = asyncio.get_running_loop().call_later(
                after, self._rest, session.session_id
            )

    def _rest(self, session_id: str) -> None:
        del self._resting[session_id]
        self._around.tools.rest(session_id)

    # Waking.

    def _wake_at(self, session_id: str, wall: int | None) -> None:
        if wall is None:
            timer = self._timers.pop(session_id, None)
            if timer is not None:
                timer.cancel()
        else:
            self.wake_later(session_id, max(0.0, (wall - self._around.clock.wall()) / 1e9))

    def wake_later(self, session_id: str, delay: float) -> None:
        """Looks at the session after so many seconds, in the place of any earlier appointment."""
        timer = self._timers.pop(session_id, None)
        if timer is not None:
            timer.cancel()
        if not self._around.draining:
            self._timers[session_id] = asyncio.get_running_loop().call_later(delay, self._wake, session_id)

    def _wake(self, session_id: str) -> None:
        del self._timers[session_id]
        self._own(session_id, self.hand_over(session_id))

    async def hand_over(self, session_id: str) -> None:
        """Reads the session and starts its loop; fails it when its own loop failed too often."""
        await self._around.log.room()
        if self._around.draining:
            return
        failpoints.hit("hand_over")
        if self._crashes.get(session_id, 0) >= _CRASHES:
            await self._give_up(session_id)
            return
        try:
            session = await self._registry.get(session_id)
        except SessionNotFound:
            self._crashes.pop(session_id, None)
        except Exception:
            logger.exception("the session cannot be read")
            self._crashes[session_id] = self._crashes.get(session_id, 0) + 1
            self.wake_later(session_id, 0.0)
        else:
            self.start(session)

    async def _give_up(self, session_id: str) -> None:
        try:
            await self._fail(session_id)
        except (LogUnavailable, LogConflict):
            self.wake_later(session_id, 1.0)
        except Exception:
            # One session must not end the others: it is left as it is until the next start.
            logger.exception("the session cannot even be failed")
        else:
            self._crashes.pop(session_id, None)

    async def _fail(self, session_id: str) -> None:
        """From its row alone, because nothing else of it may be readable."""
        row = await self._around.log.session(TENANT, session_id)
        if row is None:
            return
        state = State.load(row.checkpoint) or State()
        state.head, state.log_bytes = row.head_seq, row.log_bytes
        if state.terminal:
            return
        session = self._registry.add(row.key, session_id, NOBODY, state)
        error = events.error(
            state.turn,
            status_event_pb2.ERROR_CODE_UNRECOVERABLE,
            "the session cannot be recovered; the server's log says more",
            status_event_pb2.ERROR_NEXT_SESSION_FAILS,
        )
        await session.append([error, Event(status_failed=status_event_pb2.StatusFailed())])
        self._housekeeping.rested(row.agent_id)

    # The beginning and the end.

    async def recover(self) -> None:
        """Every session that is not at rest goes on, oldest first, no faster than there are slots. Those that waited
        for a time hold none, and do not stand in the line behind the others."""
        around = self._around
        due: list[str] = []
        at_once: list[str] = []
        for _, session_id, wake_time in await around.log.to_wake():
            if wake_time > around.clock.wall():
                self._wake_at(session_id, wake_time)
            else:
                (due if wake_time else at_once).append(session_id)
        for session_id in due:
            await self.hand_over(session_id)
        for session_id in at_once:
            async with around.slots.all:
                await self.hand_over(session_id)

    async def drain(self, grace: float) -> None:
        """Loops stop at their next boundary; after `grace` seconds they are stopped wherever they are."""
        self._around.draining = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for timer in self._resting.values():
            timer.cancel()
        self._resting.clear()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=grace)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
