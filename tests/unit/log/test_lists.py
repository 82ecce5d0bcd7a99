"""Lists come newest first, by page, and only what the filters let through."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from managedagents_server.log import AgentRow, Log, SessionRow
from managedagents_server.session.views import dump_metadata
from support.rows import START, new_session, new_version

METADATA: Sequence[Mapping[str, str]] = [
    {},
    {"team": "blue"},
    {"team": "blue", "stage": "prod"},
    {"team": "green", "blue": "team"},
    {'a "quoted" key': "it's", "$.path": "[0]", "ünï": "cödé"},
    {"empty": ""},
]
FILTERS = [
    pytest.param({}, [6, 5, 4, 3, 2, 1], id="none"),
    pytest.param({"team": "blue"}, [3, 2], id="one entry"),
    pytest.param({"team": "blue", "stage": "prod"}, [3], id="both entries"),
    pytest.param({"team": "blue", "stage": "dev"}, [], id="one of two is not enough"),
    pytest.param({"team": "Blue"}, [], id="case counts"),
    pytest.param({"team": "blu"}, [], id="a prefix is not enough"),
    pytest.param({"blue": "team"}, [4], id="a key is no value"),
    pytest.param({"$.path": "[0]"}, [5], id="a key is no JSON path"),
    pytest.param({'a "quoted" key': "it's", "ünï": "cödé"}, [5], id="quotes and letters"),
    pytest.param({"empty": ""}, [6], id="an empty value is a value"),
    pytest.param({"team": ""}, [], id="an empty value is not any"),
]


LARGE = 1 << 20


async def page_of_agents(
    log: Log, wanted: Mapping[str, str] | None = None, *, most_rows: int = 100, most_bytes: int = LARGE, **more: Any
) -> tuple[list[AgentRow], bool]:
    asked = {"before": None, "metadata": wanted or {}, "archived": False, **more}
    return await log.agents("default", most_rows=most_rows, most_bytes=most_bytes, **asked)


async def page_of_sessions(
    log: Log, *, most_rows: int = 100, most_bytes: int = LARGE, **more: Any
) -> tuple[list[SessionRow], bool]:
    asked: dict[str, Any] = {"before": None, "agent_id": "", "statuses": [], "metadata": {}, **more}
    return await log.sessions("default", most_rows=most_rows, most_bytes=most_bytes, **asked)


async def agents(log: Log, wanted: Mapping[str, str] | None = None, **more: Any) -> list[str]:
    rows, more_rows = await page_of_agents(log, wanted, **more)
    assert not more_rows
    return [row.agent_id for row in rows]


async def sessions(log: Log, **asked: Any) -> list[str]:
    rows, more_rows = await page_of_sessions(log, **asked)
    assert not more_rows
    return [row.session_id for row in rows]


async def add_agent(log: Log, agent_id: str, metadata: Mapping[str, str], tenant: str = "default") -> None:
    await log.create_agent(new_version(agent_id, tenant=tenant, metadata=dump_metadata(metadata)), None)


@pytest.mark.parametrize(("wanted", "numbers"), FILTERS)
async def test_sessions_are_filtered_by_metadata(log: Log, wanted: Mapping[str, str], numbers: list[int]) -> None:
    for number, metadata in enumerate(METADATA, 1):
        await log.start_session(new_session(f"ses_{number}", metadata=metadata))
    assert await sessions(log, metadata=wanted) == [f"ses_{number}" for number in numbers]


@pytest.mark.parametrize(("wanted", "numbers"), FILTERS)
async def test_agents_are_filtered_by_metadata(log: Log, wanted: Mapping[str, str], numbers: list[int]) -> None:
    for number, metadata in enumerate(METADATA, 1):
        await add_agent(log, f"agt_{number}", metadata)
    assert await agents(log, wanted) == [f"agt_{number}" for number in numbers]


@pytest.mark.parametrize(
    ("agent_id", "statuses", "listed"),
    [
        ("", [], [4, 3, 2, 1]),
        ("agt_1", [], [3, 2, 1]),
        ("agt_2", [], [4]),
        ("agt_3", [], []),
        ("", [3], [4, 3]),
        ("", [1, 2], [2, 1]),
        ("agt_1", [2, 3], [3, 2]),
        ("", [8], []),
    ],
)
async def test_sessions_are_filtered_by_agent_and_status(
    log: Log, agent_id: str, statuses: list[int], listed: list[int]
) -> None:
    for number, status, of in ((1, 1, "agt_1"), (2, 2, "agt_1"), (3, 3, "agt_1"), (4, 3, "agt_2")):
        await log.start_session(new_session(f"ses_{number}", agent_id=of, status=status))
    assert await sessions(log, agent_id=agent_id, statuses=statuses) == [f"ses_{number}" for number in listed]


async def test_pages_of_sessions_go_on_from_the_last_key_whatever_is_started_meanwhile(log: Log) -> None:
    keys = [await log.start_session(new_session(f"ses_{number}")) for number in range(1, 6)]
    seen: list[str] = []
    before: int | None = None
    more = True
    while more:
        rows, more = await page_of_sessions(log, before=before, most_rows=2)
        seen += [row.session_id for row in rows]
        before = rows[-1].key
        await log.start_session(new_session(f"ses_later_{len(seen)}"))
    assert seen == ["ses_5", "ses_4", "ses_3", "ses_2", "ses_1"]
    assert before == keys[0]


async def test_pages_of_agents_go_on_from_the_last_key(log: Log) -> None:
    for number in range(1, 6):
        await add_agent(log, f"agt_{number}", {})
    (_, fourth), more = await page_of_agents(log, most_rows=2)
    assert more
    assert await agents(log, before=fourth.key) == ["agt_3", "agt_2", "agt_1"]


async def test_an_archived_agent_is_listed_only_where_that_is_asked_for_and_keeps_its_first_time(log: Log) -> None:
    await add_agent(log, "agt_1", {})
    await add_agent(log, "agt_2", {})
    await log.archive_agent("default", "agt_1", START + 1, None)
    await log.archive_agent("default", "agt_1", START + 2, None)
    assert await agents(log) == ["agt_2"]
    assert await agents(log, archived=True) == ["agt_2", "agt_1"]
    row = await log.agent("default", "agt_1")
    assert row is not None
    assert row.archive_time == START + 1


async def test_nobody_sees_the_rows_of_another_tenant(log: Log) -> None:
    await add_agent(log, "agt_1", {}, tenant="other")
    await log.start_session(new_session()._replace(tenant="other"))
    assert await agents(log, archived=True) == []
    assert await log.agent("default", "agt_1") is None
    assert await sessions(log) == []


@pytest.mark.parametrize(
    ("most_rows", "most_bytes", "listed", "more"),
    [
        pytest.param(4, LARGE, [4, 3, 2, 1], False, id="all"),
        pytest.param(3, LARGE, [4, 3, 2], True, id="so many rows"),
        pytest.param(4, 300, [4, 3, 2], True, id="just the bytes asked for"),
        pytest.param(4, 299, [4, 3], True, id="a row that would pass the bound is left"),
        pytest.param(4, 1, [4], True, id="one row however small the bound"),
    ],
)
async def test_a_page_ends_at_rows_or_bytes(
    log: Log, most_rows: int, most_bytes: int, listed: list[int], more: bool
) -> None:
    for number in range(1, 5):
        await log.create_agent(new_version(f"agt_{number}", definition=b"x" * 100), None)
        await log.start_session(new_session(f"ses_{number}")._replace(overrides=b"x" * 100))
    agents_, more_agents = await page_of_agents(log, most_rows=most_rows, most_bytes=most_bytes)
    sessions_, more_sessions = await page_of_sessions(log, most_rows=most_rows, most_bytes=most_bytes)
    assert [row.agent_id for row in agents_] == [f"agt_{number}" for number in listed]
    assert [row.session_id for row in sessions_] == [f"ses_{number}" for number in listed]
    assert (more_agents, more_sessions) == (more, more)


async def test_an_update_moves_an_agent_to_no_other_page_and_its_newest_metadata_counts(log: Log) -> None:
    for number in range(1, 5):
        await add_agent(log, f"agt_{number}", {"team": "a"})
    (_, third), _ = await page_of_agents(log, {"team": "a"}, most_rows=2)
    for agent_id in ("agt_2", "agt_4"):
        await log.update_agent(new_version(agent_id, 2, metadata=dump_metadata({"team": "a", "new": "yes"})), None)
    await log.update_agent(new_version("agt_1", 2, metadata=dump_metadata({"team": "b"})), None)
    assert await agents(log, {"team": "a"}, before=third.key) == ["agt_2"]
    assert await agents(log, {"new": "yes"}) == ["agt_4", "agt_2"]
    assert await agents(log) == ["agt_4", "agt_3", "agt_2", "agt_1"]
    rows, _ = await page_of_agents(log)
    assert [row.version for row in rows] == [2, 1, 2, 2]
