from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest
import pytest_asyncio

from providers.cell import LOCAL
from providers.rows import LIMITS
from support.one_loop import share_loop
from support.server import Stub, running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    share_loop(items, Path(__file__).parent)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def channel(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[grpc.aio.Channel]:
    """To a server that all tests share: each test makes its own agents and sessions."""
    folder = tmp_path_factory.mktemp("providers")
    async with running(folder / "log.db", *LOCAL, *LIMITS) as server, server.channel() as channel:
        yield channel


@pytest.fixture(scope="session")
def stub(channel: grpc.aio.Channel) -> Stub:
    return Stub(channel)
