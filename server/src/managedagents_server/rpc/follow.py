"""StreamEvents: one follower, one cursor.

Take hold of the bell, read after the cursor, send; wait for the bell only when there was nothing. Nothing is queued
for a follower, so a slow one slows only itself: the server holds one batch for it, and HTTP/2 flow control holds the
rest back.
"""

import asyncio

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import session_pb2, stream_pb2
from managedagents_server.log import Feed, Log, SessionRow
from managedagents_server.rpc.follower import Follower, Write
from managedagents_server.session import Reads
from managedagents_server.session.turn import Turn
from managedagents_server.words.errors import (
    EventUnreadable,
    FromSeqBeyondHead,
    InvalidRequest,
    LimitExceeded,
    LogReplaced,
    Violation,
)
from managedagents_server.words.limits import Limits

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
        after = request.from_seq if request.HasField("from_seq") else row.head_seq
        for name, seq in (("from_seq", after), ("turn", request.turn)):
            if seq > row.head_seq:
                raise FromSeqBeyondHead(f"{name} {seq} is beyond the head {row.head_seq}", head_seq=row.head_seq)
        turn = await self._turn(row, request.turn)
        opened = stream_pb2.StreamOpened(
            head_seq=row.head_seq,
            status=session_pb2.SessionStatus.ValueType(state.status),
            log_id=self._log.log_id,
        )
        await write(pb.StreamEventsResponse(opened=opened).SerializeToString())
        end = _ENDED_AS.get(session_pb2.SessionStatus.ValueType(state.state))
        await self._serve(
            Follower(request, write, feed, row.key, row.head_seq, after, end, turn, self._log, self._limits)
        )

    async def _turn(self, row: SessionRow, seq: int) -> Turn | None:
        """The turn that the event of this seq belongs to; 0: none is followed."""
        if not seq:
            return None
        event = await self._log.event(row.key, seq)
        if event is None:
            raise EventUnreadable.of(seq)
        if not event.turn:
            raise InvalidRequest.of(Violation("turn", f"the event of seq {seq} belongs to no turn"))
        return Turn(event.turn)

    async def _serve(self, follower: Follower) -> None:
        feed, session_id = follower.feed, follower.request.session_id
        while True:
            bell = feed.bell(live=follower.request.include_deltas)
            if feed.deleted:
                await follower.ended(stream_pb2.STREAM_END_REASON_DELETED, final=True)
                return
            if await follower.send_rows():
                continue
            if follower.turn_is_over:
                await follower.send_turn(())
                await follower.ended(stream_pb2.STREAM_END_REASON_TURN_OVER, final=True)
                return
            await follower.send_caught_up()
            if follower.end is not None:
                await follower.ended(follower.end, final=True)
                return
            if self._draining:
                await follower.ended(stream_pb2.STREAM_END_REASON_DRAINING, final=False)
                return
            if follower.turn is not None and follower.cursor != follower.looked_at:
                follower.looked_at = follower.cursor
                await follower.send_turn(await self._reads.pending_actions(session_id))
            if follower.request.include_deltas:
                await follower.send_deltas(self._reads.live(session_id))
            await follower.wait(bell)

    async def end_all(self, grace: float = 2.0) -> None:
        """Every open stream gets `ended`, not final; returns when all have it, or after `grace` seconds."""
        self._draining = True
        self._log.ring_all()
        try:
            await asyncio.wait_for(self._none_open.wait(), grace)
        except TimeoutError:
            return  # Whoever does not read is cut off.
