"""Ids are opaque, unique, and lie in the order of their making."""

import re

import pytest

from managedagents_server.words import ids


@pytest.mark.parametrize(
    ("make", "prefix"),
    [(ids.agent_id, "agt"), (ids.session_id, "ses"), (ids.log_id, "log"), (ids.error_id, "err")],
)
def test_an_id_says_what_it_is_of_and_no_two_are_the_same(make: object, prefix: str) -> None:
    assert callable(make)
    made = [make() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(re.fullmatch(prefix + "_[0-9a-z]{23}", id_) for id_ in made)


def test_ids_made_later_come_later_in_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    # From now to the year 5000, across every carry of the digits.
    for millisecond in (1_800_000_000_000, 1_800_000_000_001, 1_800_000_000_036, 2_000_000_000_000, 95_000_000_000_000):
        monkeypatch.setattr("time.time_ns", lambda at=millisecond: at * 1_000_000)
        made.append(ids.session_id())
    assert made == sorted(made)


@pytest.mark.parametrize("seq", [1, 36, 1_000_000])
def test_a_tool_use_s_id_says_where_in_the_log_it_stands_and_cannot_be_guessed(seq: int) -> None:
    made = {ids.tool_use_id(seq) for _ in range(100)}
    assert {ids.seq_of_tool_use(use) for use in made} == {seq}
    assert len(made) > 90


@pytest.mark.parametrize(
    "foreign",
    ["", "use", "use_", "use_1", "use_x_00000", "use__00000", "use_-1_00000", "use_1_0_0", "use_१_00000", "toolu_01A"],
)
def test_an_id_that_is_none_of_ours_is_nowhere_in_the_log(foreign: str) -> None:
    assert ids.seq_of_tool_use(foreign) is None
