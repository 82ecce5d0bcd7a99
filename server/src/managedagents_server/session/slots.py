"""Slots are held by turns at work. A turn needs two: one of its provider's address, so that a provider that answers
nobody holds up its own sessions only, and one of all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Slots:
    """First come, first served."""

    def __init__(self, most: int, most_at_address: int) -> None:
        self.all = asyncio.Semaphore(most)
        self._most_at_address = most_at_address
        self._at: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def held(self, address: str) -> AsyncIterator[None]:
        """`address`: empty where a turn talks to nobody outside."""
        if not address:
            async with self.all:
                yield
            return
        at_address = self._at.get(address)
        if at_address is None:
            at_address = self._at[address] = asyncio.Semaphore(self._most_at_address)
        # In this order: who waits for its provider holds nothing that others need.
        async with at_address, self.all:
            yield
