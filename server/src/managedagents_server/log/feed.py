"""What followers of one session share: a bell that carries no data, and a small tail of recent rows.

A follower owns a cursor, not a queue. It takes hold of the bell, reads after its cursor, and waits only when there was
nothing: no overflow, no hole, no event twice. The tail is a cache that spares live followers the SQL, never the truth.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from managedagents_server.log.records import EventRow

_TAIL_BYTES = 512 * 1024


class Feed:
    def __init__(self) -> None:
        self.followers = 0
        self.memo: tuple[tuple[int, int], bytes] | None = None
        """The last message that was made of the tail, by the seqs that it goes from and to: a thousand followers at
        the same place share one."""
        self.deleted = False
        self._bell = asyncio.Event()
        self._live_bell = asyncio.Event()
        self._tail: deque[EventRow] = deque()
        self._bytes = 0

    def bell(self, *, live: bool) -> asyncio.Event:
        """Set at the next ring; taken before reading. `live`: also when a model response in the making has grown."""
        return self._live_bell if live else self._bell

    def ring(self) -> None:
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()
        self.ring_live()

    def ring_live(self) -> None:
        bell, self._live_bell = self._live_bell, asyncio.Event()
        bell.set()

    def publish(self, rows: Sequence[EventRow]) -> None:
        """Rows that were just committed, in order, none left out."""
        self._tail.extend(rows)
        self._bytes += sum(len(row.frame) for row in rows)
        while self._bytes > _TAIL_BYTES and len(self._tail) > 1:
            self._bytes -= len(self._tail.popleft().frame)
        self.ring()

    def after(self, seq: int) -> Sequence[EventRow] | None:
        """The rows after `seq`, as far as the tail has them all; None: ask the log. Empty: nothing newer is known."""
        tail = self._tail
        if not tail or tail[0].seq > seq + 1:
            return None
        last = tail[-1].seq
        if seq >= last:
            return ()
        if last - seq == len(tail):
            return tuple(tail)
        return tuple(tail[i] for i in range(len(tail) - (last - seq), len(tail)))
