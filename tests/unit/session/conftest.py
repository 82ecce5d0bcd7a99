from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from managedagents_server.log import AgentRow, Log
from managedagents_server.session.around import Around
from managedagents_server.words.limits import Limits
from support.calls import scripted
from support.rows import START, StillClock, open_log


@pytest_asyncio.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    """A log with one agent, agt_1."""
    log = open_log(tmp_path / "log.db")
    definition = scripted({"text": "hi"}).SerializeToString()
    await log.create_agent(AgentRow(0, "default", "agt_1", 1, definition, "{}", START, START, None), None)
    yield log
    await log.close()


@pytest_asyncio.fixture
async def around(log: Log) -> Around:
    """Room for three sessions at rest."""
    nobody_is_asked: Any = None
    return Around(log, nobody_is_asked, StillClock(), Limits(resting_bytes=3 * 4096))
