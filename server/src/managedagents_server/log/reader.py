"""Reads, each whole in a thread: no read transaction lives across an await."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from managedagents_server.log.database import connect

T = TypeVar("T")

_THREADS = 2


class Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._pool = ThreadPoolExecutor(_THREADS, "log-reader", initializer=self._connect)

    def _connect(self) -> None:
        self._local.db = connect(self._path, readonly=True)
        self._connections.append(self._local.db)

    async def run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, read)

    def _run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        return read(self._local.db)

    async def close(self) -> None:
        await asyncio.to_thread(self._pool.shutdown)
        for db in self._connections:
            db.close()
