"""A changing call happens once for one request id, and outlives the one who asked."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from google.protobuf.message import Message

from managedagents.v1 import service_pb2
from managedagents_server.rpc.once import Once
from managedagents_server.words.errors import Draining, RequestIdReused, SessionNotFound
from managedagents_server.words.request import KeptAnswer, RequestKey


class KeepingLog:
    """The part of the log that remembers answers."""

    def __init__(self) -> None:
        self.kept: dict[str, KeptAnswer] = {}

    async def kept_answer(self, key: RequestKey) -> KeptAnswer | None:
        await asyncio.sleep(0)
        return self.kept.get(key.request_id)


class Work:
    """Appends when it is let, and keeps its answer as a runtime does."""

    def __init__(self, log: KeepingLog) -> None:
        self.log = log
        self.started = asyncio.Event()
        self.let = asyncio.Event()
        self.done = 0

    async def __call__(self, key: RequestKey | None) -> Message:
        self.started.set()
        await self.let.wait()
        self.done += 1
        answer = service_pb2.SendEventResponse(seq=self.done)
        if key is not None:
            self.log.kept[key.request_id] = KeptAnswer(key, answer.SerializeToString())
        return answer


@pytest.fixture
def log() -> KeepingLog:
    return KeepingLog()


@pytest.fixture
def work(log: KeepingLog) -> Work:
    return Work(log)


@pytest.fixture
async def once(log: KeepingLog) -> AsyncIterator[Once]:
    stand_in: Any = log
    async with asyncio.TaskGroup() as group:
        yield Once(stand_in, group)


def send(request_id: str = "", session: str = "s") -> service_pb2.SendEventRequest:
    return service_pb2.SendEventRequest(session_id=session, request_id=request_id)


def digest(request: Message) -> bytes:
    return cast("service_pb2.SendEventRequest", request).session_id.encode()


def ask(once: Once, work: Work, request: service_pb2.SendEventRequest) -> "asyncio.Task[bytes]":
    return asyncio.ensure_future(once.run("SendEvent", request, digest, work))


def seq(answer: bytes) -> int:
    return service_pb2.SendEventResponse.FromString(answer).seq


async def test_without_an_id_every_call_happens(once: Once, work: Work) -> None:
    work.let.set()
    assert [seq(await ask(once, work, send())) for _ in range(2)] == [1, 2]


async def test_a_retry_gets_the_kept_answer(once: Once, work: Work) -> None:
    work.let.set()
    assert [seq(await ask(once, work, send("r"))) for _ in range(2)] == [1, 1]
    assert work.done == 1


async def test_a_twin_waits_for_the_first(once: Once, work: Work) -> None:
    twins = [ask(once, work, send("r")) for _ in range(3)]
    await work.started.wait()
    work.let.set()
    assert [seq(await twin) for twin in twins] == [1, 1, 1]
    assert work.done == 1


async def test_another_request_of_the_same_id_is_refused_at_work_and_after(once: Once, work: Work) -> None:
    first = ask(once, work, send("r"))
    await work.started.wait()
    with pytest.raises(RequestIdReused):
        await ask(once, work, send("r", session="other"))
    work.let.set()
    await first
    with pytest.raises(RequestIdReused):
        await ask(once, work, send("r", session="other"))


async def test_a_client_that_hangs_up_does_not_stop_the_work(once: Once, work: Work) -> None:
    gone = ask(once, work, send("r"))
    await work.started.wait()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    work.let.set()
    assert seq(await ask(once, work, send("r"))) == 1
    assert work.done == 1


async def test_a_refusal_is_not_kept(once: Once, work: Work) -> None:
    async def refuse(_key: RequestKey | None) -> Message:
        raise SessionNotFound("no")

    with pytest.raises(SessionNotFound):
        await once.run("SendEvent", send("r"), digest, refuse)
    work.let.set()
    assert seq(await ask(once, work, send("r"))) == 1


async def test_draining_waits_for_what_is_at_work_and_takes_nothing_new(once: Once, work: Work) -> None:
    first = ask(once, work, send())
    await work.started.wait()
    drained = asyncio.ensure_future(once.drain())
    await asyncio.sleep(0)
    with pytest.raises(Draining) as caught:
        await ask(once, work, send())
    assert caught.value.retry_after == 1.0
    assert not drained.done()
    work.let.set()
    await drained
    assert seq(await first) == 1
