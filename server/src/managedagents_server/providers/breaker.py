"""A provider that answers nobody is left alone for a while: who asks it fails at once, and holds no slot meanwhile."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from managedagents_server.providers import statuses
from managedagents_server.providers.base import Answer, Delta, Model, ModelFailure, ModelRequest
from managedagents_server.words.clock import Clock
from managedagents_server.words.limits import Limits

logger = logging.getLogger(__name__)

_KEPT = 4096
"""Failing addresses that are remembered; those that failed last."""

_COUNTED = frozenset(
    meaning.code for meaning in (statuses.UNREACHABLE, statuses.TIMEOUT, statuses.BROKEN_STREAM, statuses.UNAVAILABLE)
)


@dataclass(slots=True)
class _Failing:
    """An address whose last request failed."""

    in_a_row: int = 0
    alone_until: float = 0.0
    """Monotonic time."""
    probed_until: float = 0.0
    """One request is on its way, to see whether the provider is back; from then on another one may, too."""


class Breaker:
    """By address. In memory alone: a server that starts tries everybody."""

    def __init__(self, clock: Clock, limits: Limits) -> None:
        self._clock = clock
        self._limits = limits
        self._failing: OrderedDict[str, _Failing] = OrderedDict()

    def enter(self, address: str) -> _Failing | None:
        """Raises a ModelFailure where the address is left alone. Gives what is probed; None: this is no probe."""
        failing = self._failing.get(address)
        if failing is None or failing.in_a_row < self._limits.breaker_failures:
            return None
        now = self._clock.monotonic()
        left = max(failing.alone_until, failing.probed_until) - now
        if left <= 0:
            # Perhaps this one alone is never answered: those that wait must not wait, and give up, for its sake.
            failing.probed_until = now + self._limits.breaker_seconds
            return failing
        raise statuses.UNAVAILABLE.failure(
            f"the provider failed {failing.in_a_row} times in a row and is left alone for now; nothing was sent",
            retry_after=left,
        )

    def failed(self, address: str) -> None:
        failing = self._failing.setdefault(address, _Failing())
        self._failing.move_to_end(address)
        if len(self._failing) > _KEPT:
            self._failing.popitem(last=False)
        failing.in_a_row += 1
        if failing.in_a_row >= self._limits.breaker_failures:
            failing.alone_until = self._clock.monotonic() + self._limits.breaker_seconds
            logger.warning("a provider is left alone", extra={"address": address, "failures": failing.in_a_row})

    def answered(self, address: str) -> None:
        self._failing.pop(address, None)


class CarefulModel:
    """A model behind a breaker."""

    def __init__(self, model: Model, address: str, breaker: Breaker) -> None:
        self._model = model
        self._address = address
        self._breaker = breaker

    @property
    def provider(self) -> str:
        return self._model.provider

    async def ask(self, request: ModelRequest, on_delta: Callable[[Delta], None]) -> Answer:
        probing = self._breaker.enter(self._address)
        heard = False

        def hear(delta: Delta) -> None:
            nonlocal heard
            if not heard:
                # However long the answer takes: the provider is there.
                heard = True
                self._breaker.answered(self._address)
            on_delta(delta)

        try:
            answer = await self._model.ask(request, hear)
        except ModelFailure as failure:
            if failure.code in _COUNTED and not heard:
                self._breaker.failed(self._address)
            else:
                self._breaker.answered(self._address)
            raise
        finally:
            # Also where the answer was cut off by an interrupt, which tells nothing.
            if probing is not None:
                probing.probed_until = 0.0
        self._breaker.answered(self._address)
        return answer
