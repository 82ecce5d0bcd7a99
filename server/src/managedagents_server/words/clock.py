"""The one source of time, so that a test can move it."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def wall(self) -> int:
        """Nanoseconds since 1970, as logged. May jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment of this process. Never goes back."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock, shifted by `ahead` seconds of wall time (a test's way to let an hour pass)."""

    def __init__(self, ahead: float = 0.0) -> None:
        self._ahead = int(ahead * 1e9)

    def wall(self) -> int:
        return time.time_ns() + self._ahead

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
