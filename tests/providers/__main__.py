"""Prints what every vendor makes of every scenario: `PYTHONPATH=tests python -m providers`."""

import asyncio
import sys
import tempfile
import traceback
from pathlib import Path

import grpc.aio

from providers.cell import LOCAL, play
from providers.rows import LIMITS, ROWS, Row
from support.server import Stub, running
from support.wires import VENDORS, Vendor

FAILURES = (AssertionError, TimeoutError, grpc.aio.AioRpcError)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="providers-") as folder:
        table, reasons = asyncio.run(_play_all(Path(folder)))
    sys.stdout.write("\n\n".join([table, *reasons]) + "\n")
    return 1 if reasons else 0


async def _play_all(folder: Path) -> tuple[str, list[str]]:
    lines = ["| | " + " | ".join(vendor.name for vendor in VENDORS) + " |", "|---" * (len(VENDORS) + 1) + "|"]
    reasons: list[str] = []
    async with running(folder / "log.db", *LOCAL, *LIMITS) as server, server.channel() as channel:
        for row in ROWS:
            cells = [await _cell(Stub(channel), vendor, row, reasons) for vendor in VENDORS]
            lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines), reasons


async def _cell(stub: Stub, vendor: Vendor, row: Row, reasons: list[str]) -> str:
    if vendor not in row.vendors:
        return "-"
    try:
        async with asyncio.timeout(20):
            await play(stub, vendor, row)
    except FAILURES as failure:
        reason = "".join(traceback.format_exception_only(failure)).strip()
        reasons.append(f"{len(reasons) + 1}. {row.name}, {vendor}: {reason}")
        return f"**no** ({len(reasons)})"
    # The same events under another name for what went wrong.
    return f"ok ({row.but[vendor.name][1]})" if vendor.name in row.but else "ok"


if __name__ == "__main__":
    sys.exit(main())
