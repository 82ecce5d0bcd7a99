package io.github.managedagents;

import com.google.protobuf.Message;
import io.github.managedagents.v1.SessionEvent;
import io.github.managedagents.v1.StreamDelta;
import io.github.managedagents.v1.StreamDeltaDiscarded;
import io.github.managedagents.v1.StreamEndReason;
import io.github.managedagents.v1.StreamEnded;
import io.github.managedagents.v1.StreamEventsRequest;
import io.github.managedagents.v1.StreamEventsResponse;
import io.grpc.Context;
import io.grpc.Status;
import java.time.Duration;
import java.util.Collections;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CancellationException;

/**
 * A session's events, none twice and none left out, until the session is over; {@code try (var events =
 * client.follow(…))}. It is gone through once, by one thread. {@code hasNext} and {@code next} wait for what comes.
 *
 * <p>A stream that is cut is opened again after the last event; a server that is away is waited for as long as the
 * client has patience. Events of a kind that this version of the client does not know are passed over. {@code close}
 * cancels the call at once, from any thread, and ends the loop; interrupting the reader, or cancelling the gRPC context
 * that the follow was made in, throws a {@link CancellationException}.
 *
 * @param <T> {@code SessionEvent}; with deltas also {@code StreamDelta} and {@code StreamDeltaDiscarded}. When a stream is
 *     cut in the middle of a response, a {@code StreamDeltaDiscarded} for it comes out here: what the next stream tells
 *     of it starts over
 */
public final class Follow<T extends Message> implements Iterable<T>, Iterator<T>, AutoCloseable {
    private final Calls calls;
    private final StreamEventsRequest request;
    private final Class<T> items;
    private final Duration heartbeatTimeout;
    private final Context.CancellableContext context = Context.current().withCancellation();
    private final Backoff backoff = new Backoff();

    private EventStream stream;
    private Iterator<SessionEvent> batch = Collections.emptyIterator();
    private long batchThrough;
    private Message next;
    private boolean over;
    private volatile boolean closed;

    private Long throughSeq;
    private String logId;
    private boolean caughtUp;
    private StreamEnded ended;
    private Long lostAt;
    private StreamDeltaDiscarded halfTold;
    private Runnable waitFirst;

    Follow(Calls calls, StreamEventsRequest request, Class<T> items, Duration heartbeatTimeout) {
        this.calls = calls;
        this.request = request;
        this.items = items;
        this.heartbeatTimeout = heartbeatTimeout;
        this.throughSeq = request.hasFromSeq() ? request.getFromSeq() : null;
        this.logId = request.hasLogId() ? request.getLogId() : null;
    }

    /** Everything up to this seq was given or filtered: where to go on. Empty: live only, and not connected yet. */
    public OptionalLong throughSeq() {
        return throughSeq == null ? OptionalLong.empty() : OptionalLong.of(throughSeq);
    }

    /** The history that the seqs belong to. Empty: not known yet. */
    public Optional<String> logId() {
        return Optional.ofNullable(logId);
    }

    /** The head of the log was reached once. */
    public boolean caughtUp() {
        return caughtUp;
    }

    /** How the session's events ended for good: reason, last seq. Empty: they did not, as far as is known. */
    public Optional<StreamEnded> ended() {
        return Optional.ofNullable(ended);
    }

    /** This follow itself. */
    @Override
    public Iterator<T> iterator() {
        return this;
    }

    /** Whether something more came; waits until that is known. */
    @Override
    public boolean hasNext() {
        if (next == null && !over) {
            Context before = context.attach();
            boolean well = false;
            try {
                next = produce();
                well = next != null;
            } finally {
                context.detach(before);
                if (!well) {
                    over = true;
                    context.cancel(null);
                }
            }
        }
        return next != null;
    }

    /** What came next; waits for it. */
    @Override
    public T next() {
        if (!hasNext()) {
            throw new NoSuchElementException("nothing more comes from " + request.getSessionId());
        }
        T given = items.cast(next);
        next = null;
        return given;
    }

    /** Stop following, and cancel the call. */
    @Override
    public void close() {
        closed = true;
        context.cancel(null);
    }

