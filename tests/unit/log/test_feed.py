"""A follower owns a cursor: the feed rings, and keeps a tail that spares it the log."""

from pathlib import Path

import pytest

from managedagents_server.log import Feed, Log
from support.rows import START, append, open_log, row, seqs

TAIL = 512 * 1024


@pytest.fixture
def feed() -> Feed:
    return Feed()


def after(feed: Feed, seq: int) -> list[int] | None:
    """None: the log must be asked."""
    rows = feed.after(seq)
    return None if rows is None else seqs(rows)


def test_an_empty_tail_sends_everybody_to_the_log(feed: Feed) -> None:
    assert after(feed, 0) is None
    assert after(feed, 7) is None


@pytest.mark.parametrize(
    ("cursor", "rows"),
    [(0, None), (3, None), (4, [5, 6, 7]), (5, [6, 7]), (6, [7]), (7, []), (8, [])],
)
def test_the_tail_gives_all_that_is_after_a_cursor_or_sends_it_to_the_log(
    feed: Feed, cursor: int, rows: list[int] | None
) -> None:
    feed.publish([row(5), row(6)])
    feed.publish([row(7)])
    assert after(feed, cursor) == rows


def test_the_tail_forgets_the_oldest_beyond_half_a_mebibyte(feed: Feed) -> None:
    for seq in range(1, 101):
        feed.publish([row(seq, size=TAIL // 10)])
    assert after(feed, 89) is None
    assert after(feed, 90) == list(range(91, 101))


def test_a_row_larger_than_the_tail_is_kept_alone(feed: Feed) -> None:
    feed.publish([row(1), row(2)])
    feed.publish([row(3, size=4 * TAIL)])
    assert after(feed, 1) is None
    assert after(feed, 2) == [3]
    feed.publish([row(4)])
    assert after(feed, 2) is None
    assert after(feed, 3) == [4]


def test_a_bell_rings_once_and_the_next_one_is_silent(feed: Feed) -> None:
    bell = feed.bell(live=False)
    assert not bell.is_set()
    feed.publish([row(1)])
    assert bell.is_set()
    assert not feed.bell(live=False).is_set()


def test_only_who_listens_for_deltas_hears_the_live_bell(feed: Feed) -> None:
    plain, live = feed.bell(live=False), feed.bell(live=True)
    feed.ring_live()
    assert (plain.is_set(), live.is_set()) == (False, True)


def test_who_listens_for_deltas_hears_of_events_too(feed: Feed) -> None:
    live = feed.bell(live=True)
    feed.publish([row(1)])
    assert live.is_set()


async def test_a_follower_is_told_of_what_is_committed_and_of_nothing_else(log: Log, session: int) -> None:
    with log.feed(session) as feed:
        await log.append(append(session, 0, 2))
        assert after(feed, 0) == [1, 2]
        refused = log.append(append(session, 7))
        refused.add_done_callback(lambda done: done.exception())
        await log.append(append(session, 2))
        assert after(feed, 0) == [1, 2, 3]


async def test_followers_of_a_session_share_a_feed_for_as_long_as_there_are_any(log: Log, session: int) -> None:
    with log.feed(session) as first:
        with log.feed(session) as second, log.feed(session + 1) as other:
            assert first is second
            assert first is not other
            assert first.followers == 2
        assert first.followers == 1
    with log.feed(session) as later:
        assert later is not first


async def test_a_deletion_rings_and_says_so(log: Log, session: int) -> None:
    with log.feed(session) as feed:
        bell = feed.bell(live=False)
        await log.bury(session, START, None)
        assert bell.is_set()
        assert feed.deleted


async def test_all_feeds_ring_when_the_server_stops(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log.db")
    with log.feed(1) as one, log.feed(2) as two:
        bells = [one.bell(live=False), two.bell(live=True)]
        log.ring_all()
        assert [bell.is_set() for bell in bells] == [True, True]
    await log.close()
