"""What is cleaned up behind the calls: deleted sessions, and answers that were kept long enough. In slices, one at a
time, so that nobody who appends waits for it."""

import asyncio
import logging

from managedagents_server.session.around import Around
from managedagents_server.words import failpoints
from managedagents_server.words.errors import LogUnavailable

logger = logging.getLogger(__name__)

_SLICE = 200
"""Events a write: small, because an append that comes meanwhile is in the same commit or the next."""

_FORGET_EVERY = 60.0
"""Seconds between looks for answers that were kept long enough."""


class Housekeeping:
    def __init__(self, around: Around) -> None:
        self._around = around
        self._buried: asyncio.Queue[int] = asyncio.Queue()

    def purge(self, session: int) -> None:
        self._buried.put_nowait(session)

    async def run(self) -> None:
        """Until cancelled. A purge that a death of the process cut off is finished first."""
        for session in await self._around.log.to_purge():
            self._buried.put_nowait(session)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._purge_all())
            tasks.create_task(self._forget_requests())

    async def _purge_all(self) -> None:
        while True:
            session = await self._buried.get()
            done = False
            while not done:
                try:
                    failpoints.hit("purge")
                    done = await self._around.log.purge(session, _SLICE)
                except LogUnavailable:
                    await self._around.log.room()
            logger.info("a deleted session is purged", extra={"session": session})

    async def _forget_requests(self) -> None:
        while True:
            try:
                while await self._around.log.forget_requests():
                    pass
            except LogUnavailable:
                await self._around.log.room()
            await self._around.clock.sleep(_FORGET_EVERY)
