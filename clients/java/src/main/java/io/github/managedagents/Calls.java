package io.github.managedagents;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import io.grpc.CallOptions;
import io.grpc.Context;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import java.time.Duration;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Asks the server, and knows how long to go on asking one that does not answer. gRPC's own retries are off: they stop
 * after five attempts, and know nothing of RetryInfo.
 */
final class Calls implements AutoCloseable {
    private static final System.Logger LOGGER = System.getLogger("managedagents");

    /** At most, before the second attempt. */
    private static final Duration FIRST = Duration.ofMillis(100);
    /** At most, between any two attempts: a server that is back is found within this. */
    private static final Duration LONGEST = Duration.ofSeconds(3);

    private static final double GROWTH = 1.7;

    final ManagedChannel channel;
    final Duration heartbeatTimeout;
    private final String address;
    private final Duration connectTimeout;
    private final Duration patience;
    private final Set<CountDownLatch> waiting = ConcurrentHashMap.newKeySet();
    private volatile boolean answered;

    Calls(
            String address,
            ManagedChannel channel,
            Duration connectTimeout,
            Duration patience,
            Duration heartbeatTimeout) {
        this.address = address;
        this.channel = channel;
        this.connectTimeout = connectTimeout;
        this.patience = patience;
        this.heartbeatTimeout = heartbeatTimeout;
    }

    /** The server answered. */
    void heard() {
        answered = true;
    }

    /** Ask, and ask again with the very same request (and so the same request id) while that may help. */
    <Q extends Message, A> A unary(MethodDescriptor<Q, A> method, Q request) {
        FieldDescriptor id = request.getDescriptorForType().findFieldByName("request_id");
        boolean needsId = id != null && request.getField(id).equals("");
        Q asked = needsId
                ? with(request, id.getName(), UUID.randomUUID().toString().replace("-", ""))
                : request;
        Attempts attempts = new Attempts();
        while (true) {
            try {
                A answer = ClientCalls.blockingUnaryCall(channel, method, options(), asked);
                heard();
                return answer;
            } catch (StatusRuntimeException failure) {
                ManagedAgentsException error = exception(failure);
                attempts.again(error, error.isPassing());
            }
        }
    }

    /** The message with another value of a field. */
    @SuppressWarnings("unchecked") // A builder builds the message that it came from.
    static <M extends Message> M with(M message, String field, Object value) {
        FieldDescriptor descriptor = message.getDescriptorForType().findFieldByName(field);
        return (M) message.toBuilder().setField(descriptor, value).build();
    }

    private CallOptions options() {
        // Only the answer itself is waited for longer than a connection: the deadline of an attempt is not the
        // time that a server may be away. Without patience a call takes the time that its caller gives it.
        return patience.isZero()
                ? CallOptions.DEFAULT
                : CallOptions.DEFAULT.withDeadlineAfter(patience.toNanos(), TimeUnit.NANOSECONDS);
    }

    /** What a failed call throws; thrown at once where it failed because the caller went away. */
    ManagedAgentsException exception(Exception failure) {
        ManagedAgentsException error = ManagedAgentsException.of(failure, address, answered);
        if (error instanceof ManagedAgentsException.NoAnswer
                || error instanceof ManagedAgentsException.DeadlineExceeded) {
            throwIfUnwanted(failure);
        } else {
            heard();
        }
        return error;
    }

    /** A stream that is over before its session is. */
    ManagedAgentsException cut(String why) {
        return new ManagedAgentsException.NoAnswer().told(Status.Code.UNAVAILABLE, address + ": " + why);
    }

    static CancellationException cancellation(String why, Throwable cause) {
        CancellationException exception = new CancellationException(why);
        exception.initCause(cause);
        return exception;
    }

    private void throwIfUnwanted(Throwable cause) {
        Context context = Context.current();
        if (Thread.currentThread().isInterrupted()) {
            throw cancellation("interrupted", cause);
        }
        if (context.isCancelled() && context.cancellationCause() instanceof TimeoutException) {
            String said = "the caller's deadline passed; the call may have been applied";
            throw new ManagedAgentsException.DeadlineExceeded().told(Status.Code.DEADLINE_EXCEEDED, said);
        }
        if (context.isCancelled()) {
            throw cancellation("cancelled by the caller", cause);
        }
        if (channel.isShutdown()) {
            throw cancellation("the client is closed", cause);
        }
    }

    /** Close the connection; calls that are under way, and waits between them, end at once. */
    @Override
    public void close() {
        channel.shutdownNow();
        waiting.forEach(CountDownLatch::countDown);
    }

    /** The attempts at one thing, from the first on: how long to go on, and when the next one is due. */
    final class Attempts {
        private final long began = System.nanoTime();
        private double ceiling = FIRST.toNanos();

        /**
         * Wait before the next attempt, or throw the error where another one would not mend it or patience ends before.
         * Delays grow, with jitter, so that clients that lost one server do not all come back at once; none is shorter
         * than the server asked for.
         */
        void again(ManagedAgentsException error, boolean mayHelp) {
            double jittered = ceiling * ThreadLocalRandom.current().nextDouble(0.5, 1.0);
            long delay = Math.max(
                    (long) jittered, error.retryAfter().orElse(Duration.ZERO).toNanos());
            ceiling = Math.min(ceiling * GROWTH, LONGEST.toNanos());
            // Short until the server has answered once, so that a wrong address is told soon.
            Duration patient = answered || patience.isZero() ? patience : connectTimeout;
            if (!mayHelp || System.nanoTime() - began + delay > patient.toNanos()) {
                throw error;
            }
            LOGGER.log(System.Logger.Level.DEBUG, () -> "again in " + delay / 1_000_000 + " ms: " + error.getMessage());
            waitFor(delay);
            throwIfUnwanted(error);
            // gRPC waits up to two minutes before it tries an address again; a server that restarts is back sooner.
            channel.resetConnectBackoff();
        }

        /** Ends at once when the caller is interrupted, cancelled or out of time. */
        private void waitFor(long nanoseconds) {
            CountDownLatch over = new CountDownLatch(1);
            Context context = Context.current();
            Context.CancellationListener listener = cancelled -> over.countDown();
            waiting.add(over);
            context.addListener(listener, Runnable::run);
            try {
                if (!channel.isShutdown()) {
                    over.await(nanoseconds, TimeUnit.NANOSECONDS);
                }
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            } finally {
                context.removeListener(listener);
                waiting.remove(over);
            }
        }
    }
}
