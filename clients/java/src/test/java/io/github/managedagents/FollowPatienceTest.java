package io.github.managedagents;

import static io.github.managedagents.support.Said.batch;
import static io.github.managedagents.support.Said.ended;
import static io.github.managedagents.support.Said.opened;
import static io.github.managedagents.support.Said.refusal;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.managedagents.support.FakeServer;
import io.github.managedagents.v1.SessionEvent;
import io.github.managedagents.v1.StreamEventsRequest;
import io.grpc.Context;
import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** How long a follow waits, and how it stops. */
@Timeout(30)
class FollowPatienceTest {
    /** One event, and then nothing more. */
    private static final FakeServer.Stream HANGING = (request, to) -> {
        to.onNext(opened(1));
        to.onNext(batch(1, 1));
    };

    @Test
    void aSilentStreamIsGivenUpForANewOne() throws Exception {
        try (FakeServer server = new FakeServer().streaming((request, to) -> {
                    to.onNext(opened(3));
                    if (!request.hasLogId()) {
                        to.onNext(batch(1, 2));
                        return;
                    }
                    to.onNext(batch(3, 3));
                    to.onNext(ended(3, true));
                    to.onCompleted();
                });
                Client client = Client.builder(server.address())
                        .heartbeatTimeout(Duration.ofMillis(300))
                        .build()) {
            long seq = 0;
            for (SessionEvent event : client.follow("ses_1", 0)) {
                assertEquals(++seq, event.getSeq());
            }
            assertEquals(3, seq);
            assertEquals(2, server.asked(StreamEventsRequest.class).get(1).getFromSeq());
            assertTrue(server.cancelled.await(10, TimeUnit.SECONDS));
        }
    }

    @Test
    void leavingTheBlockCancelsTheCallAtOnce() throws Exception {
        try (FakeServer server = new FakeServer().streaming(HANGING);
                Client client = Client.connect(server.address())) {
            try (Follow<SessionEvent> events = client.follow("ses_1", 0)) {
                assertEquals(1, events.next().getSeq());
            }
            assertTrue(server.cancelled.await(10, TimeUnit.SECONDS));
        }
    }

    @Test
    void closingFromAnotherThreadEndsTheLoop() throws Exception {
        try (FakeServer server = new FakeServer().streaming(HANGING);
                Client client = Client.connect(server.address())) {
            Follow<SessionEvent> events = client.follow("ses_1", 0);
            events.next();
            FutureTask<Boolean> more = started(events);
            events.close();
            assertFalse(more.get());
            assertTrue(server.cancelled.await(10, TimeUnit.SECONDS));
        }
    }

    @Test
    void interruptingTheReaderCancelsTheCall() throws Exception {
        try (FakeServer server = new FakeServer().streaming(HANGING);
                Client client = Client.connect(server.address())) {
            Follow<SessionEvent> events = client.follow("ses_1", 0);
            events.next();
            FutureTask<Boolean> more = new FutureTask<>(events::hasNext);
            Thread reader = new Thread(more);
            reader.start();
            reader.interrupt();
            assertCancelled(more);
            assertTrue(server.cancelled.await(10, TimeUnit.SECONDS));
        }
    }

    @Test
    void cancellingTheContextCancelsTheCall() throws Exception {
        try (FakeServer server = new FakeServer().streaming(HANGING);
                Client client = Client.connect(server.address())) {
            Context.CancellableContext context = Context.current().withCancellation();
            Follow<SessionEvent> events = context.call(() -> client.follow("ses_1", 0));
            events.next();
            FutureTask<Boolean> more = started(events);
            context.cancel(null);
            assertCancelled(more);
            assertTrue(server.cancelled.await(10, TimeUnit.SECONDS));
        }
    }

    @Test
    @SuppressWarnings("try") // An early close is what is tested.
    void closingTheClientEndsItsFollows() throws Exception {
        try (FakeServer server = new FakeServer().streaming(HANGING);
                Client client = Client.connect(server.address())) {
            Follow<SessionEvent> events = client.follow("ses_1", 0);
            events.next();
            FutureTask<Boolean> more = started(events);
            client.close();
            assertCancelled(more);
        }
    }

    @Test
    @SuppressWarnings("try") // An early close is what is tested.
    void closingEndsTheWaitForAServerThatIsAway() throws Exception {
        try (FakeServer server = new FakeServer().streaming((request, to) -> {
                    throw refusal(Status.Code.UNAVAILABLE);
                });
                Client client = Client.connect(server.address());
                Follow<SessionEvent> events = client.follow("ses_1", 0)) {
            FutureTask<Boolean> more = started(events);
            for (int streams = 0; streams < 5; streams++) {
                server.arrived.take();
            }
            events.close();
            assertFalse(more.get());
        }
    }

    @Test
    void patienceWithAServerThatIsGoneEnds() throws Exception {
        try (FakeServer server = new FakeServer().streaming(HANGING);
                Client client = Client.builder(server.address())
                        .patience(Duration.ofMillis(500))
                        .build()) {
            Follow<SessionEvent> events = client.follow("ses_1", 0);
            events.next();
            server.stop();
            assertThrows(ManagedAgentsException.NoAnswer.class, events::hasNext);
        }
    }

    @Test
    void aReaderThatTookItsTimeHasTheWholePatienceLeft() throws Exception {
        try (FakeServer server = new FakeServer().streaming((request, to) -> {
                    to.onNext(opened(2));
                    if (request.getFromSeq() == 0) {
                        to.onNext(batch(1, 1));
                        throw refusal(Status.Code.UNAVAILABLE);
                    }
                    to.onNext(batch(2, 2));
                    to.onNext(ended(2, true));
                    to.onCompleted();
                });
                Client client = Client.builder(server.address())
                        .patience(Duration.ofMillis(400))
                        .build()) {
            Follow<SessionEvent> events = client.follow("ses_1", 0);
            assertEquals(1, events.next().getSeq());
            // Longer than the patience: that it passes is what is tested.
            assertThrows(
                    java.util.concurrent.TimeoutException.class,
                    () -> new FutureTask<>(() -> 1).get(600, TimeUnit.MILLISECONDS));
            assertEquals(2, events.next().getSeq());
        }
    }

    private static FutureTask<Boolean> started(Follow<SessionEvent> events) {
        FutureTask<Boolean> more = new FutureTask<>(events::hasNext);
        new Thread(more).start();
        return more;
    }

    private static void assertCancelled(FutureTask<Boolean> more) {
        var failure = assertThrows(ExecutionException.class, more::get);
        assertInstanceOf(CancellationException.class, failure.getCause());
    }
}
