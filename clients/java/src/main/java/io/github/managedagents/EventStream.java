package io.github.managedagents;

import io.github.managedagents.v1.ManagedAgentRuntimeGrpc;
import io.github.managedagents.v1.StreamEventsRequest;
import io.github.managedagents.v1.StreamEventsResponse;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * One stream, with each message as the server sends it. {@link Follow} is what to use: it goes on over as many streams
 * as it takes.
 */
public final class EventStream implements AutoCloseable {
    private final Calls calls;
    private final Duration heartbeatTimeout;
    private final ClientCall<StreamEventsRequest, StreamEventsResponse> call;
    /** Holds one message and the end at the most: the next message is asked for when the one before was read. */
    private final BlockingQueue<Arrival> arrivals = new LinkedBlockingQueue<>();

    EventStream(Calls calls, StreamEventsRequest request, Duration heartbeatTimeout) {
        this.calls = calls;
        this.heartbeatTimeout = heartbeatTimeout;
        this.call = calls.open(ManagedAgentRuntimeGrpc.getStreamEventsMethod());
        call.start(new Arrivals(), new Metadata());
        call.request(1);
        call.sendMessage(request);
        call.halfClose();
    }

    /**
     * The next message; waits for it. A stream that is over, cut, or silent for longer than the client's heartbeat
     * timeout throws.
     */
    public StreamEventsResponse read() {
        Arrival arrival;
        try {
            arrival = arrivals.poll(heartbeatTimeout.toNanos(), TimeUnit.NANOSECONDS);
        } catch (InterruptedException interrupted) {
            close();
            Thread.currentThread().interrupt();
            throw Calls.cancellation("interrupted", interrupted);
        }
        if (arrival == null) {
            close();
            throw cut("nothing came for " + heartbeatTimeout);
        }
        if (arrival.message() != null) {
            calls.heard();
            call.request(1);
            return arrival.message();
        }
        // It stays the last.
        arrivals.add(arrival);
        if (arrival.end().getStatus().isOk()) {
            throw cut("the stream closed without saying why");
        }
        throw calls.exception(arrival.end());
    }

    ManagedAgentsException cut(String why) {
        return new ManagedAgentsException.NoAnswer(
                ManagedAgentsException.Facts.of(Status.Code.UNAVAILABLE, calls.address + ": " + why));
    }

    /** Cancel the call. */
    @Override
    public void close() {
        call.cancel("not read any more", null);
    }

    /** A message, or the end. */
    private record Arrival(StreamEventsResponse message, StatusRuntimeException end) {}

    private final class Arrivals extends ClientCall.Listener<StreamEventsResponse> {
        @Override
        public void onMessage(StreamEventsResponse message) {
            arrivals.add(new Arrival(message, null));
        }

        @Override
        public void onClose(Status status, Metadata trailers) {
            arrivals.add(new Arrival(null, status.asRuntimeException(trailers)));
        }
    }
}
