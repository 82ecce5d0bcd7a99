"""When a server that was lost may be tried again."""

import random

from managedagents_server.tools.mcp.bounds import McpBounds

_DOUBLINGS = 32
"""More make no difference, and would not fit into a float some day."""


class Backoff:
    """A server that answered and was lost is reopened at once: processes die, and the next call should find a new one.
    One that is lost again and again without an answer is left alone, for longer each time."""

    def __init__(self, bounds: McpBounds) -> None:
        self._bounds = bounds
        self._in_a_row = 0
        self._until = 0.0

    def lost(self, now: float, *, stood: bool, answered: bool) -> None:
        """`stood`: it was connected. `answered`: and answered a request since."""
        self._in_a_row = 0 if answered else self._in_a_row + 1
        # The first loss of a connection that stood is nobody's fault yet.
        failures = self._in_a_row - 1 if stood else self._in_a_row
        if failures <= 0:
            self._until = now
            return
        delay = min(self._bounds.retry_first * 2 ** min(failures - 1, _DOUBLINGS), self._bounds.retry_most)
        # Spread, so that the sessions of one server that went away do not all come back in the same moment.
        self._until = now + delay * random.uniform(0.5, 1.0)

    def left(self, now: float) -> float:
        return max(self._until - now, 0.0)
