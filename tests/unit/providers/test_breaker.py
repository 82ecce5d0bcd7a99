"""A provider that answers nobody is left alone."""

import asyncio
from collections.abc import Callable

import pytest

from managedagents.v1 import agent_pb2, model_pb2
from managedagents_server.providers import statuses
from managedagents_server.providers.base import Answer, Delta, ModelFailure, ModelRequest
from managedagents_server.providers.breaker import Breaker, CarefulModel
from managedagents_server.providers.statuses import Meaning
from managedagents_server.words.limits import Limits

ANSWER = Answer((), model_pb2.MODEL_STOP_REASON_END_TURN, "m")
REQUEST = ModelRequest("", [], [], agent_pb2.ModelSettings(), 0)
COUNTED = [statuses.UNREACHABLE, statuses.TIMEOUT, statuses.BROKEN_STREAM, statuses.UNAVAILABLE]
OTHERS = [statuses.RATE_LIMITED, statuses.AUTHENTICATION, statuses.QUOTA, statuses.NOT_FOUND, statuses.CONTENT_REJECTED]


class HandClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def wall(self) -> int:
        return int(self.now * 1e9)

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


class Told:
    """Answers, or fails as it is told; with `held` it waits for it first."""

    provider = "told"

    def __init__(self) -> None:
        self.fails: Meaning | None = None
        self.says = False
        self.held: asyncio.Event | None = None
        self.begun = asyncio.Event()
        self.asked = 0

    async def ask(self, request: ModelRequest, on_delta: Callable[[Delta], None]) -> Answer:
        self.asked += 1
        self.begun.set()
        if self.says:
            on_delta(Delta(0, "text", "a"))
        if self.held is not None:
            await self.held.wait()
        if self.fails is not None:
            raise self.fails.failure("as told")
        return ANSWER


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def breaker(clock: HandClock) -> Breaker:
    return Breaker(clock, Limits(breaker_failures=3, breaker_seconds=30.0))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def model(told: Told, breaker: Breaker) -> CarefulModel:
    return CarefulModel(told, "here", breaker)


def unheard(delta: Delta) -> None:
    pass


async def failing(model: CarefulModel) -> ModelFailure:
    with pytest.raises(ModelFailure) as caught:
        await model.ask(REQUEST, unheard)
    return caught.value


async def fail(model: CarefulModel, told: Told, times: int, meaning: Meaning = statuses.UNREACHABLE) -> None:
    told.fails = meaning
    for _ in range(times):
        assert (await failing(model)).message == "as told"


async def test_the_name_is_the_models(model: CarefulModel) -> None:
    assert model.provider == "told"


@pytest.mark.parametrize("meaning", COUNTED, ids=lambda meaning: str(meaning.code))
async def test_after_failures_in_a_row_nothing_is_sent(
    model: CarefulModel, told: Told, clock: HandClock, meaning: Meaning
) -> None:
    await fail(model, told, 3, meaning)
    clock.now += 10
    failure = await failing(model)
    assert told.asked == 3
    assert (failure.code, failure.transient, failure.retry_after) == (statuses.UNAVAILABLE.code, True, 20.0)
    assert "failed 3 times in a row and is left alone" in failure.message


@pytest.mark.parametrize("meaning", OTHERS, ids=lambda meaning: str(meaning.code))
async def test_a_provider_that_says_no_is_there(model: CarefulModel, told: Told, meaning: Meaning) -> None:
    await fail(model, told, 10, meaning)
    assert told.asked == 10


async def test_failures_that_are_not_in_a_row_do_not_count(model: CarefulModel, told: Told) -> None:
    for _ in range(3):
        await fail(model, told, 2)
        told.fails = None
        assert await model.ask(REQUEST, unheard) is ANSWER


async def test_an_answer_that_breaks_off_after_it_began_does_not_count(model: CarefulModel, told: Told) -> None:
    told.says = True
    await fail(model, told, 10, statuses.BROKEN_STREAM)
    assert told.asked == 10


async def test_other_addresses_go_on(model: CarefulModel, told: Told, breaker: Breaker) -> None:
    await fail(model, told, 3)
    told.fails = None
    assert await CarefulModel(told, "there", breaker).ask(REQUEST, unheard) is ANSWER


async def test_then_one_request_tries_it_again(model: CarefulModel, told: Told, clock: HandClock) -> None:
    await fail(model, told, 3)
    clock.now += 30
    told.fails, told.held = None, asyncio.Event()
    told.begun.clear()
    probe = asyncio.create_task(model.ask(REQUEST, unheard))
    await told.begun.wait()
    failure = await failing(model)
    assert (told.asked, failure.retry_after) == (4, 30.0)
    told.held.set()
    assert await probe is ANSWER
    assert await model.ask(REQUEST, unheard) is ANSWER


async def test_a_probe_that_is_never_answered_does_not_keep_the_others_away(
    model: CarefulModel, told: Told, clock: HandClock
) -> None:
    await fail(model, told, 3)
    clock.now += 30
    unanswered = asyncio.Event()
    told.fails, told.held = None, unanswered
    told.begun.clear()
    probe = asyncio.create_task(model.ask(REQUEST, unheard))
    await told.begun.wait()
    clock.now += 29
    assert (await failing(model)).retry_after == 1.0
    clock.now += 1
    told.held = None
    assert await model.ask(REQUEST, unheard) is ANSWER
    unanswered.set()
    assert await probe is ANSWER


async def test_a_probe_that_fails_leaves_it_alone_as_long_again(
    model: CarefulModel, told: Told, clock: HandClock
) -> None:
    await fail(model, told, 3)
    clock.now += 30
    await fail(model, told, 1)
    clock.now += 29
    assert (await failing(model)).retry_after == 1.0
    clock.now += 1
    await fail(model, told, 1)
    assert told.asked == 5


async def test_a_probe_that_is_cut_off_makes_room_for_the_next(
    model: CarefulModel, told: Told, clock: HandClock
) -> None:
    await fail(model, told, 3)
    clock.now += 30
    told.held = asyncio.Event()
    told.begun.clear()
    probe = asyncio.create_task(model.ask(REQUEST, unheard))
    await told.begun.wait()
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    told.fails, told.held = None, None
    assert await model.ask(REQUEST, unheard) is ANSWER


async def test_the_first_piece_of_a_probes_answer_lets_the_others_in(
    model: CarefulModel, told: Told, clock: HandClock
) -> None:
    await fail(model, told, 3)
    clock.now += 30
    told.fails, told.says, told.held = None, True, asyncio.Event()
    told.begun.clear()
    probe = asyncio.create_task(model.ask(REQUEST, unheard))
    await told.begun.wait()
    second = asyncio.create_task(model.ask(REQUEST, unheard))
    told.held.set()
    assert (await probe, await second) == (ANSWER, ANSWER)
