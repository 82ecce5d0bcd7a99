package io.github.managedagents;

import io.github.managedagents.v1.ManagedAgentRuntimeGrpc;
import io.github.managedagents.v1.StreamEventsRequest;
import io.github.managedagents.v1.StreamEventsResponse;
import io.grpc.CallOptions;
import io.grpc.StatusException;
import io.grpc.stub.BlockingClientCall;
import io.grpc.stub.ClientCalls;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * One stream, with each message as the server sends it. {@link Follow} is what to use: it goes on over as many streams
 * as it takes.
 */
public final class EventStream implements AutoCloseable {
    private final Calls calls;
    private final BlockingClientCall<StreamEventsRequest, StreamEventsResponse> call;

    EventStream(Calls calls, StreamEventsRequest request) {
        this.calls = calls;
        // Nobody but the caller's context gives it a deadline.
        this.call = ClientCalls.blockingV2ServerStreamingCall(
                calls.channel, ManagedAgentRuntimeGrpc.getStreamEventsMethod(), CallOptions.DEFAULT, request);
    }

    /**
     * The next message; waits for it. A stream that is over, cut, or silent for longer than the client's heartbeat
     * timeout throws.
     */
    public StreamEventsResponse read() {
        try {
            StreamEventsResponse message = call.read(calls.heartbeatTimeout.toNanos(), TimeUnit.NANOSECONDS);
            if (message == null) {
                throw calls.cut("the stream closed without saying why");
            }
            calls.heard();
            return message;
        } catch (StatusException failure) {
            throw calls.exception(failure);
        } catch (TimeoutException silence) {
            close();
            throw calls.cut("nothing came for " + calls.heartbeatTimeout);
        } catch (InterruptedException interrupted) {
            close();
            Thread.currentThread().interrupt();
            throw Calls.cancellation("interrupted", interrupted);
        }
    }

    /** Cancel the call. */
    @Override
    public void close() {
        call.cancel("not read any more", null);
    }
}
