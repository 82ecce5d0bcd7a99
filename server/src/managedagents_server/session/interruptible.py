"""What an interrupt may cut off."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from managedagents_server.session.session import Session

T = TypeVar("T")


async def until_interrupted(session: Session, work: Awaitable[T]) -> T | None:
    """What the work gives; None: an interrupt cut it off."""
    scope = asyncio.timeout(None)
    try:
        async with scope:
            session.scope = scope
            return await work
    except TimeoutError:
        if not scope.expired():
            raise
        return None
    finally:
        session.scope = None
