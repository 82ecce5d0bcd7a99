import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.busy import Recording, record
from support.one_loop import share_loop
from support.server import Server, Stub, running

FLAGS = tuple(flag for limit in ("batch_bytes=400", "heartbeat=0.2", "retry_first=0.05") for flag in ("--limit", limit))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    share_loop(items, Path(__file__).parent)


@pytest.fixture(scope="session", params=[1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 7))])
def recording(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """One run serves the tests of all promises; the parameter is its seed."""
    return asyncio.run(record(tmp_path_factory.mktemp("busy"), request.param))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stub]:
    """Of a server that all tests share: small batches, short silences, quick retries."""
    async with running(tmp_path_factory.mktemp("shared") / "log.db", *FLAGS) as server, server.channel() as channel:
        yield Stub(channel)


@pytest_asyncio.fixture(loop_scope="session")
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server of the test's own, to be killed."""
    async with running(tmp_path / "log.db", *FLAGS) as started:
        yield started
