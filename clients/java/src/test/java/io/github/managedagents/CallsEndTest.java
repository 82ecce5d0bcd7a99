package io.github.managedagents;

import static io.github.managedagents.support.Said.refusal;
import static io.github.managedagents.support.Said.retryAfter;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Message;
import io.github.managedagents.support.FakeServer;
import io.github.managedagents.v1.*;
import io.grpc.Context;
import io.grpc.Status;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A call ends when its caller goes away. */
@Timeout(30)
class CallsEndTest {
    private static final FakeServer.Call NEVER = request -> null;

    @Test
    void anInterruptEndsACallAtOnce() throws Exception {
        try (FakeServer server = new FakeServer().on("Status", NEVER);
                Client client = Client.connect(server.address())) {
            FutureTask<Boolean> call = task(() -> {
                assertThrows(CancellationException.class, () -> client.status("ses_1"));
                return Thread.currentThread().isInterrupted();
            });
            Thread caller = new Thread(call);
            caller.start();
            server.arrived.take();
            caller.interrupt();
            assertTrue(call.get());
            assertTrue(server.cancelled.await(10, TimeUnit.SECONDS));
            assertEquals(1, server.asked.size());
        }
    }

    @Test
    void anInterruptEndsTheWaitBetweenTwoAttempts() throws Exception {
        CountDownLatch refused = new CountDownLatch(1);
        try (FakeServer server = new FakeServer().on("Status", request -> {
                    refused.countDown();
                    throw refusal(Status.Code.UNAVAILABLE, retryAfter(900));
                });
                Client client = Client.connect(server.address())) {
            FutureTask<Void> call = task(() -> {
                assertThrows(CancellationException.class, () -> client.status("ses_1"));
                return null;
            });
            Thread caller = new Thread(call);
            caller.start();
            refused.await();
            caller.interrupt();
            call.get();
            assertEquals(1, server.asked.size());
        }
    }

    @Test
    void aCancelledContextEndsACallAndItsWaits() throws Exception {
        try (FakeServer server = new FakeServer().on("Status", NEVER).on("Pause", request -> {
                    throw refusal(Status.Code.UNAVAILABLE, retryAfter(900));
                });
                Client client = Client.connect(server.address())) {
            for (FakeServer.Call call :
                    List.<FakeServer.Call>of(any -> client.status("ses_1"), any -> client.pause("ses_1"))) {
                Context.CancellableContext context = Context.current().withCancellation();
                FutureTask<Message> running = started(() -> context.call(() -> call.answer(null)));
                server.arrived.take();
                context.cancel(null);
                var failure = assertThrows(ExecutionException.class, running::get);
                assertInstanceOf(CancellationException.class, failure.getCause());
            }
            assertEquals(2, server.asked.size());
        }
    }

    @Test
    void aDeadlineOfTheCallerIsKept() throws Exception {
        var timer = Executors.newSingleThreadScheduledExecutor();
        try (FakeServer server = new FakeServer().on("Status", NEVER).on("Pause", request -> {
                    throw refusal(Status.Code.UNAVAILABLE);
                });
                Client client = Client.connect(server.address())) {
            for (Runnable call : List.<Runnable>of(() -> client.status("ses_1"), () -> client.pause("ses_1"))) {
                Context.CancellableContext context =
                        Context.current().withDeadlineAfter(300, TimeUnit.MILLISECONDS, timer);
                assertThrows(ManagedAgentsException.DeadlineExceeded.class, () -> context.run(call));
            }
        } finally {
            timer.shutdownNow();
        }
    }

    @Test
    @SuppressWarnings("try") // An early close is what is tested.
    void closingTheClientEndsItsCallsAndTheirWaits() throws Exception {
        try (FakeServer server = new FakeServer().on("Status", NEVER).on("Pause", request -> {
                    throw refusal(Status.Code.UNAVAILABLE);
                });
                Client client = Client.connect(server.address())) {
            FutureTask<?> status = started(() -> client.status("ses_1"));
            FutureTask<?> pause = started(() -> client.pause("ses_1"));
            for (int calls = 0; calls < 5; calls++) {
                server.arrived.take();
            }
            client.close();
            for (FutureTask<?> call : List.of(status, pause)) {
                var failure = assertThrows(ExecutionException.class, call::get);
                assertInstanceOf(CancellationException.class, failure.getCause());
            }
        }
    }

    private static <T> FutureTask<T> task(java.util.concurrent.Callable<T> callable) {
        return new FutureTask<>(callable);
    }

    private static <T> FutureTask<T> started(java.util.concurrent.Callable<T> callable) {
        FutureTask<T> task = task(callable);
        new Thread(task).start();
        return task;
    }
}
