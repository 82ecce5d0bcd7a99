"""A database of each earlier schema, made by the server of that time, goes on under the server of today.

Beside each stands what was in its logs. When the schema changes, the server before the change makes one more: sessions
that have talked, that wait, that are paused, that back off, that are over.
"""

import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format
from sqlite_utils import Database

from managedagents.v1 import event_pb2, session_pb2, user_event_pb2
from managedagents_server.log.schema import migrations
from support.calls import Event
from support.driven import Driven, lines
from support.judge import Judge
from support.server import Stub, running

pytestmark = pytest.mark.long

DATABASES = sorted((Path(__file__).parent / "databases").glob("*.sqlite"))


@dataclass(frozen=True)
class Old:
    stub: Stub
    logs: dict[str, Any]

    def session(self, name: str) -> Driven:
        return Driven(self.stub, self.logs[name]["session_id"])

    def events(self, name: str) -> list[Event]:
        return [json_format.ParseDict(event, event_pb2.SessionEvent()) for event in self.logs[name]["events"]]


@pytest_asyncio.fixture(params=DATABASES, ids=lambda path: path.stem)
async def old(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Old]:
    file: Path = request.param
    shutil.copy(file, tmp_path / "log.db")
    flags = ("--limit", "deadline_grace=0", "--limit", "custom_tool_timeout=600")
    async with running(tmp_path / "log.db", *flags) as server, server.channel() as channel:
        yield Old(Stub(channel), json.loads(file.with_suffix(".json").read_text()))
        assert "Traceback" not in server.stderr()


def test_there_is_one_of_each_schema() -> None:
    assert [path.stem for path in DATABASES] == [
        f"v{number}" for number, _ in enumerate(migrations.pending(Database(memory=True)), 1)
    ]


async def test_every_event_is_there_as_it_was(old: Old) -> None:
    for name in old.logs:
        before = old.events(name)
        assert (await old.session(name).log())[: len(before)] == before, name


async def test_what_waited_takes_its_answers_and_goes_on(old: Old) -> None:
    session = old.session("parked")
    for action in (await session.status()).pending_actions:
        await session.answer(action.tool_use_id)
    first = old.events("parked")[0].turn
    await session.comes("status.idle end_turn")
    await session.comes("status.idle end_turn")
    log = await session.log()
    Judge().read(log)
    assert f"{first} status.idle end_turn" in lines(log)


async def test_what_was_paused_stays_so_until_it_is_resumed(old: Old) -> None:
    session = old.session("paused")
    assert (await session.status()).status == session_pb2.SESSION_STATUS_PAUSED
    await session.resume()
    for action in (await session.status()).pending_actions:
        await session.answer(action.tool_use_id)
    await session.comes("status.idle end_turn")
    Judge().read(await session.log())


async def test_what_went_to_requires_action_still_takes_the_answer(old: Old) -> None:
    session = old.session("requires_action")
    (action,) = (await session.status()).pending_actions
    await session.answer(action.tool_use_id)
    await session.comes("status.idle end_turn")
    Judge().read(await session.log())


async def test_what_backed_off_tries_again(old: Old) -> None:
    session = old.session("backing_off")
    await session.comes("status.idle end_turn")
    Judge().read(await session.log())


async def test_what_talked_talks_on_and_what_is_over_is_over(old: Old) -> None:
    session = old.session("talk")
    await session.send("and?")
    session.seen = len(old.events("talk"))
    await session.comes("status.idle end_turn")
    assert (await old.session("archived").status()).status == session_pb2.SESSION_STATUS_ARCHIVED


async def test_what_asked_still_asks(old: Old) -> None:
    if "asks" not in old.logs:
        # Before the schema of environments no tool asked.
        return
    session = old.session("asks")
    (action,) = (await session.status()).pending_actions
    given = user_event_pb2.UserToolConfirmation(
        tool_use_id=action.tool_use_id, decision=user_event_pb2.TOOL_CONFIRMATION_DENY
    )
    await session.send(user_event_pb2.UserEvent(user_tool_confirmation=given))
    await session.comes("status.idle end_turn")
    Judge().read(await session.log())
