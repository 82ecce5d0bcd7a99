"""Following a session: one unbroken run of events, over as many streams as it takes."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from types import TracebackType
from typing import Generic, TypeVar, cast

import grpc

from managedagents._backoff import Backoff
from managedagents._calls import Calls
from managedagents._errors import DeadlineExceededError, ManagedAgentsError, NoAnswerError, PromiseBrokenError
from managedagents._status import is_passing
from managedagents.v1 import event_pb2, service_pb2, service_pb2_grpc, stream_pb2

FollowItem = event_pb2.SessionEvent | stream_pb2.StreamDelta | stream_pb2.StreamDeltaDiscarded
"""What a follow with deltas yields."""

TurnItem = FollowItem | stream_pb2.StreamTurn
"""What a follow of a turn yields."""

Item = TypeVar("Item", bound=TurnItem)

logger = logging.getLogger("managedagents")


class _Cut(Exception):
    """The stream is over and the session is not: go on with another one."""


class Follow(Generic[Item]):
    """An async iterator over a session's events: none twice, none left out, until the session is over.

    A stream that is cut is opened again after the last event; a server that is away is waited for as long as the client
    has patience. To stop before the end, leave the `async with` block, or call `aclose`; the call is cancelled at once.

    With deltas the items are also `StreamDelta` and `StreamDeltaDiscarded`. When a stream is cut in the middle of a
    response, a `StreamDeltaDiscarded` for it comes out here: what the next stream tells of it starts over.

    Of a turn the items are also `StreamTurn`, and it is over with the turn. Events of a kind that this version of the
    client does not know are left out.
    """

    def __init__(
        self,
        calls: Calls,
        stub: service_pb2_grpc.ManagedAgentRuntimeStub,
        session_id: str,
        *,
        from_seq: int | None,
        log_id: str | None,
        kinds: Sequence[str],
        deltas: bool,
        turn: int,
        heartbeat_timeout: float,
    ) -> None:
        self.session_id = session_id
        self.through_seq = from_seq
        """Everything up to this seq was yielded or filtered: where to go on. None: live only, and not connected yet."""
        self.log_id = log_id
        """The history that the seqs belong to. None: not known yet."""
        self.caught_up = False
        """The head of the log was reached once."""
        self.ended: stream_pb2.StreamEnded | None = None
        """How the session's events ended for good (`reason`, `last_seq`). None: they did not, as far as is known."""
        self._calls, self._stub = calls, stub
        self._kinds, self._deltas, self._turn = tuple(kinds), deltas, turn
        self._heartbeat_timeout = heartbeat_timeout
        self._backoff = Backoff()
        self._lost_at: float | None = None
        self._half_told: stream_pb2.StreamDeltaDiscarded | None = None
        self._items = self._run()

    def __aiter__(self) -> "Follow[Item]":
        return self

    async def __anext__(self) -> Item:
        return cast("Item", await anext(self._items))

    async def aclose(self) -> None:
        """Stop following, and cancel the call."""
        await self._items.aclose()

    async def __aenter__(self) -> "Follow[Item]":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _run(self) -> AsyncGenerator[TurnItem, None]:
        while not self._is_over():
            call = self._stub.StreamEvents(self._request(), metadata=self._calls.metadata)
            try:
                while not self._is_over():
                    for item in self._take(await self._read(call)):
                        yield item
            except grpc.aio.AioRpcError as failure:
                error = self._calls.error(failure)
                if self._is_deleted(error):
                    return
                delay = self._delay_after(error, failure)
            except _Cut as cut:
                delay = self._delay_after(NoAnswerError(f"{self._calls.address}: {cut}"), cut)
            else:
                return
            finally:
                call.cancel()
            if self._half_told is not None:
                yield self._half_told
                self._half_told = None
            await asyncio.sleep(delay)

    def _is_over(self) -> bool:
        return self.ended is not None

    def _is_deleted(self, error: ManagedAgentsError) -> bool:
        """Whether the session, which was there, was deleted while no stream was open to say so."""
        if error.reason != "SESSION_NOT_FOUND" or self.log_id is None or self.through_seq is None:
            return False
        reason = stream_pb2.STREAM_END_REASON_DELETED
        self.ended = stream_pb2.StreamEnded(reason=reason, last_seq=self.through_seq, final=True)
        return True

    def _delay_after(self, error: ManagedAgentsError, cause: Exception) -> float:
        """Seconds to wait before the next stream. Raises what another stream would not mend."""
        now = time.monotonic()
        self._lost_at = self._lost_at or now
        delay = self._backoff.next(error.retry_after)
        # Nobody gave this call a deadline here: one that passed was a proxy's, and ends a stream like any cut.
        passing = isinstance(error, NoAnswerError | DeadlineExceededError) or is_passing(error)
        if not passing or now - self._lost_at + delay > self._calls.patience:
            raise error from cause
        logger.info("again in %.1f s: %s", delay, error)
        return delay

    def _request(self) -> service_pb2.StreamEventsRequest:
        return service_pb2.StreamEventsRequest(
            session_id=self.session_id,
            from_seq=self.through_seq,
            include_deltas=self._deltas,
            kinds=self._kinds,
            log_id=self.log_id,
            turn=self._turn,
        )

    async def _read(
        self, call: "grpc.aio.UnaryStreamCall[service_pb2.StreamEventsRequest, service_pb2.StreamEventsResponse]"
    ) -> service_pb2.StreamEventsResponse:
        try:
            async with asyncio.timeout(self._heartbeat_timeout):
                message = await call.read()
        except TimeoutError:
            raise _Cut(f"nothing came for {self._heartbeat_timeout:g} s") from None
        if not isinstance(message, service_pb2.StreamEventsResponse):
            raise _Cut("the stream closed without saying why")
        self._calls.heard()
        return message

    def _take(self, message: service_pb2.StreamEventsResponse) -> Iterator[TurnItem]:
        """What a message has for the caller. A kind of message that is not known here has nothing."""
        which = message.WhichOneof("message")
        if which != "opened":
            # A stream that only ever opens is no better than none.
            self._backoff.reset()
            self._lost_at = None
        if which == "opened":
            self._open(message.opened)
        elif which == "batch":
            yield from filter(self._is_news, message.batch.events)
            self._move(message.batch.through_seq)
        elif which == "caught_up":
            self.caught_up = True
        elif which == "delta":
            delta = message.delta
            self._half_told = stream_pb2.StreamDeltaDiscarded(response_id=delta.response_id, attempt=delta.attempt)
            yield delta
        elif which == "delta_discarded":
            self._half_told = None
            yield message.delta_discarded
        elif which == "progress":
            self._move(message.progress.through_seq)
        elif which == "turn":
            yield message.turn
        elif which == "ended":
            self._end(message.ended)

    def _move(self, through_seq: int) -> None:
        self.through_seq = max(self.through_seq or 0, through_seq)

    def _open(self, opened: stream_pb2.StreamOpened) -> None:
        self.log_id = opened.log_id
        if self.through_seq is None:
            self.through_seq = opened.head_seq

    def _end(self, ended: stream_pb2.StreamEnded) -> None:
        if not ended.final:
            raise _Cut("the server is shutting down")
        self.ended = ended

    def _is_news(self, event: event_pb2.SessionEvent) -> bool:
        """Whether the event is new, and of a kind that is known here. The seq moves before the caller gets it."""
        after = self.through_seq or 0
        if event.seq <= after:
            return False
        if not (self._kinds or self._turn) and event.seq != after + 1:
            raise PromiseBrokenError(f"seq {event.seq} came after {after} in {self.session_id}")
        if self._half_told is not None and event.response_id == self._half_told.response_id:
            self._half_told = None
        self.through_seq = event.seq
        return event.WhichOneof("payload") is not None
