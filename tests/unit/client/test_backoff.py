"""How long a client waits before it asks again."""

import random

from managedagents._backoff import FIRST, LONGEST, Backoff


def test_delays_grow_with_jitter_and_stay_below_the_longest() -> None:
    backoff = Backoff(random.Random(1))
    delays = [backoff.next() for _ in range(50)]
    assert FIRST / 2 <= delays[0] <= FIRST
    assert all(LONGEST / 2 <= delay <= LONGEST for delay in delays[10:])
    assert len(set(delays)) == len(delays)


def test_ten_attempts_outlast_a_restart_of_several_seconds() -> None:
    backoff = Backoff(random.Random(1))
    assert sum(backoff.next() for _ in range(10)) > 5


def test_what_the_server_asks_for_is_waited_for() -> None:
    assert Backoff().next(at_least=9.0) == 9.0


def test_success_begins_anew() -> None:
    backoff = Backoff()
    for _ in range(20):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= FIRST
