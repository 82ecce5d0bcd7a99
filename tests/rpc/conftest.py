from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest
import pytest_asyncio

from support.calls import resting_session
from support.keyed import FLAGS as KEYED_FLAGS
from support.one_loop import share_loop
from support.server import Server, Stub, running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    share_loop(items, Path(__file__).parent)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with default limits that all tests share: each test makes its own agents and sessions."""
    async with running(tmp_path_factory.mktemp("shared") / "log.db") as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def channel(shared: Server) -> AsyncIterator[grpc.aio.Channel]:
    async with shared.channel() as channel:
        yield channel


@pytest.fixture(scope="session")
def stub(channel: grpc.aio.Channel) -> Stub:
    return Stub(channel)


@pytest_asyncio.fixture(loop_scope="session")
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server of the test's own, to be killed or stopped."""
    async with running(tmp_path / "log.db") as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def session_id(stub: Stub) -> str:
    """A session at rest with a log of four events."""
    return await resting_session(stub)


@pytest_asyncio.fixture(loop_scope="session")
async def keyed(tmp_path: Path) -> AsyncIterator[Server]:
    """A server of the test's own that may ask models on this machine."""
    async with running(tmp_path / "log.db", *KEYED_FLAGS) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def mine(keyed: Server) -> AsyncIterator[Stub]:
    async with keyed.channel() as channel:
        yield Stub(channel)
