"""When a lost server may be tried again."""

from managedagents_server.tools.mcp import McpBounds
from managedagents_server.tools.mcp.backoff import Backoff

_BOUNDS = McpBounds(retry_first=1.0, retry_most=60.0)


def test_each_failure_doubles_the_wait_up_to_a_bound() -> None:
    backoff = Backoff(_BOUNDS)
    for most in (1, 2, 4, 8, 16, 32, 60, 60):
        backoff.lost(100.0, stood=False, answered=False)
        assert most / 2 <= backoff.left(100.0) <= most
    for _ in range(5000):
        backoff.lost(100.0, stood=False, answered=False)
    assert backoff.left(100.0) <= 60


def test_one_that_answered_is_reopened_at_once_however_often() -> None:
    backoff = Backoff(_BOUNDS)
    for _ in range(5):
        backoff.lost(100.0, stood=True, answered=True)
        assert backoff.left(100.0) == 0


def test_one_that_stood_is_reopened_at_once_the_first_time() -> None:
    backoff = Backoff(_BOUNDS)
    backoff.lost(100.0, stood=True, answered=False)
    assert backoff.left(100.0) == 0
    backoff.lost(100.0, stood=True, answered=False)
    assert backoff.left(100.0) > 0


def test_not_all_come_back_in_the_same_moment() -> None:
    waits = set()
    for _ in range(20):
        backoff = Backoff(_BOUNDS)
        backoff.lost(0.0, stood=False, answered=False)
        waits.add(backoff.left(0.0))
    assert len(waits) > 10
