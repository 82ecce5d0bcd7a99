"""The one source of time."""

import time

import pytest

from managedagents_server.words.clock import SystemClock


@pytest.mark.parametrize("ahead", [0.0, 3600.0, -3600.0])
def test_wall_time_is_the_machine_s_moved_by_what_a_test_asks_for(ahead: float) -> None:
    before = time.time_ns()
    wall = SystemClock(ahead).wall()
    after = time.time_ns()
    assert before + ahead * 1e9 <= wall <= after + ahead * 1e9


def test_moving_the_wall_does_not_move_what_waits() -> None:
    before = time.monotonic()
    assert before <= SystemClock(3600.0).monotonic() <= time.monotonic()


async def test_a_sleep_lasts_at_least_its_time() -> None:
    clock = SystemClock(3600.0)
    before = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.009


def test_a_step_of_the_machines_clock_moves_no_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    before = clock.wall()
    monkeypatch.setattr("time.time_ns", lambda: 0)
    assert before <= clock.wall() < before + 3_600_000_000_000
