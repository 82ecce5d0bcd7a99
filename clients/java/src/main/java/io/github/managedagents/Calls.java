package io.github.managedagents;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptors;
import io.grpc.Context;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import java.time.Duration;
import java.util.EnumSet;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Asks the server, and knows how long to go on asking one that does not answer. gRPC's own retries are off: they stop
 * after five attempts, and know nothing of RetryInfo.
 */
final class Calls implements AutoCloseable {
    private static final System.Logger LOGGER = System.getLogger("managedagents");

    /** The codes that also tell of the caller's own going away. */
    private static final Set<Status.Code> GONE =
            EnumSet.of(Status.Code.CANCELLED, Status.Code.UNAVAILABLE, Status.Code.DEADLINE_EXCEEDED);

    final String address;
    private final ManagedChannel connection;
    private final Channel channel;
    private final Duration connectTimeout;
    private final Duration patience;
    private final Set<CountDownLatch> waiting = ConcurrentHashMap.newKeySet();
    private volatile boolean answered;

    Calls(String address, ManagedChannel connection, String token, Duration connectTimeout, Duration patience) {
        this.address = address;
        this.connection = connection;
        Metadata headers = new Metadata();
        if (!token.isEmpty()) {
            headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + token);
        }
        this.channel = ClientInterceptors.intercept(connection, MetadataUtils.newAttachHeadersInterceptor(headers));
        this.connectTimeout = connectTimeout;
        this.patience = patience;
    }

    /** How long a server may be away: short until it has answered once, so that a wrong address is told soon. */
    Duration patience() {
        return answered ? patience : connectTimeout;
    }

    /** The server answered. */
    void heard() {
        answered = true;
    }

    /** Ask, and ask again with the very same request (and so the same request id) while that may help. */
    <Q extends Message, A> A unary(MethodDescriptor<Q, A> method, Q request) {
        Q asked = withRequestId(request);
        long began = System.nanoTime();
        Backoff backoff = new Backoff();
        while (true) {
            try {
                A answer = ClientCalls.blockingUnaryCall(channel, method, options(), asked);
                heard();
                return answer;
            } catch (StatusRuntimeException failure) {
                ManagedAgentsException error = exception(failure);
                Duration delay = backoff.next(error.retryAfter());
                if (!Statuses.isPassing(error) || isOver(began, delay)) {
                    throw error;
                }
                waitFor(delay, error);
            }
        }
    }

    /** A stream, not yet started. Nobody but the caller gives it a deadline. */
    <Q, A> ClientCall<Q, A> open(MethodDescriptor<Q, A> method) {
        return channel.newCall(method, CallOptions.DEFAULT);
    }

    /** What a failed call throws; thrown at once where it failed because the caller went away. */
    ManagedAgentsException exception(StatusRuntimeException failure) {
        if (GONE.contains(failure.getStatus().getCode())) {
            throwIfUnwanted(failure);
        }
        ManagedAgentsException error = Statuses.exception(failure, address, answered);
        if (!(error instanceof ManagedAgentsException.NoAnswer
                || error instanceof ManagedAgentsException.DeadlineExceeded)) {
            heard();
        }
        return error;
    }

    /** Whether patience ends before the delay does. */
    boolean isOver(long lostAt, Duration delay) {
        return System.nanoTime() - lostAt + delay.toNanos() > patience().toNanos();
    }

    /** Wait before the next attempt. Ends at once when the caller is interrupted, cancelled or out of time. */
    void waitFor(Duration delay, ManagedAgentsException error) {
        LOGGER.log(System.Logger.Level.DEBUG, () -> "again in " + delay.toMillis() + " ms: " + error.getMessage());
        CountDownLatch over = new CountDownLatch(1);
        Context context = Context.current();
        Context.CancellationListener listener = cancelled -> over.countDown();
        waiting.add(over);
        context.addListener(listener, Runnable::run);
        try {
            if (!connection.isShutdown()) {
                over.await(delay.toNanos(), TimeUnit.NANOSECONDS);
            }
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        } finally {
            context.removeListener(listener);
            waiting.remove(over);
        }
        throwIfUnwanted(error);
        // gRPC waits up to two minutes before it tries an address again; a server that restarts is back sooner.
        connection.resetConnectBackoff();
    }

    private void throwIfUnwanted(Throwable cause) {
        Context context = Context.current();
        if (Thread.currentThread().isInterrupted()) {
            throw cancellation("interrupted", cause);
        }
        if (context.isCancelled()) {
            if (context.cancellationCause() instanceof TimeoutException) {
                String said = "the caller's deadline passed; the call may have been applied";
                throw new ManagedAgentsException.DeadlineExceeded(
                        ManagedAgentsException.Facts.of(Status.Code.DEADLINE_EXCEEDED, said));
            }
            throw cancellation("cancelled by the caller", cause);
        }
        if (connection.isShutdown()) {
            throw cancellation("the client is closed", cause);
        }
    }

    static CancellationException cancellation(String why, Throwable cause) {
        CancellationException exception = new CancellationException(why);
        exception.initCause(cause);
        return exception;
    }

    private CallOptions options() {
        // Only the answer itself is waited for longer than a connection: the deadline of an attempt is not the time
        // that
        // a server may be away. Without patience a call takes the time that its caller gives it.
        return patience.isZero()
                ? CallOptions.DEFAULT
                : CallOptions.DEFAULT.withDeadlineAfter(patience.toNanos(), TimeUnit.NANOSECONDS);
    }

    @SuppressWarnings("unchecked") // A builder builds the message that it came from.
    private static <Q extends Message> Q withRequestId(Q request) {
        FieldDescriptor field = request.getDescriptorForType().findFieldByName("request_id");
        if (field == null || !((String) request.getField(field)).isEmpty()) {
            return request;
        }
        String id = UUID.randomUUID().toString().replace("-", "");
        return (Q) request.toBuilder().setField(field, id).build();
    }

    /** Close the connection; calls that are under way, and waits between them, end at once. */
    @Override
    public void close() {
        connection.shutdownNow();
        waiting.forEach(CountDownLatch::countDown);
    }
}
