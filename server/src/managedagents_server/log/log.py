"""The log's interface: narrow, so that a shared engine can stand behind it later.

Commit, then tell: the rows of an append reach followers, and its caller is answered, after the commit and in the order
of the commits.
"""

import asyncio
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from managedagents_server.log import agent_statements, database, secret_statements
from managedagents_server.log import statements as sql
from managedagents_server.log.database import DatabaseFault, FileLock, Synchronous, connect
from managedagents_server.log.feed import Feed
from managedagents_server.log.reader import Reader
from managedagents_server.log.records import (
    AgentRow,
    Append,
    EventRow,
    NewSession,
    NewVersion,
    SessionRow,
    Stretch,
    VerbatimRow,
)
from managedagents_server.log.writer import Writer
from managedagents_server.words.clock import Clock
from managedagents_server.words.limits import Limits
from managedagents_server.words.request import KeptAnswer, RequestKey

# While the disk is full: how often a write is tried just to see whether there is room again.
_PROBE_SECONDS = 0.5


class Log:
    """A SQLite file, held by this process alone."""

    def __init__(
        self,
        path: Path,
        lock: FileLock,
        log_id: str,
        clock: Clock,
        limits: Limits,
        synchronous: Synchronous,
        on_fatal: Callable[[str], None],
    ) -> None:
        self.log_id = log_id
        """Names the history; a restore renews it."""
        self.on_writable: Callable[[bool], None] | None = None
        """Told, in the event loop, when the disk gets full and when there is room again."""
        self._room = asyncio.Event()
        self._room.set()
        self._probe: asyncio.TimerHandle | None = None
        self._lock = lock
        self._clock = clock
        self._limits = limits
        self._feeds: dict[int, Feed] = {}
        self._path = path
        self._writer = Writer(connect(path, synchronous=synchronous), on_fatal=on_fatal, on_full=self._full)
        self._reader = Reader(path)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        clock: Clock,
        limits: Limits,
        synchronous: Synchronous = "FULL",
        on_fatal: Callable[[str], None],
    ) -> Self:
        """Opens the file, or makes it. `on_fatal` is called, in a thread, at a write error that cannot be mended; it
        must end the process. Raises DatabaseFault."""
        lock = FileLock(path)
        try:
            database.check_ours(path)
            log_id = database.prepare(path)
            return cls(path, lock, log_id, clock, limits, synchronous, on_fatal)
        except DatabaseFault:
            lock.release()
            raise

    async def close(self) -> None:
        """What was appended before is settled first."""
        if self._probe is not None:
            self._probe.cancel()
        await self._writer.close()
        await self._reader.close()
        self._lock.release()

    # Writing.

    def append(self, append: Append) -> "asyncio.Future[None]":
        """Appends are done in the order of the calls. LogConflict when the head is not the expected one, LogUnavailable
        when the disk is full: then nothing of it was written."""
        feed_of = self._feeds.get

        def committed() -> None:
            feed = feed_of(append.session)
            if feed is not None:
                feed.publish(append.events)

        return self._writer.submit(lambda db: sql.append(db, append), append.events[0].kind, committed)

    async def start_session(self, new: NewSession) -> int:
        """Makes a session with the events that its log begins with. Gives its key. AgentConflict: its agent is
        archived."""
        return await self._writer.submit(lambda db: sql.start_session(db, new), "session")

    async def keep(self, kept: KeptAnswer) -> None:
        """Keeps the answer to a call that changed nothing."""
        now = self._clock.wall()
        await self._writer.submit(lambda db: sql.keep(db, kept, now))

    async def create_agent(self, new: NewVersion, kept: KeptAnswer | None) -> None:
        await self._writer.submit(lambda db: agent_statements.create_agent(db, new, kept), "agent")

    async def update_agent(self, new: NewVersion, kept: KeptAnswer | None) -> None:
        """AgentConflict: the newest version is not the one before this, or the agent is archived."""
        await self._writer.submit(lambda db: agent_statements.update_agent(db, new, kept), "agent")

    async def archive_agent(self, tenant: str, agent_id: str, now: int, kept: KeptAnswer | None) -> bool:
        """Gives what `erase` gives, which is done in the same write."""
        return await self._erased(
            self._writer.submit(lambda db: agent_statements.archive_agent(db, tenant, agent_id, now, kept), "agent")
        )

    async def erase(self, tenant: str, agent_id: str) -> bool:
        """Erases the inline keys of an archived agent: of its versions and of its sessions. False: not yet, because a
        turn is open."""
        return await self._erased(
            self._writer.submit(lambda db: secret_statements.erase_agent(db, tenant, agent_id), "erase")
        )

    async def _erased(self, done: "asyncio.Future[int | None]") -> bool:
        count = await done
        if count:
            # What is gone from the file still stands in older pages of the WAL.
            await asyncio.to_thread(database.empty_wal, self._path)
        return count is not None

    async def bury(self, session: int, now: int, kept: KeptAnswer | None) -> None:
        """The tombstone: from its commit on the session is not there for any caller. Its rows are purged by `purge`."""
        await self._writer.submit(lambda db: sql.bury(db, session, now, kept), "tombstone")
        feed = self._feeds.get(session)
        if feed is not None:
            feed.deleted = True
            feed.ring()

    async def purge(self, session: int, events: int) -> bool:
        """Removes a slice of a buried session, at most so many events. True when nothing of it is left."""
        return await self._writer.submit(lambda db: sql.purge(db, session, events), "purge")

    async def forget_requests(self) -> int:
        """Removes a slice of the answers that were kept long enough. Gives how many."""
        before = self._clock.wall() - int(self._limits.request_id_hours * 3600 * 1e9)
        return await self._writer.submit(lambda db: sql.forget_requests(db, before))

    # A full disk.

    @property
    def writable(self) -> bool:
        return self._room.is_set()

    async def room(self) -> None:
        """Returns when the log can be written, as far as is known."""
        await self._room.wait()

    def _full(self, full: bool) -> None:
        if full:
            self._room.clear()
            self._probe_later()
        else:
            self._room.set()
            if self._probe is not None:
                self._probe.cancel()
        if self.on_writable is not None:
            self.on_writable(not full)

    def _probe_later(self) -> None:
        self._probe = asyncio.get_running_loop().call_later(_PROBE_SECONDS, self._probe_now)

    def _probe_now(self) -> None:
        def probed(done: "asyncio.Future[None]") -> None:
            if not done.cancelled() and done.exception() is not None:
                self._probe_later()

        self._writer.submit(sql.probe).add_done_callback(probed)

    # Following.

    @contextmanager
    def feed(self, session: int) -> Iterator[Feed]:
        """The feed that all followers of the session share while there are any."""
        feed = self._feeds.setdefault(session, Feed())
        feed.followers += 1
        try:
            yield feed
        finally:
            feed.followers -= 1
            if feed.followers == 0:
                del self._feeds[session]

    def ring_live(self, session: int) -> None:
        """A model response in the making has grown or ended."""
        feed = self._feeds.get(session)
        if feed is not None:
            feed.ring_live()

    def ring_all(self) -> None:
        for feed in list(self._feeds.values()):
            feed.ring()

    # Reading.

    async def session(self, tenant: str, session_id: str) -> SessionRow | None:
        return await self._reader.run(lambda db: sql.session(db, tenant, session_id))

    async def events(self, session: int, after: int, *, most_rows: int, most_bytes: int) -> list[EventRow]:
        """Whole groups after a seq, at least one where there is any, about as many as the bounds say."""
        return await self._reader.run(lambda db: sql.events(db, session, after, most_rows, most_bytes))

    async def stretch(self, session: int, after: int, *, most_rows: int, most_bytes: int) -> Stretch | None:
        """The frames of what `events` gives, in a third of its time; None: there is nothing."""
        return await self._reader.run(lambda db: sql.stretch(db, session, after, most_rows, most_bytes))

    async def all_events(self, session: int) -> list[bytes]:
        """All frames of a session, in order."""
        return await self._reader.run(lambda db: sql.frames(db, session))

    async def event(self, session: int, seq: int) -> EventRow | None:
        return await self._reader.run(lambda db: sql.event(db, session, seq))

    async def verbatims(self, session: int) -> list[VerbatimRow]:
        return await self._reader.run(lambda db: sql.verbatims(db, session))

    async def kept_answer(self, key: RequestKey) -> KeptAnswer | None:
        """What was kept under the key's tenant, method and request id, whatever its digest."""
        oldest = self._clock.wall() - int(self._limits.request_id_hours * 3600 * 1e9)
        return await self._reader.run(lambda db: sql.kept_answer(db, key, oldest))

    async def agent(self, tenant: str, agent_id: str, version: int | None = None) -> AgentRow | None:
        """One version of it, the newest if none is named."""
        return await self._reader.run(lambda db: agent_statements.agent(db, tenant, agent_id, version))

    async def agents(
        self,
        tenant: str,
        *,
        before: int | None,
        metadata: Mapping[str, str],
        archived: bool,
        most_rows: int,
        most_bytes: int,
    ) -> tuple[list[AgentRow], bool]:
        """Newest first, older than the key `before`, each in its newest version; and whether there are more."""
        wanted = json.dumps(dict(metadata))
        return await self._reader.run(
            lambda db: agent_statements.agents(db, tenant, before, wanted, archived, most_rows, most_bytes)
        )

    async def secret(self, agent: int, version: int, session: int) -> bytes | None:
        """The encrypted key of a session, or, for session 0, of a version. None: there is none."""
        return await self._reader.run(lambda db: secret_statements.secret(db, agent, version, session))

    async def to_erase(self) -> list[tuple[str, str]]:
        """(tenant, agent id) of every archived agent that still has keys."""
        return await self._reader.run(secret_statements.to_erase)

    async def sessions(
        self,
        tenant: str,
        *,
        before: int | None,
        agent_id: str,
        statuses: Collection[int],
        metadata: Mapping[str, str],
        most_rows: int,
        most_bytes: int,
    ) -> tuple[list[SessionRow], bool]:
        """Newest first, older than the key `before`, an empty filter lets everything through; and whether there are
        more."""
        wanted = json.dumps(dict(metadata))
        return await self._reader.run(
            lambda db: sql.sessions(db, tenant, before, agent_id, statuses, wanted, most_rows, most_bytes)
        )

    async def to_wake(self) -> list[tuple[str, str, int]]:
        """(tenant, session id, wake time) of every session that is not at rest, oldest first."""
        return await self._reader.run(sql.to_wake)

    async def to_purge(self) -> list[tuple[int, str]]:
        return await self._reader.run(sql.to_purge)
