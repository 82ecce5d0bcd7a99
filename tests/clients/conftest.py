"""The runners of all languages, built once."""

import pytest_asyncio

from support.acts import Commands, built


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def commands() -> Commands:
    """What runs an act, by language."""
    return await built()
