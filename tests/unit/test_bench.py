"""The benchmarks run, and what they say can be read by a machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.report import Row, table

pytestmark = pytest.mark.long

_TESTS = Path(__file__).parents[1]


def _bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        env={**os.environ, "PYTHONPATH": str(_TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_quick_run_of_one_family_gives_a_table_and_json(tmp_path: Path) -> None:
    to = tmp_path / "bench.json"
    done = _bench("appends", "--quick", "--json", str(to))
    assert done.returncode == 0, done.stderr
    rows = json.loads(to.read_text())["rows"]
    assert [(row["name"], row["compared_by"], row["target"]) for row in rows] == [
        ("appends", "ratio", ""),
        ("appends", "ratio", ">= 0.5"),
    ]
    assert all(row["result"] == row["subject"] / row["ceiling"] > 0 for row in rows)
    head, *lines, note = done.stdout.splitlines()
    assert "target" in head
    assert len(lines) == len(rows)
    assert note.startswith("quick:")


def test_a_family_that_is_not_there_is_refused_by_name() -> None:
    done = _bench("apends")
    assert done.returncode == 2
    assert "there is no apends; there are replay, turns," in done.stderr


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (Row("a", "b", "s", 2.0, 4.0, "c", at_least=0.5), "ok"),
        (Row("a", "b", "s", 1.9, 4.0, "c", at_least=0.5), "MISS"),
        (Row("a", "b", "s", 8.0, 4.0, "c", at_most=2), "ok"),
        (Row("a", "b", "s", 8.1, 4.0, "c", at_most=2), "MISS"),
        (Row("a", "b", "MiB", 11.0, 4.0, "c", at_most=8, difference=True), "ok"),
        (Row("a", "b", "MiB", 13.0, 4.0, "c", at_most=8, difference=True), "MISS"),
        (Row("a", "b", "s", 8.0, 4.0, "c"), ""),
    ],
)
def test_a_row_says_whether_its_target_is_met(row: Row, verdict: str) -> None:
    assert row.verdict == verdict
    assert table([row]).splitlines()[1].rstrip().endswith(verdict or row.target or "2x")
