"""Appends that are under way for as long as a test wants."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def writes_held(db: Path) -> Iterator[None]:
    """What the server writes meanwhile waits for its commit until the end of the block, which must come within 10 s."""
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")
