"""Lists come newest first, by page, and only what the filters let through."""

from collections.abc import Mapping, Sequence

import pytest

from managedagents_server.log import AgentRow, Log
from managedagents_server.session.views import dump_metadata
from support.rows import START, new_session

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


async def agents(
    log: Log, wanted: Mapping[str, str] | None = None, *, archived: bool = False, before: int | None = None
) -> list[str]:
    rows = await log.agents("default", before=before, metadata=wanted or {}, archived=archived, most=100)
    return [row.agent_id for row in rows]


async def add_agent(log: Log, agent_id: str, metadata: Mapping[str, str], tenant: str = "default") -> None:
    row = AgentRow(0, tenant, agent_id, 1, b"definition", dump_metadata(metadata), START, START, None)
    await log.create_agent(row, None)


@pytest.mark.parametrize(("wanted", "numbers"), FILTERS)
async def test_sessions_are_filtered_by_metadata(log: Log, wanted: Mapping[str, str], numbers: list[int]) -> None:
    for number, metadata in enumerate(METADATA, 1):
        await log.start_session(new_session(f"ses_{number}", metadata=metadata))
    rows = await log.sessions("default", before=None, agent_id="", statuses=[], metadata=wanted, most=100)
    assert [row.session_id for row in rows] == [f"ses_{number}" for number in numbers]


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
    rows = await log.sessions("default", before=None, agent_id=agent_id, statuses=statuses, metadata={}, most=100)
    assert [row.session_id for row in rows] == [f"ses_{number}" for number in listed]


async def test_pages_of_sessions_go_on_from_the_last_key_whatever_is_started_meanwhile(log: Log) -> None:
    keys = [await log.start_session(new_session(f"ses_{number}")) for number in range(1, 6)]
    seen: list[str] = []
    before: int | None = None
    while rows := await log.sessions("default", before=before, agent_id="", statuses=[], metadata={}, most=2):
        seen += [row.session_id for row in rows]
        before = rows[-1].key
        await log.start_session(new_session(f"ses_later_{len(seen)}"))
    assert seen == ["ses_5", "ses_4", "ses_3", "ses_2", "ses_1"]
    assert before == keys[0]


async def test_pages_of_agents_go_on_from_the_last_key(log: Log) -> None:
    for number in range(1, 6):
        await add_agent(log, f"agt_{number}", {})
    (_, fourth) = await log.agents("default", before=None, metadata={}, archived=False, most=2)
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
    assert await log.sessions("default", before=None, agent_id="", statuses=[], metadata={}, most=100) == []
