"""One stream of StreamEvents: a cursor, and what was sent before it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError

from managedagents.v1 import event_pb2, session_pb2, stream_pb2
from managedagents.v1 import service_pb2 as pb
from managedagents_server.log import EventRow, Feed, Log
from managedagents_server.session.frames import from_row, varint
from managedagents_server.session.live import LiveCursor, LiveEnd, LiveResponse
from managedagents_server.session.turn import Turn
from managedagents_server.words.errors import EventUnreadable
from managedagents_server.words.limits import Limits

Write = Callable[[bytes], Awaitable[None]]

_SCANNED_BEFORE_PROGRESS = 1000
_ROWS_A_READ = 4096

_ENDS_WITH = {
    "status.completed": stream_pb2.STREAM_END_REASON_COMPLETED,
    "status.failed": stream_pb2.STREAM_END_REASON_FAILED,
    "status.archived": stream_pb2.STREAM_END_REASON_ARCHIVED,
}


@dataclass(slots=True)
class Follower:
    """One stream: what was sent, and what is next."""

    request: pb.StreamEventsRequest
    write: Write
    feed: Feed
    session: int
    head: int
    """The head of the log when the stream opened."""
    after: int
    """Only later events are sent."""
    end: stream_pb2.StreamEndReason.ValueType | None
    """Why the stream ends at the head; None: it does not."""
    turn: Turn | None
    """The one that is followed; None: all of the session is."""
    log: Log
    limits: Limits
    cursor: int = field(init=False)
    """Everything up to this seq was sent or filtered."""
    looked_at: int = -1
    """The cursor at which it was looked at last what the session waits for."""
    told: stream_pb2.StreamTurn | None = None
    """Where the turn stood when the client was told last."""
    doubts: bool = field(init=False)
    """Something in the log could not be read, or was gone: one bad frame makes a whole message unreadable, so from here
    on events are looked at one by one."""
    caught_up: bool = False
    scanned: int = 0
    """Filtered events since the last message."""
    live: LiveResponse | None = None
    live_cursor: LiveCursor | None = None
    """None: nothing of `live` was sent."""

    def __post_init__(self) -> None:
        # How a turn stands is made of all its events, whichever of them are sent.
        self.cursor = self.after if self.turn is None else self.turn.seq - 1
        # A turn takes events one by one, and cannot take one back.
        self.doubts = self.turn is not None

    @property
    def _through(self) -> int:
        return max(self.cursor, self.after)

    @property
    def _filters(self) -> bool:
        return bool(self.request.kinds) or self.turn is not None

    @property
    def turn_is_over(self) -> bool:
        return self.turn is not None and self.turn.over

    def _passes(self, row: EventRow) -> bool:
        return row.seq > self.after and (not self.request.kinds or row.kind in self.request.kinds)

    async def _send(self, message: bytes) -> None:
        self.scanned = 0
        await self.write(message)

    async def send_rows(self) -> bool:
        """Sends what is after the cursor. False: nothing is."""
        if self.turn_is_over:
            return False
        rows = self.feed.after(self.cursor)
        if rows is None and not self._filters and not self.doubts:
            return await self._send_stretch()
        if rows is None:
            rows = await self.log.events(
                self.session, self.cursor, most_rows=_ROWS_A_READ, most_bytes=self.limits.batch_bytes
            )
            if self.feed.deleted:
                return True  # What was read may have been half purged.
            if not rows:
                return self._nothing()
        most_rows = _SCANNED_BEFORE_PROGRESS if self._filters else _ROWS_A_READ
        for batch in _batches(rows, self.limits.batch_bytes, most_rows):
            self.end = _ENDS_WITH.get(batch[-1].kind, self.end)
            await self._send_batch(batch)
            if self.cursor != batch[-1].seq or self.turn_is_over:
                break
        return bool(rows)

    def _nothing(self) -> bool:
        """The log has nothing after the cursor: False, as `send_rows` says it. EventUnreadable: it should have."""
        if self.cursor < self.head:
            raise EventUnreadable.of(self.cursor + 1)
        return False

    async def _send_stretch(self) -> bool:
        """The same without a filter: what is read is what is sent, looked at as a whole and not one by one."""
        stretch = await self.log.stretch(
            self.session, self.cursor, most_rows=_ROWS_A_READ, most_bytes=self.limits.batch_bytes
        )
        if self.feed.deleted:
            return True  # What was read may have been half purged.
        if stretch is None:
            return self._nothing()
        message = _batch_message(stretch.frames, stretch.last_seq)
        if not _is_whole(message, self.cursor, stretch.last_seq):
            self.doubts = True
            return True
        self.end = _ENDS_WITH.get(stretch.last_kind, self.end)
        self.cursor = stretch.last_seq
        # Whoever does not read holds the message alone.
        del stretch
        await self._send(message)
        return True

    async def _send_batch(self, batch: Sequence[EventRow]) -> None:
        events: Sequence[event_pb2.SessionEvent] = ()
        if self.doubts or batch[-1].seq - self.cursor != len(batch):
            events = self._readable(batch)
            batch = batch[: len(events)]
        before, self.cursor = self.cursor, batch[-1].seq
        if not self._filters:
            span = (before, self.cursor)
            if self.feed.memo is None or self.feed.memo[0] != span:
                self.feed.memo = (span, _batch_message([row.frame for row in batch], self.cursor))
            await self._send(self.feed.memo[1])
            return
        scanned = len(batch)
        if self.turn is not None:
            batch = [row for row, event in zip(batch, events, strict=True) if self.turn.take(event)]
        passed = [row for row in batch if self._passes(row)]
        if passed:
            message = _batch_message([row.frame for row in passed], self.cursor)
            if not self.doubts and not _events_in(message):
                self.doubts, self.cursor = True, before
                return
            await self._send(message)
            return
        self.scanned += scanned
        if self.scanned >= _SCANNED_BEFORE_PROGRESS:
            await self._send_progress()

    def _readable(self, batch: Sequence[EventRow]) -> Sequence[event_pb2.SessionEvent]:
        """The events up to the first one that cannot be read, or is gone; EventUnreadable where that is the first."""
        events: list[event_pb2.SessionEvent] = []
        for seq, row in enumerate(batch, start=self.cursor + 1):
            try:
                if row.seq != seq:
                    raise EventUnreadable.of(seq)
                events.append(from_row(row))
            except EventUnreadable:
                if not events:
                    raise
                break
        return events

    async def _send_progress(self) -> None:
        await self._send(
            pb.StreamEventsResponse(progress=stream_pb2.StreamProgress(through_seq=self._through)).SerializeToString()
        )

    async def send_caught_up(self) -> None:
        if not self.caught_up:
            self.caught_up = True
            await self._send(
                pb.StreamEventsResponse(caught_up=stream_pb2.StreamCaughtUp(head_seq=self._through)).SerializeToString()
            )

    async def send_turn(self, pending_actions: Iterable[session_pb2.PendingAction]) -> None:
        """Tells where the turn stands, where that is news."""
        if self.turn is None:
            return
        stands = stream_pb2.StreamTurn(pending_actions=pending_actions, result=self.turn.result)
        if stands != self.told:
            self.told = stands
            await self._send(pb.StreamEventsResponse(turn=stands).SerializeToString())

    async def send_deltas(self, live: LiveResponse | None) -> None:
        told = self.live
        if told is not None and (told is not live or told.end is not None):
            if told.end is not LiveEnd.LOGGED and self.live_cursor is not None:
                discarded = stream_pb2.StreamDeltaDiscarded(response_id=told.response_id, attempt=told.attempt)
                await self._send(pb.StreamEventsResponse(delta_discarded=discarded).SerializeToString())
            self.live = self.live_cursor = None
        if live is None or live.end is not None:
            return
        self.live = live
        cursor = self.live_cursor or LiveCursor()
        for delta in live.after(cursor):
            self.live_cursor = cursor
            await self._send(pb.StreamEventsResponse(delta=delta).SerializeToString())

    async def wait(self, bell: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(self.limits.heartbeat):
                await bell.wait()
        except TimeoutError:
            await self._send_progress()

    async def ended(self, reason: stream_pb2.StreamEndReason.ValueType, *, final: bool) -> None:
        ended = stream_pb2.StreamEnded(reason=reason, last_seq=self._through, final=final)
        await self._send(pb.StreamEventsResponse(ended=ended).SerializeToString())


def _batches(rows: Sequence[EventRow], most_bytes: int, most_rows: int) -> Iterator[Sequence[EventRow]]:
    """Whole groups: no more bytes than the bound where groups allow it, and no more rows than come with the group that
    reaches theirs."""
    if not rows:
        return
    if len(rows) <= most_rows and sum(len(row.frame) for row in rows) <= most_bytes:
        yield rows
        return
    start = size = group = group_size = 0
    for i, row in enumerate(rows):
        if row.group != rows[group].group:
            group, group_size = i, 0
            if i - start >= most_rows:
                yield rows[start:i]
                start, size = i, 0
        size += len(row.frame)
        group_size += len(row.frame)
        if size > most_bytes and group > start:
            yield rows[start:group]
            start, size = group, group_size
    yield rows[start:]


def _events_in(message: bytes) -> Sequence[event_pb2.SessionEvent]:
    """What the client will read of a batch; nothing where it cannot read it. Far cheaper than one by one."""
    try:
        return pb.StreamEventsResponse.FromString(message).batch.events
    except DecodeError:
        return ()


def _is_whole(message: bytes, after: int, last: int) -> bool:
    """Whether these are the events after a seq up to a last one."""
    events = _events_in(message)
    return len(events) == last - after and events[0].seq == after + 1 and events[-1].seq == last


def _batch_message(frames: Sequence[bytes], through_seq: int) -> bytes:
    """StreamEventsResponse.batch (field 2) of an EventBatch: the frames are its field 1, `through_seq` its field 2."""
    through = b"\x10" + varint(through_seq)
    size = sum(map(len, frames)) + len(through)
    return b"".join((b"\x12", varint(size), *frames, through))