    /** One item, over as many messages and streams as it takes. Null: there is none any more. */
    private Message produce() {
        while (true) {
            while (batch.hasNext()) {
                SessionEvent event = batch.next();
                if (isNew(event)) {
                    return event;
                }
            }
            move(batchThrough);
            if (ended != null || closed) {
                return null;
            }
            try {
                if (waitFirst != null) {
                    waitFirst.run();
                    waitFirst = null;
                }
                if (stream == null) {
                    stream = new EventStream(calls, resumed(), heartbeatTimeout);
                }
                Message item = take(stream.read());
                if (items.isInstance(item)) {
                    return item;
                }
            } catch (CancellationException cancelled) {
                if (!closed) {
                    throw cancelled;
                }
            } catch (ManagedAgentsException error) {
                Message left = lost(error);
                if (left != null) {
                    return left;
                }
            }
        }
    }

    private StreamEventsRequest resumed() {
        StreamEventsRequest.Builder resumed = request.toBuilder();
        throughSeq().ifPresent(resumed::setFromSeq);
        logId().ifPresent(resumed::setLogId);
        return resumed.build();
    }

    /** What a message has for the caller at once. A kind of message that is not known here has nothing. */
    private Message take(StreamEventsResponse message) {
        if (!message.hasOpened()) {
            // A stream that only ever opens is no better than none.
            backoff.reset();
            lostAt = null;
        }
        switch (message.getMessageCase()) {
            case OPENED -> {
                logId = message.getOpened().getLogId();
                throughSeq = throughSeq().orElse(message.getOpened().getHeadSeq());
            }
            case BATCH -> {
                batch = message.getBatch().getEventsList().iterator();
                batchThrough = message.getBatch().getThroughSeq();
            }
            case CAUGHT_UP -> caughtUp = true;
            case DELTA -> {
                StreamDelta delta = message.getDelta();
                halfTold = StreamDeltaDiscarded.newBuilder()
                        .setResponseId(delta.getResponseId())
                        .setAttempt(delta.getAttempt())
                        .build();
                return delta;
            }
            case DELTA_DISCARDED -> {
                halfTold = null;
                return message.getDeltaDiscarded();
            }
            case PROGRESS -> move(message.getProgress().getThroughSeq());
            case ENDED -> {
                if (!message.getEnded().getFinal()) {
                    throw stream.cut("the server is shutting down");
                }
                ended = message.getEnded();
            }
            case MESSAGE_NOT_SET -> {}
        }
        return null;
    }

    private void move(long seq) {
        if (seq > throughSeq().orElse(0)) {
            throughSeq = seq;
        }
    }

    /** Whether the event is for the caller. Its seq counts before the caller gets it, and where it is passed over. */
    private boolean isNew(SessionEvent event) {
        long after = throughSeq().orElse(0);
        if (event.getSeq() <= after) {
            return false;
        }
        if (request.getKindsCount() == 0 && event.getSeq() != after + 1) {
            String said = "seq " + event.getSeq() + " came after " + after + " in " + request.getSessionId();
            throw new ManagedAgentsException.PromiseBroken(
                    ManagedAgentsException.Facts.of(Status.Code.DATA_LOSS, said));
        }
        if (halfTold != null && event.getResponseId().equals(halfTold.getResponseId())) {
            halfTold = null;
        }
        throughSeq = event.getSeq();
        return event.getPayloadCase() != SessionEvent.PayloadCase.PAYLOAD_NOT_SET;
    }

    /** The stream is over: go on with another one, or throw what another one would not mend. */
    private Message lost(ManagedAgentsException error) {
        if (stream != null) {
            stream.close();
            stream = null;
        }
        if (error.reason().equals("SESSION_NOT_FOUND") && logId != null && throughSeq != null) {
            // The session was there, and was deleted while no stream was open to say so.
            ended = StreamEnded.newBuilder()
                    .setReason(StreamEndReason.STREAM_END_REASON_DELETED)
                    .setLastSeq(throughSeq)
                    .setFinal(true)
                    .build();
            return null;
        }
        if (lostAt == null) {
            lostAt = System.nanoTime();
        }
        Duration delay = backoff.next(error.retryAfter());
        // Nobody but the caller's context gives this call a deadline: another one that passed was a proxy's, and ends a
        // stream like any cut.
        boolean passing = Statuses.isPassing(error)
                || error instanceof ManagedAgentsException.DeadlineExceeded && !context.isCancelled();
        if (!passing || calls.isOver(lostAt, delay)) {
            throw error;
        }
        waitFirst = () -> calls.waitFor(delay, error);
        Message left = halfTold;
        halfTold = null;
        return items.isInstance(left) ? left : null;
    }
}
