from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from managedagents_server.log import Log
from support.rows import StillClock, new_session, open_log


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest_asyncio.fixture
async def log(db: Path, clock: StillClock) -> AsyncIterator[Log]:
    log = open_log(db, clock)
    yield log
    await log.close()


@pytest_asyncio.fixture
async def session(log: Log) -> int:
    """The key of a session with an empty log."""
    return await log.start_session(new_session())
