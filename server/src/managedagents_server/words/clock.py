"""The one source of time, so that a test can move it."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def wall(self) -> int:
        """Nanoseconds since 1970, as logged. Never goes back while the process lives."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment of this process. Never goes back."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's wall time at the start, carried on by its monotonic clock: deadlines are logged in wall time, and a
    step of the machine's clock must neither fire them all nor hold them up. It is followed at the next start.

    `ahead`: seconds by which wall time is shifted (a test's way to let an hour pass).
    """

    def __init__(self, ahead: float = 0.0) -> None:
        self._start = time.time_ns() - time.monotonic_ns() + int(ahead * 1e9)

    def wall(self) -> int:
        return self._start + time.monotonic_ns()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
