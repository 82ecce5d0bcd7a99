"""Reading gives whole groups, about as many as the bounds say, and always gets on."""

import pytest

from managedagents_server.log import Log
from support.rows import append, events_of, kept, seqs, verbatim

# Groups 1-3, 4, 5-9, 10; every frame of 100 bytes.
GROUPS = [3, 1, 5, 1]


@pytest.fixture
async def filled(log: Log, session: int) -> int:
    head = 0
    for count in GROUPS:
        await log.append(append(session, head, count, size=100))
        head += count
    return session


@pytest.mark.parametrize(
    ("after", "most_rows", "most_bytes", "read"),
    [
        pytest.param(0, 100, 10_000, range(1, 11), id="all"),
        pytest.param(3, 100, 10_000, range(4, 11), id="all that is left"),
        pytest.param(10, 100, 10_000, [], id="nothing at the head"),
        pytest.param(99, 100, 10_000, [], id="nothing beyond it"),
        pytest.param(0, 1, 10_000, [1, 2, 3], id="one group where fewer rows are asked for"),
        pytest.param(0, 3, 10_000, [1, 2, 3], id="just the rows asked for"),
        pytest.param(0, 4, 10_000, [1, 2, 3, 4], id="two groups"),
        pytest.param(0, 5, 10_000, range(1, 10), id="a group that is begun is finished"),
        pytest.param(0, 100, 1, [1, 2, 3], id="one group however small the bound in bytes"),
        pytest.param(0, 100, 399, [1, 2, 3], id="a group that would pass the bound is left"),
        pytest.param(0, 100, 400, [1, 2, 3, 4], id="just the bytes asked for"),
        pytest.param(0, 100, 500, range(1, 10), id="a large group is not split by bytes"),
        pytest.param(1, 1, 1, [2, 3], id="a cursor in the middle of a group gets its rest"),
        pytest.param(6, 1, 1, [7, 8, 9], id="also of a later group"),
    ],
)
async def test_whole_groups_within_the_bounds(
    log: Log, filled: int, after: int, most_rows: int, most_bytes: int, read: list[int]
) -> None:
    rows = await log.events(filled, after, most_rows=most_rows, most_bytes=most_bytes)
    assert seqs(rows) == list(read)


async def test_reading_on_from_the_last_row_gives_every_row_once(log: Log, filled: int) -> None:
    read: list[int] = []
    while rows := await log.events(filled, read[-1] if read else 0, most_rows=1, most_bytes=1):
        read += seqs(rows)
    assert read == list(range(1, 11))


async def test_a_row_comes_back_as_it_was_written(log: Log, session: int) -> None:
    written = append(session, 0, 3, verbatim=verbatim(1), kept=kept())
    await log.append(written)
    assert await events_of(log, session) == list(written.events)
    assert await log.all_events(session) == [row.frame for row in written.events]
    assert await log.event(session, 2) == written.events[1]
    assert await log.event(session, 4) is None
    assert await log.verbatims(session) == [verbatim(1)]
    assert await log.kept_answer(kept().key) == kept()


async def test_a_session_s_row_is_written_with_its_events(log: Log, session: int) -> None:
    await log.append(append(session, 0, 3))
    row = await log.session("default", "ses_1")
    assert row is not None
    assert (row.key, row.head_seq, row.log_bytes, row.checkpoint) == (session, 3, 30, "as of 3")


@pytest.mark.parametrize(("tenant", "session_id"), [("default", "ses_2"), ("other", "ses_1"), ("default", "")])
async def test_a_session_is_found_by_its_own_name_and_tenant_only(
    log: Log, session: int, tenant: str, session_id: str
) -> None:
    assert await log.session(tenant, session_id) is None
