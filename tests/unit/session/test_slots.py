"""A provider that answers nobody holds up its own sessions, and leaves slots to the others."""

import asyncio
from contextlib import AsyncExitStack

from managedagents_server.session.slots import Slots


async def taken(stack: AsyncExitStack, slots: Slots, address: str) -> bool:
    """Whether there is a slot at once; it is held until the stack ends."""
    attempt = asyncio.ensure_future(stack.enter_async_context(slots.held(address)))
    for _ in range(5):
        await asyncio.sleep(0)
    if attempt.done():
        return True
    attempt.cancel()
    return False


async def test_one_address_takes_no_more_than_its_share() -> None:
    slots = Slots(most=4, most_at_address=2)
    async with AsyncExitStack() as stack:
        assert [await taken(stack, slots, "dead") for _ in range(3)] == [True, True, False]
        assert [await taken(stack, slots, "alive") for _ in range(2)] == [True, True]
        assert not await taken(stack, slots, "third")


async def test_what_talks_to_nobody_outside_has_all_the_slots() -> None:
    slots = Slots(most=3, most_at_address=1)
    async with AsyncExitStack() as stack:
        assert [await taken(stack, slots, "") for _ in range(4)] == [True, True, True, False]


async def test_a_slot_that_is_given_back_goes_to_who_waits() -> None:
    slots = Slots(most=2, most_at_address=1)
    async with AsyncExitStack() as waiting:
        async with AsyncExitStack() as first:
            assert await taken(first, slots, "dead")
            next_one = asyncio.ensure_future(waiting.enter_async_context(slots.held("dead")))
            await asyncio.sleep(0)
            assert not next_one.done()
        await asyncio.wait_for(next_one, 1)
        assert not await taken(waiting, slots, "dead")
        assert await taken(waiting, slots, "other")
