"""StreamEvents: one follower, one cursor.

Take hold of the bell, read after the cursor, send; wait for the bell only when there was nothing. Nothing is queued
for a follower, so a slow one slows only itself: the server holds one batch for it, and HTTP/2 flow control holds the
rest back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import session_pb2, stream_pb2
from managedagents_server.log import EventRow, Feed, Log
from managedagents_server.session import Reads
from managedagents_server.session.frames import from_row, varint
from managedagents_server.session.live import LiveCursor, LiveEnd, LiveResponse
from managedagents_server.words.errors import EventUnreadable, FromSeqBeyondHead, LimitExceeded, LogReplaced
from managedagents_server.words.limits import Limits

Write = Callable[[bytes], Awaitable[None]]

_SCANNED_BEFORE_PROGRESS = 1000
_ROWS_A_READ = 4096

_ENDS_WITH = {
    "status.completed": stream_pb2.STREAM_END_REASON_COMPLETED,
    "status.failed": stream_pb2.STREAM_END_REASON_FAILED,
    "status.archived": stream_pb2.STREAM_END_REASON_ARCHIVED,
}
_ENDED_AS = {
    session_pb2.SESSION_STATUS_COMPLETED: stream_pb2.STREAM_END_REASON_COMPLETED,
    session_pb2.SESSION_STATUS_FAILED: stream_pb2.STREAM_END_REASON_FAILED,
    session_pb2.SESSION_STATUS_ARCHIVED: stream_pb2.STREAM_END_REASON_ARCHIVED,
}


class Followers:
    """All open streams."""

    def __init__(self, reads: Reads, log: Log, limits: Limits) -> None:
        self._reads = reads
        self._log = log
        self._limits = limits
        self._open = 0
        self._none_open = asyncio.Event()
        self._none_open.set()
        self._draining = False

    async def follow(self, request: pb.StreamEventsRequest, write: Write) -> None:
        """Returns when the stream has ended. A refusal is raised before anything is written."""
        if self._open >= self._limits.streams:
            raise LimitExceeded(
                f"{self._open} streams are open already", retry_after=1.0, limit="streams", value=self._limits.streams
            )
        self._open += 1
        self._none_open.clear()
        try:
            row, _ = await self._reads.followed(request.session_id)
            with self._log.feed(row.key) as feed:
                await self._follow(request, write, feed)
        finally:
            self._open -= 1
            if not self._open:
                self._none_open.set()

    async def _follow(self, request: pb.StreamEventsRequest, write: Write, feed: Feed) -> None:
        # Read again under the feed: from here on nothing happens to the session without a ring.
        row, state = await self._reads.followed(request.session_id)
        if request.HasField("log_id") and request.log_id != self._log.log_id:
            raise LogReplaced(f"this server's log is {self._log.log_id}, not {request.log_id}", log_id=self._log.log_id)
        cursor = request.from_seq if request.HasField("from_seq") else row.head_seq
        if cursor > row.head_seq:
            raise FromSeqBeyondHead(f"from_seq {cursor} is beyond the head {row.head_seq}", head_seq=row.head_seq)
        opened = stream_pb2.StreamOpened(
            head_seq=row.head_seq,
            status=session_pb2.SessionStatus.ValueType(state.status),
            log_id=self._log.log_id,
        )
        await write(pb.StreamEventsResponse(opened=opened).SerializeToString())
        end = _ENDED_AS.get(session_pb2.SessionStatus.ValueType(state.state))
        follower = _Follower(request, write, feed, row.key, cursor, end, self._log, self._limits)
        await self._serve(follower)

    async def _serve(self, follower: "_Follower") -> None:
        feed = follower.feed
        while True:
            bell = feed.bell(live=follower.request.include_deltas)
            if feed.deleted:
                await follower.ended(stream_pb2.STREAM_END_REASON_DELETED, final=True)
                return
            if await follower.send_rows():
                continue
            await follower.send_caught_up()
            if follower.end is not None:
                await follower.ended(follower.end, final=True)
                return
            if self._draining:
                await follower.ended(stream_pb2.STREAM_END_REASON_DRAINING, final=False)
                return
            if follower.request.include_deltas:
                await follower.send_deltas(self._reads.live(follower.request.session_id))
            await follower.wait(bell)

    async def end_all(self, grace: float = 2.0) -> None:
        """Every open stream gets `ended`, not final; returns when all have it, or after `grace` seconds."""
        self._draining = True
        self._log.ring_all()
        try:
            await asyncio.wait_for(self._none_open.wait(), grace)
        except TimeoutError:
            return  # Whoever does not read is cut off.


@dataclass(slots=True)
class _Follower:
    request: pb.StreamEventsRequest
    write: Write
    feed: Feed
    session: int
    cursor: int
    """Everything up to this seq was sent or filtered."""
    end: stream_pb2.StreamEndReason.ValueType | None
    """Why the stream ends at the head; None: it does not."""
    log: Log
    limits: Limits
    caught_up: bool = False
    scanned: int = 0
    """Filtered events since the last message."""
    live: LiveResponse | None = None
    live_cursor: LiveCursor | None = None
    """None: nothing of `live` was sent."""

    async def _send(self, message: bytes) -> None:
        self.scanned = 0
        await self.write(message)

    async def send_rows(self) -> bool:
        """Sends what is after the cursor. False: nothing is."""
        rows = self.feed.after(self.cursor)
        if rows is None and not self.request.kinds and self.end != stream_pb2.STREAM_END_REASON_FAILED:
            return await self._send_stretch()
        if rows is None:
            rows = await self.log.events(
                self.session, self.cursor, most_rows=_ROWS_A_READ, most_bytes=self.limits.batch_bytes
            )
            if self.feed.deleted:
                return True  # What was read may have been half purged.
        most_rows = _SCANNED_BEFORE_PROGRESS if self.request.kinds else _ROWS_A_READ
        for batch in _batches(rows, self.limits.batch_bytes, most_rows):
            self.end = _ENDS_WITH.get(batch[-1].kind, self.end)
            await self._send_batch(batch)
            if self.cursor != batch[-1].seq:
                break
        return bool(rows)

    async def _send_stretch(self) -> bool:
        """The same without a filter: what is read is what is sent, and nothing of it is looked at."""
        stretch = await self.log.stretch(
            self.session, self.cursor, most_rows=_ROWS_A_READ, most_bytes=self.limits.batch_bytes
        )
        if self.feed.deleted:
            return True  # What was read may have been half purged.
        if stretch is None:
            return False
        self.end = _ENDS_WITH.get(stretch.last_kind, self.end)
        # A failed session's events are looked at one by one, because not all of them may be readable.
        if self.end != stream_pb2.STREAM_END_REASON_FAILED:
            self.cursor = stretch.last_seq
            message = _batch_message(stretch.frames, self.cursor)
            # Whoever does not read holds the message alone.
            del stretch
            await self._send(message)
        return True

    async def _send_batch(self, batch: Sequence[EventRow]) -> None:
        if self.end == stream_pb2.STREAM_END_REASON_FAILED:
            batch = self._readable(batch)
        before, self.cursor = self.cursor, batch[-1].seq
        kinds = self.request.kinds
        if not kinds:
            span = (before, self.cursor)
            if self.feed.memo is None or self.feed.memo[0] != span:
                self.feed.memo = (span, _batch_message([row.frame for row in batch], self.cursor))
            await self._send(self.feed.memo[1])
            return
        passed = [row.frame for row in batch if row.kind in kinds]
        if passed:
            await self._send(_batch_message(passed, self.cursor))
            return
        self.scanned += len(batch)
        if self.scanned >= _SCANNED_BEFORE_PROGRESS:
            await self._send_progress()

    def _readable(self, batch: Sequence[EventRow]) -> Sequence[EventRow]:
        """A session may have failed because its log cannot be read: one bad frame would make a whole message
        unreadable. The batch up to there; EventUnreadable where it begins with it."""
        for i, row in enumerate(batch):
            try:
                from_row(row)
            except EventUnreadable:
                if i == 0:
                    raise
                return batch[:i]
        return batch

    async def _send_progress(self) -> None:
        await self._send(
            pb.StreamEventsResponse(progress=stream_pb2.StreamProgress(through_seq=self.cursor)).SerializeToString()
        )

    async def send_caught_up(self) -> None:
        if not self.caught_up:
            self.caught_up = True
            await self._send(
                pb.StreamEventsResponse(caught_up=stream_pb2.StreamCaughtUp(head_seq=self.cursor)).SerializeToString()
            )

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
        ended = stream_pb2.StreamEnded(reason=reason, last_seq=self.cursor, final=final)
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


def _batch_message(frames: Sequence[bytes], through_seq: int) -> bytes:
    """StreamEventsResponse.batch (field 2) of an EventBatch: the frames are its field 1, `through_seq` its field 2."""
    through = b"\x10" + varint(through_seq)
    size = sum(map(len, frames)) + len(through)
    return b"".join((b"\x12", varint(size), *frames, through))
