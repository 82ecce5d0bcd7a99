"""The sessions that are in memory: those with something to do, and for a while those that just came to rest."""

import asyncio
from collections import OrderedDict
from weakref import WeakValueDictionary

from managedagents.v1 import agent_pb2, session_pb2
from managedagents_server.log import SessionRow
from managedagents_server.session.around import Around
from managedagents_server.session.fold import fold
from managedagents_server.session.pinned import Pinned
from managedagents_server.session.session import Session
from managedagents_server.session.state import State
from managedagents_server.session.toolbox import Toolbox
from managedagents_server.words.errors import SessionNotFound
from managedagents_server.words.request import TENANT

_AGENTS = 256


class Registry:
    def __init__(self, around: Around) -> None:
        self._around = around
        self._sessions: dict[str, Session] = {}
        self._resting: OrderedDict[str, int] = OrderedDict()
        """Those without a loop, with the memory that each held when it came to rest; the longest at rest comes
        first."""
        self._resting_bytes = 0
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._agents: OrderedDict[tuple[str, int], Pinned] = OrderedDict()

    def peek(self, session_id: str) -> Session | None:
        return self._sessions.get(session_id)

    async def get(self, session_id: str) -> Session:
        """The session, read from the log if need be. SessionNotFound; a log that cannot be read raises what it
        raised."""
        session = self._sessions.get(session_id)
        if session is not None and not session.lost:
            return session
        lock = self._locks.get(session_id)
        if lock is None:
            lock = self._locks[session_id] = asyncio.Lock()
        async with lock:
            session = self._sessions.get(session_id)
            if session is not None and session.lost:
                # Its appends in flight still count for the fence: they must have failed before the log is read.
                await session.settled()
                self.forget(session)
                session = None
            return await self._load(session_id) if session is None else session

    async def _load(self, session_id: str) -> Session:
        row = await self._around.log.session(TENANT, session_id)
        if row is None:
            raise SessionNotFound.of(session_id)
        state = await self.state_of(row)
        agent = await self.pinned(row.agent_id, row.agent_version, row.overrides)
        return self.add(row.key, session_id, agent, state, row.environment)

    async def state_of(self, row: SessionRow) -> State:
        """The checkpoint, or, where this version cannot use it, the fold over the whole log."""
        state = State.load(row.checkpoint)
        if state is None or state.head != row.head_seq:
            frames = await self._around.log.all_events(row.key)
            state = await asyncio.to_thread(lambda: fold(frames))
        return state

    def add(self, key: int, session_id: str, agent: Pinned, state: State, environment: bytes | None = None) -> Session:
        around = self._around
        session = Session(around.log, around.clock, key, session_id, agent, state, around.wake_time, environment)
        self._sessions[session_id] = session
        self.rested(session)
        return session

    def forget(self, session: Session) -> None:
        if self._sessions.get(session.session_id) is session:
            self.woke(session)
            del self._sessions[session.session_id]

    def woke(self, session: Session) -> None:
        """Its loop begins."""
        self._resting_bytes -= self._resting.pop(session.session_id, 0)

    def rested(self, session: Session) -> None:
        """Its loop ended. The sessions that rested longest are let go until the rest is within the bound."""
        if self._sessions.get(session.session_id) is not session:
            return
        self.woke(session)
        self._resting[session.session_id] = session.memory
        self._resting_bytes += session.memory
        while self._resting_bytes > self._around.limits.resting_bytes:
            session_id, memory = self._resting.popitem(last=False)
            self._resting_bytes -= memory
            if self._sessions[session_id].in_flight:
                # Not at rest after all: whoever appends lets it rest again.
                continue
            del self._sessions[session_id]

    async def pinned(self, agent_id: str, version: int, overrides: bytes | None) -> Pinned:
        """The agent as a session of it with such overrides (serialized; None: without any) runs it."""
        key = (agent_id, version)
        agent = self._agents.get(key)
        if agent is None:
            row = await self._around.log.agent(TENANT, agent_id, version)
            if row is None:
                raise LookupError(f"there is no agent {agent_id} of version {version}")
            definition = agent_pb2.AgentDefinition.FromString(row.definition)
            toolbox = Toolbox.of(definition, self._around.tools.builtins)
            agent = self._agents[key] = Pinned(row.key, agent_id, version, definition, toolbox)
            if len(self._agents) > _AGENTS:
                self._agents.popitem(last=False)
        if overrides is None:
            return agent
        return agent.overridden(session_pb2.SessionOverrides.FromString(overrides), self._around.tools.builtins)
