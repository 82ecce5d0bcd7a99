"""Writes the stored conversations anew: `PYTHONPATH=tests python -m golden [PROVIDER ...]`.

Do that for a provider that has none yet, or for a conversation that is to have more in it. Never to make
test_golden.py pass again: what it compares stands for the sessions that people have in their logs. A request that has
become another one means that the cache of every such session is lost, or that its provider refuses a signature. Where
that must be so, it stands in CHANGELOG.md, and the bodies alone are written: `--bodies`.
"""

import argparse
import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

from golden.record import record
from golden.stored import Stored
from support.wires import VENDORS, Vendor


def main() -> None:
    parser = argparse.ArgumentParser(prog="golden", description="Writes the stored conversations anew.")
    parser.add_argument("providers", nargs="*", metavar="PROVIDER", help=f"of {VENDORS} (default: all)")
    parser.add_argument("--bodies", action="store_true", help="leave the logs as they are")
    given = parser.parse_args()
    for vendor in VENDORS:
        if not given.providers or vendor.name in given.providers:
            asyncio.run(_write(vendor, bodies=given.bodies))


async def _write(vendor: Vendor, *, bodies: bool) -> None:
    if bodies:
        stored = Stored.load(vendor)
        stored = replace(stored, bodies=await stored.ask())
    else:
        with tempfile.TemporaryDirectory() as folder:
            stored = await record(vendor, Path(folder))
    stored.dump()


if __name__ == "__main__":
    main()
