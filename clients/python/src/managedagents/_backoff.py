"""How long to wait before asking again."""

import random

FIRST = 0.1
"""Seconds, at most, before the second attempt."""
LONGEST = 3.0
"""Seconds, at most, between any two attempts: a server that is back is found within this."""
_GROWTH = 1.7


class Backoff:
    """Delays that grow, with jitter, so that clients that lost one server do not all come back at once."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()
        self._ceiling = FIRST

    def next(self, at_least: float | None = None) -> float:
        """Seconds to wait, between half the present ceiling and all of it, and never less than the server asked for."""
        delay = self._ceiling * self._rng.uniform(0.5, 1.0)
        self._ceiling = min(self._ceiling * _GROWTH, LONGEST)
        return max(delay, at_least or 0.0)

    def reset(self) -> None:
        """Begin anew: something went well."""
        self._ceiling = FIRST
