"""What a measurement says, as a table for people and as JSON for machines."""

import json
import os
import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc


@dataclass(frozen=True, slots=True)
class Row:
    """One thing measured beside its bare ceiling, in the same run and in turns with it."""

    name: str
    what: str
    unit: str
    subject: float
    ceiling: float
    against: str
    """What the ceiling is."""
    at_least: float | None = None
    at_most: float | None = None
    difference: bool = False
    """Compared by subject - ceiling, not by subject / ceiling."""

    @property
    def result(self) -> float:
        if self.difference:
            return self.subject - self.ceiling
        return self.subject / self.ceiling

    @property
    def target(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return "" if self.at_most is None else f"<= {self.at_most:g}"

    @property
    def verdict(self) -> str:
        """ok or MISS; empty where there is no target."""
        if not self.target:
            return ""
        missed = (self.at_least is not None and self.result < self.at_least) or (
            self.at_most is not None and self.result > self.at_most
        )
        return "MISS" if missed else "ok"


_HEAD = ("", "measured", "", "ceiling", "unit", "", "target", "")


def table(rows: Sequence[Row]) -> str:
    lines = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    numbers = {1, 3, 5}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cells(row: Row) -> tuple[str, ...]:
    result = f"{row.result:+.3g}" if row.difference else f"{row.result:.3g}x"
    measured, ceiling = _number(row.subject), _number(row.ceiling)
    return f"{row.name}: {row.what}", measured, f"/ {row.against}", ceiling, row.unit, result, row.target, row.verdict


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def dump(rows: Sequence[Row], *, quick: bool) -> str:
    return json.dumps({"quick": quick, "machine": _machine(), "rows": [_values(row) for row in rows]}, indent=2) + "\n"


def _values(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "what": row.what,
        "unit": row.unit,
        "subject": row.subject,
        "against": row.against,
        "ceiling": row.ceiling,
        "compared_by": "difference" if row.difference else "ratio",
        "result": row.result,
        "target": row.target,
        "verdict": row.verdict,
    }


def _machine() -> dict[str, str | int]:
    return {
        "cpus": os.cpu_count() or 0,
        "system": platform.system(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "grpc": grpc.__version__,
    }


def write(path: Path, rows: Sequence[Row], *, quick: bool) -> None:
    path.write_text(dump(rows, quick=quick))
