"""One server for all tests of this folder; each test has sessions of its own on it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.one_loop import share_loop
from support.server import Server, Stub, running

LIMITS = ("deadline_grace=0", "retry_first=0.05", "provider_attempts=3", "tool_rounds=3", "queued_messages=5")
FLAGS = tuple(flag for limit in LIMITS for flag in ("--limit", limit))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    share_loop(items, Path(__file__).parent)


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with running(tmp_path_factory.mktemp("session") / "log.db", *FLAGS) as server:
        yield server


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def stub(server: Server) -> AsyncIterator[Stub]:
    async with server.channel() as channel:
        yield Stub(channel)
