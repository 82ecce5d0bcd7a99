"""What sessions at rest cost a server that starts: nothing."""

import time
from pathlib import Path

from bench.filled import fill
from bench.measure import Bench, in_turns, resident_mib
from bench.report import Row
from support.server import Server

_NOISE_MIB = 8.0


class _Start:
    """Starts a server on a file again and again."""

    def __init__(self, db: Path) -> None:
        self._db = db
        self._memory = 0.0

    async def seconds(self) -> float:
        """From the process's start to `listening on`."""
        server = Server(self._db)
        begin = time.perf_counter()
        await server.start()
        try:
            seconds = time.perf_counter() - begin
            self._memory = resident_mib(server.pid)
        finally:
            await server.kill()
        return seconds

    async def memory(self) -> float:
        return self._memory


async def rest(bench: Bench) -> list[Row]:
    sessions = bench.size(100_000, 1_000)
    with_none, with_many = bench.folder / "none.db", bench.folder / "many.db"
    fill(with_none, 0, 1)
    fill(with_many, sessions, 1)
    few, many = _Start(with_none), _Start(with_many)
    none, none_mib, some, some_mib = await in_turns(bench.rounds, few.seconds, few.memory, many.seconds, many.memory)
    what = f"{sessions:,} sessions at rest"
    return [
        Row("rest", f"{what}: start", "s", some, none, "with none", at_most=2),
        Row("rest", f"{what}: memory", "MiB", some_mib, none_mib, "with none", at_most=_NOISE_MIB, difference=True),
    ]
