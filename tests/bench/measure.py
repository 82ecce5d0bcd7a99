"""How everything here is measured: in turns with its ceiling, over several rounds, because a machine is never quiet."""

import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Measure = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Bench:
    folder: Path
    """On a real disk. Each family gets an empty one, which is gone at its end."""
    quick: bool

    def size(self, full: int, quick: int) -> int:
        """A count, by how much time there is."""
        return quick if self.quick else full

    @property
    def rounds(self) -> int:
        return self.size(5, 2)


async def in_turns(rounds: int, *measures: Measure) -> list[float]:
    """The median of each, over so many rounds A B C A B C … after one that does not count."""
    values: list[list[float]] = [[] for _ in measures]
    for number in range(rounds + 1):
        for measure, seen in zip(measures, values, strict=True):
            value = await measure()
            if number:
                seen.append(value)
    return [statistics.median(seen) for seen in values]


def p50_of(times: int, measure: Measure) -> Measure:
    """The median of so many in a row. Few, and many rounds of them: all are as warm as a busy server is, and meet the
    same moods of a disk that others use, too."""

    async def some() -> float:
        return statistics.median([await measure() for _ in range(times)])

    return some


def p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[98]


def resident_mib(pid: int) -> float:
    """Memory that a process holds."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)
