"""What is cleaned up behind the calls: deleted sessions, answers that were kept long enough, and the keys of archived
agents. In slices, one at a time, so that nobody who appends waits for it."""

import asyncio
import logging

from managedagents_server.session.around import Around
from managedagents_server.words import failpoints
from managedagents_server.words.errors import LogUnavailable
from managedagents_server.words.request import TENANT

logger = logging.getLogger(__name__)

_SLICE = 200
"""Events a write: small, because an append that comes meanwhile is in the same commit or the next."""

_FORGET_EVERY = 60.0
"""Seconds between looks for answers that were kept long enough."""


class Housekeeping:
    def __init__(self, around: Around) -> None:
        self._around = around
        self._buried: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self._archived: set[str] = set()
        """The agents whose keys are erased when none of their turns is open."""
        self._rested: set[str] = set()
        self._bell = asyncio.Event()

    def purge(self, session: int, session_id: str) -> None:
        """Nothing of the session runs any more."""
        self._buried.put_nowait((session, session_id))

    def archived(self, agent_id: str) -> None:
        """The keys of the agent are to be erased."""
        self._archived.add(agent_id)
        self.rested(agent_id)

    def rested(self, agent_id: str) -> None:
        """A session of the agent has come to rest, or is gone: perhaps its turn was the last open one."""
        if agent_id in self._archived:
            self._rested.add(agent_id)
            self._bell.set()

    async def run(self) -> None:
        """Until cancelled. What a death of the process cut off is taken up."""
        for session, session_id in await self._around.log.to_purge():
            self._buried.put_nowait((session, session_id))
        for _, agent_id in await self._around.log.to_erase():
            self.archived(agent_id)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._purge_all())
            tasks.create_task(self._forget_requests())
            tasks.create_task(self._erase_all())

    async def _purge_all(self) -> None:
        while True:
            session, session_id = await self._buried.get()
            # First: its row is what leads back here when the process dies in the middle.
            await self._remove_workspace(session_id)
            done = False
            while not done:
                try:
                    failpoints.hit("purge")
                    done = await self._around.log.purge(session, _SLICE)
                except LogUnavailable:
                    await self._around.log.room()
            logger.info("a deleted session is purged", extra={"session": session})

    async def _remove_workspace(self, session_id: str) -> None:
        try:
            await self._around.tools.remove(session_id)
        except OSError:
            # What cannot be removed is the operator's to remove, and keeps no other session from its purge.
            logger.exception("a deleted session's workspace cannot be removed", extra={"session_id": session_id})

    async def _forget_requests(self) -> None:
        while True:
            try:
                while await self._around.log.forget_requests():
                    pass
            except LogUnavailable:
                await self._around.log.room()
            await self._around.clock.sleep(_FORGET_EVERY)

    async def _erase_all(self) -> None:
        while True:
            await self._bell.wait()
            self._bell.clear()
            rested, self._rested = self._rested, set()
            for agent_id in rested:
                try:
                    if not await self._around.log.erase(TENANT, agent_id):
                        continue
                except LogUnavailable:
                    await self._around.log.room()
                    self.rested(agent_id)
                else:
                    self._archived.discard(agent_id)
                    logger.info("the keys of an archived agent are erased", extra={"agent_id": agent_id})
