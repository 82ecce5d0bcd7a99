from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from managedagents_server.log import Log, NewVersion
from managedagents_server.session.around import Around
from managedagents_server.session.keyring import Keyring
from managedagents_server.session.keys import Keys
from managedagents_server.tools import Mode, Tools
from managedagents_server.words.addresses import Addresses
from managedagents_server.words.limits import Limits
from support.calls import scripted
from support.rows import START, StillClock, open_log


@pytest_asyncio.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    """A log with one agent, agt_1."""
    log = open_log(tmp_path / "log.db")
    definition = scripted({"text": "hi"}).SerializeToString()
    await log.create_agent(NewVersion("default", "agt_1", 1, definition, "{}", START), None)
    yield log
    await log.close()


@pytest_asyncio.fixture
async def around(log: Log, tmp_path: Path) -> Around:
    """Room for three sessions at rest."""
    nobody_is_asked: Any = None
    keys = Keys(log, Keyring.read("", tmp_path / "log.db.key"))
    tools = Tools(Mode.NONE, tmp_path / "workspaces", Addresses(), None, None, Limits())
    return Around(log, nobody_is_asked, tools, keys, StillClock(), Limits(resting_bytes=3 * 4096))
