"""Calls that change something: each happens once for one request id, and is never cut off half way."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.message import Message

from managedagents_server.log import Log
from managedagents_server.rpc.errors import settle
from managedagents_server.words.errors import Draining, RequestIdReused, RuntimeFault
from managedagents_server.words.request import TENANT, RequestKey

# Seconds after which a client may look for another server.
_RETRY_WHEN_DRAINING = 1.0

_Outcome = bytes | RuntimeFault
_Key = tuple[str, str, str]


class Once:
    """The changing calls at work, each in a task of `group`: a client that hangs up, or whose deadline passes, waits no
    longer, and the work goes on."""

    def __init__(self, log: Log, group: asyncio.TaskGroup) -> None:
        self._log = log
        self._group = group
        self._at_work: set[asyncio.Task[_Outcome]] = set()
        self._by_key: dict[_Key, tuple[bytes, asyncio.Task[_Outcome]]] = {}
        self._draining = False

    async def drain(self) -> None:
        """Takes no new calls, and waits for the ones at work."""
        self._draining = True
        if self._at_work:
            await asyncio.wait(self._at_work)

    async def run(
        self,
        method: str,
        request: Any,
        digest: Callable[[Message], bytes],
        work: Callable[[RequestKey | None], Awaitable[Message]],
    ) -> bytes:
        """Gives the serialized answer: of `work`, of the twin at work, or the kept one. Raises RuntimeFault."""
        if self._draining:
            raise Draining("the server is shutting down", retry_after=_RETRY_WHEN_DRAINING)
        if request.request_id:
            task = self._twin_or_new(RequestKey(TENANT, method, request.request_id, digest(request)), work)
        else:
            task = self._start(_plain(work))
        outcome = await asyncio.shield(task)
        if isinstance(outcome, RuntimeFault):
            raise outcome
        return outcome

    def _twin_or_new(
        self, key: RequestKey, work: Callable[[RequestKey | None], Awaitable[Message]]
    ) -> asyncio.Task[_Outcome]:
        scope = (key.tenant, key.method, key.request_id)
        twin = self._by_key.get(scope)
        if twin is not None:
            if twin[0] != key.digest:
                raise _reused(key)
            return twin[1]
        task = self._start(self._once(key, work))
        self._by_key[scope] = (key.digest, task)
        task.add_done_callback(lambda _: self._by_key.pop(scope))
        return task

    async def _once(self, key: RequestKey, work: Callable[[RequestKey | None], Awaitable[Message]]) -> bytes:
        kept = await self._log.kept_answer(key)
        if kept is None:
            return (await work(key)).SerializeToString()
        if kept.key.digest != key.digest:
            raise _reused(key)
        return kept.response

    def _start(self, work: Awaitable[bytes]) -> asyncio.Task[_Outcome]:
        task = self._group.create_task(settle(work))
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
        return task


async def _plain(work: Callable[[RequestKey | None], Awaitable[Message]]) -> bytes:
    return (await work(None)).SerializeToString()


def _reused(key: RequestKey) -> RequestIdReused:
    return RequestIdReused(f"the request id {key.request_id!r} was used with another {key.method} request")
