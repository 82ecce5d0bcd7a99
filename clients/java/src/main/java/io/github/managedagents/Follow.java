package io.github.managedagents;

import com.google.protobuf.Message;
import io.github.managedagents.v1.*;
import io.grpc.Context;
import io.grpc.Status;
import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Queue;
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
 * @param <T> {@code SessionEvent}; of {@link Client#followItems} also {@code StreamDelta}, {@code StreamDeltaDiscarded}
 *     and {@code StreamTurn}. When a stream is cut in the middle of a response, a {@code StreamDeltaDiscarded} for it
 *     comes out here: what the next stream tells of it starts over
 */
public final class Follow<T extends Message> implements Iterable<T>, Iterator<T>, AutoCloseable {
    private final Calls calls;
    /** Where to go on, and in which history, is kept in it. */
    private final StreamEventsRequest.Builder request;

    private final Class<T> kind;
    private final Context.CancellableContext context = Context.current().withCancellation();
    private final Queue<Message> received = new ArrayDeque<>();
    private EventStream stream;
    /** Null: all is well. */
    private Calls.Attempts attempts;

    private StreamDeltaDiscarded halfTold;
    private boolean caughtUp;
    private StreamEnded ended;
    private T next;
    private boolean over;
    private volatile boolean closed;

    Follow(Calls calls, StreamEventsRequest request, Class<T> kind) {
        this.calls = calls;
        this.request = request.toBuilder();
        this.kind = kind;
    }

    /** Everything up to this seq was given or filtered: where to go on. Empty: live only, and not connected yet. */
    public OptionalLong throughSeq() {
        return request.hasFromSeq() ? OptionalLong.of(request.getFromSeq()) : OptionalLong.empty();
    }

    /** The history that the seqs belong to. Empty: not known yet. */
    public Optional<String> logId() {
        return request.hasLogId() ? Optional.of(request.getLogId()) : Optional.empty();
    }

    /** The head of the log was reached once. */
    public boolean caughtUp() {
        return caughtUp;
    }

    /** How the session's events, or the turn's, ended for good. Empty: they did not, as far as is known. */
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
        if (next != null || over) {
            return next != null;
        }
        Context before = context.attach();
        try {
            while (next == null && ended == null && !closed) {
                advance();
            }
        } catch (CancellationException cancelled) {
            if (!closed) {
                throw cancelled;
            }
        } finally {
            context.detach(before);
            over = next == null;
            if (over) {
                context.cancel(null);
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
        T given = next;
        next = null;
        return given;
    }

    /** Stop following, and cancel the call. */
    @Override
    public void close() {
        closed = true;
        context.cancel(null);
    }

    private void advance() {
        try {
            if (received.isEmpty()) {
                receive();
            } else {
                take(received.remove());
            }
        } catch (ManagedAgentsException error) {
            lost(error);
        }
    }

    private void receive() {
        if (stream == null) {
            stream = new EventStream(calls, request.build());
        }
        StreamEventsResponse message = stream.read();
        if (!message.hasOpened()) {
            // A stream that only ever opens is no better than none.
            attempts = null;
        }
        // A batch comes after its events, for the place that it moves to. A message that is not known here has nothing.
        received.addAll(message.getBatch().getEventsList());
        message.getAllFields().values().forEach(said -> received.add((Message) said));
    }

    private void take(Message said) {
        if (said instanceof StreamOpened opened) {
            request.setLogId(opened.getLogId());
            request.setFromSeq(throughSeq().orElse(opened.getHeadSeq()));
        } else if (said instanceof SessionEvent event) {
            take(event);
        } else if (said instanceof EventBatch batch) {
            move(batch.getThroughSeq());
        } else if (said instanceof StreamProgress progress) {
            move(progress.getThroughSeq());
        } else if (said instanceof StreamCaughtUp) {
            caughtUp = true;
        } else if (said instanceof StreamDelta delta) {
            halfTold = StreamDeltaDiscarded.newBuilder()
                    .setResponseId(delta.getResponseId())
                    .setAttempt(delta.getAttempt())
                    .build();
            give(delta);
        } else if (said instanceof StreamDeltaDiscarded) {
            halfTold = null;
            give(said);
        } else if (said instanceof StreamTurn) {
            give(said);
        } else if (said instanceof StreamEnded end) {
            if (!end.getFinal()) {
                throw calls.cut("the server is shutting down");
            }
            ended = end;
        }
    }

    private void give(Message item) {
        next = kind.isInstance(item) ? kind.cast(item) : null;
    }

    private void move(long seq) {
        request.setFromSeq(Math.max(request.getFromSeq(), seq));
    }

    /** The seq of an event counts before the caller gets it, and where it is passed over. */
    private void take(SessionEvent event) {
        long after = request.getFromSeq();
        if (event.getSeq() <= after) {
            return;
        }
        boolean isWhole = request.getKindsCount() == 0 && request.getTurn() == 0;
        if (isWhole && event.getSeq() != after + 1) {
            String said = "seq " + event.getSeq() + " came after " + after + " in " + request.getSessionId();
            throw new ManagedAgentsException.PromiseBroken().told(Status.Code.DATA_LOSS, said);
        }
        if (halfTold != null && event.getResponseId().equals(halfTold.getResponseId())) {
            halfTold = null;
        }
        move(event.getSeq());
        if (event.getPayloadCase() != SessionEvent.PayloadCase.PAYLOAD_NOT_SET) {
            give(event);
        }
    }

    /** The stream is over: go on with another one, or throw what another one would not mend. */
    private void lost(ManagedAgentsException error) {
        if (stream != null) {
            stream.close();
            stream = null;
        }
        if (error.reason().equals("SESSION_NOT_FOUND") && request.hasLogId() && request.hasFromSeq()) {
            // The session was there, and was deleted while no stream was open to say so.
            ended = StreamEnded.newBuilder()
                    .setReason(StreamEndReason.STREAM_END_REASON_DELETED)
                    .setLastSeq(request.getFromSeq())
                    .setFinal(true)
                    .build();
            return;
        }
        if (attempts == null) {
            attempts = calls.new Attempts();
        }
        // Nobody but the caller's context gives this call a deadline: another one that passed was a proxy's, and ends a
        // stream like any cut.
        boolean isCut = error instanceof ManagedAgentsException.DeadlineExceeded && !context.isCancelled();
        attempts.again(error, isCut || error.isPassing());
        if (halfTold != null) {
            give(halfTold);
            halfTold = null;
        }
    }
}
