from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from support.server import Server, Stub, running
from support.stubborn import Stubborn, stubborn

FLAGS = ("--limit", "retry_first=0.05")


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server of the test's own, to be killed."""
    async with running(tmp_path / "log.db", *FLAGS) as server:
        yield server


@pytest_asyncio.fixture
async def client(server: Server) -> AsyncIterator[Stubborn]:
    async with stubborn(server) as client:
        yield client


@pytest_asyncio.fixture
async def stub(client: Stubborn) -> Stub:
    """Of a channel that outlives the server and connects again quickly."""
    return client.stub
