"""Measures the service here, each thing beside its bare ceiling: `make bench ARGS="replay turns --quick"`."""

import argparse
import asyncio
import gc
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench import report
from bench.appends import appends
from bench.deletion import deletion
from bench.followers import followers
from bench.interrupts import interrupts
from bench.latency import calls, latency
from bench.measure import Bench
from bench.providers import providers
from bench.replay import replay
from bench.report import Row
from bench.rest import rest
from bench.tools import tools
from bench.turns import turns

_CACHE = Path(__file__).parents[2] / ".cache"
"""On the disk of the work tree: a temporary folder of the system may be memory."""

FAMILIES: dict[str, Callable[[Bench], Awaitable[list[Row]]]] = {
    family.__name__: family
    for family in (replay, turns, latency, appends, interrupts, rest, followers, deletion, calls, providers, tools)
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description="Measures the service beside its bare ceilings.")
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"of {', '.join(FAMILIES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="few of everything: shows that it runs, measures little")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, too")
    given = parser.parse_args()
    unknown = [name for name in given.families if name not in FAMILIES]
    if unknown:
        parser.error(f"there is no {unknown[0]}; there are {', '.join(FAMILIES)}")
    rows = asyncio.run(_measure(given.families or list(FAMILIES), quick=given.quick))
    print(report.table(rows))
    if given.quick:
        print("quick: too few of everything to judge by")
    if given.json is not None:
        report.write(given.json, rows, quick=given.quick)


async def _measure(names: list[str], *, quick: bool) -> list[Row]:
    rows = []
    # What is loaded by now belongs to nothing that is measured.
    gc.freeze()
    _CACHE.mkdir(exist_ok=True)
    for name in names:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=_CACHE) as folder:
            rows += await FAMILIES[name](Bench(Path(folder), quick))
    return rows


if __name__ == "__main__":
    main()
