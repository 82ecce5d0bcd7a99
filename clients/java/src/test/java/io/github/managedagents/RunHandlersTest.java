package io.github.managedagents;

import static io.github.managedagents.support.FakeSession.MESSAGE;
import static io.github.managedagents.support.FakeSession.answered;
import static io.github.managedagents.support.FakeSession.answering;
import static io.github.managedagents.support.FakeSession.answers;
import static io.github.managedagents.support.FakeSession.asks;
import static io.github.managedagents.support.FakeSession.calls;
import static io.github.managedagents.support.FakeSession.ends;
import static io.github.managedagents.support.FakeSession.message;
import static io.github.managedagents.support.FakeSession.over;
import static io.github.managedagents.support.FakeSession.session;
import static io.github.managedagents.support.FakeSession.waits;
import static io.github.managedagents.support.Said.refusal;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.managedagents.support.FakeServer;
import io.github.managedagents.support.FakeSession.Step;
import io.github.managedagents.v1.*;
import io.grpc.Status;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What becomes of the handlers of a run, and of what they answer. */
@Timeout(30)
class RunHandlersTest {
    private static final Step TURN_OVER = ends(StreamEndReason.STREAM_END_REASON_TURN_OVER);

    @Test
    void whatConfirmThrowsReachesTheCallerAndStopsTheHandlers() throws Exception {
        CountDownLatch atWork = new CountDownLatch(1);
        CountDownLatch stopped = new CountDownLatch(1);
        try (FakeServer server = session(MESSAGE, waits(calls("use_2", "slow"), asks("use_3")));
                Client client = Client.connect(server.address())) {
            RunOptions options = new RunOptions()
                    .tool("slow", (input, use) -> hang(atWork, stopped))
                    .confirm(use -> {
                        await(atWork);
                        throw new IllegalStateException("mine");
                    });
            var thrown = assertThrows(IllegalStateException.class, () -> client.run("ses_1", "go", options));
            assertEquals("mine", thrown.getMessage());
            await(stopped);
            assertEquals(List.of(), answers(server));
        }
    }

    @Test
    void handlersThatAreAtWorkWhenTheTurnIsOverAreInterrupted() throws Exception {
        CountDownLatch atWork = new CountDownLatch(1);
        CountDownLatch stopped = new CountDownLatch(1);
        try (FakeServer server = session(
                        MESSAGE,
                        waits(calls("use_2", "slow"), calls("use_3", "quick")),
                        answered(1),
                        over(),
                        TURN_OVER);
                Client client = Client.connect(server.address())) {
            RunOptions options = new RunOptions()
                    .tool("slow", (input, use) -> hang(atWork, stopped))
                    .tool("quick", (input, use) -> {
                        await(atWork);
                        return "ok";
                    });
            assertEquals("end_turn", client.run("ses_1", "go", options).stopReason());
            await(stopped);
            assertEquals(1, answers(server).size());
        }
    }

    @Test
    void interruptingTheRunStopsItsHandlersAndSendsNothing() throws Exception {
        CountDownLatch atWork = new CountDownLatch(1);
        CountDownLatch stopped = new CountDownLatch(1);
        try (FakeServer server = session(MESSAGE, waits(calls("use_2", "slow")));
                Client client = Client.connect(server.address())) {
            RunOptions options = new RunOptions().tool("slow", (input, use) -> hang(atWork, stopped));
            FutureTask<RunResult> run = new FutureTask<>(() -> client.run("ses_1", "go", options));
            Thread runner = new Thread(run);
            runner.start();
            await(atWork);
            runner.interrupt();
            var failure = assertThrows(ExecutionException.class, run::get);
            assertTrue(failure.getCause() instanceof CancellationException);
            await(stopped);
            assertTrue(server.cancelled.await(10, TimeUnit.SECONDS));
            assertEquals(List.of(), answers(server));
        }
    }

    @Test
    void aHandlerThatWasStoppedIsNotCalledAgainAndTheModelIsToldSo() throws Exception {
        CountDownLatch atWork = new CountDownLatch(1);
        AtomicInteger calls = new AtomicInteger();
        ToolHandler deaf = (input, use) -> {
            calls.incrementAndGet();
            atWork.countDown();
            CountDownLatch never = new CountDownLatch(1);
            while (true) {
                try {
                    never.await();
                } catch (InterruptedException ignored) {
                    // That nobody waits is nothing to this one.
                }
            }
        };
        // Of the first run the quick one, and of the second what is told in place of the deaf one.
        Step eachAnswered = server ->
                answered(server.asked(StreamEventsRequest.class).size()).next(server);
        try (FakeServer server = session(
                        MESSAGE,
                        waits(calls("use_2", "deaf"), calls("use_3", "quick")),
                        eachAnswered,
                        over(),
                        TURN_OVER);
                Client client = Client.connect(server.address())) {
            RunOptions options = new RunOptions().tool("deaf", deaf).tool("quick", (input, use) -> {
                await(atWork);
                return "ok";
            });
            client.run("ses_1", "go", options);
            client.run("ses_1", "go", options);
            UserCustomToolResult told = answers(server).stream()
                    .map(UserEvent::getUserCustomToolResult)
                    .filter(result -> result.getCustomToolUseId().equals("use_2"))
                    .findFirst()
                    .orElseThrow();
            assertTrue(told.getIsError());
            assertTrue(Events.textOf(told.getContentList()).startsWith("The tool was stopped"));
            assertEquals(1, calls.get());
        }
    }

    @Test
    void aHandlerWhoseUseIsClosedIsInterruptedAndTheRunGoesOn() throws Exception {
        CountDownLatch atWork = new CountDownLatch(1);
        CountDownLatch stopped = new CountDownLatch(1);
        Step begun = server -> {
            await(atWork);
            return null;
        };
        Step seen = server -> {
            await(stopped);
            return null;
        };
        try (FakeServer server = session(
                        MESSAGE, waits(calls("use_2", "slow")), begun, waits(), seen, message(3), over(), TURN_OVER);
                Client client = Client.connect(server.address())) {
            RunOptions options = new RunOptions().tool("slow", (input, use) -> hang(atWork, stopped));
            assertEquals(2, client.run("ses_1", "go", options).events().size());
            assertEquals(List.of(), answers(server));
        }
    }

    @Test
    void twoRunsThatMeetTheSameUseCallItsHandlerOnce() throws Exception {
        AtomicInteger calls = new AtomicInteger();
        // Both streams tell of the use before either run is over.
        CyclicBarrier bothTold = new CyclicBarrier(2);
        Step meet = server -> {
            bothTold.await(10, TimeUnit.SECONDS);
            return null;
        };
        try (FakeServer server = session(
                        MESSAGE,
                        meet,
                        waits(calls("use_2", "deploy")),
                        meet,
                        answered(1),
                        message(3),
                        over(),
                        TURN_OVER);
                Client client = Client.connect(server.address())) {
            RunOptions options = new RunOptions().tool("deploy", (input, use) -> calls.incrementAndGet());
            FutureTask<RunResult> other = new FutureTask<>(() -> client.run("ses_1", "go", options));
            new Thread(other).start();
            client.run("ses_1", "go", options);
            other.get();
            assertEquals(1, calls.get());
            assertEquals(1, answers(server).size());
        }
    }

    @Test
    void anAnswerThatCouldNotBeSentIsKeptForTheNextRun() throws Exception {
        AtomicInteger calls = new AtomicInteger();
        AtomicInteger results = new AtomicInteger();
        FakeServer.Call sends = request -> {
            boolean isResult = ((SendEventRequest) request).getEvent().hasUserCustomToolResult();
            if (isResult && results.incrementAndGet() == 1) {
                throw refusal(Status.Code.INTERNAL, "INTERNAL");
            }
            return SendEventResponse.newBuilder().setSeq(1).build();
        };
        try (FakeServer server =
                        answering(sends, MESSAGE, waits(calls("use_2", "deploy")), answered(2), over(), TURN_OVER);
                Client client = Client.connect(server.address())) {
            RunOptions options = new RunOptions().tool("deploy", (input, use) -> calls.incrementAndGet());
            assertThrows(ManagedAgentsException.ServerFault.class, () -> client.run("ses_1", "go", options));
            assertEquals("end_turn", client.run("ses_1", "go", options).stopReason());
            assertEquals(1, calls.get());
            assertEquals(
                    List.of("1", "1"),
                    answers(server).stream()
                            .map(sent ->
                                    Events.textOf(sent.getUserCustomToolResult().getContentList()))
                            .toList());
        }
    }

    @Test
    void aResultThatIsRefusedIsToldToTheModel() throws Exception {
        FakeServer.Call sends = request -> {
            UserEvent sent = ((SendEventRequest) request).getEvent();
            if (sent.hasUserCustomToolResult()
                    && !sent.getUserCustomToolResult().getIsError()) {
                throw refusal(Status.Code.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED");
            }
            return SendEventResponse.newBuilder().setSeq(1).build();
        };
        try (FakeServer server =
                        answering(sends, MESSAGE, waits(calls("use_2", "large")), answered(2), over(), TURN_OVER);
                Client client = Client.connect(server.address())) {
            client.run("ses_1", "go", new RunOptions().tool("large", (input, use) -> "much"));
            UserCustomToolResult told = answers(server).get(1).getUserCustomToolResult();
            assertEquals("The tool ran, but its result was refused: refused", Events.textOf(told.getContentList()));
        }
    }

    @Test
    void anAnswerThatNobodyWaitsForAnyMoreIsNoFailure() throws Exception {
        FakeServer.Call sends = request -> {
            if (((SendEventRequest) request).getEvent().hasUserCustomToolResult()) {
                throw refusal(Status.Code.FAILED_PRECONDITION, "TOOL_USE_CLOSED");
            }
            return SendEventResponse.newBuilder().setSeq(1).build();
        };
        try (FakeServer server =
                        answering(sends, MESSAGE, waits(calls("use_2", "late")), answered(1), over(), TURN_OVER);
                Client client = Client.connect(server.address())) {
            RunOptions options = new RunOptions().tool("late", (input, use) -> "ok");
            assertEquals("end_turn", client.run("ses_1", "go", options).stopReason());
        }
    }

    private static String hang(CountDownLatch atWork, CountDownLatch stopped) throws InterruptedException {
        atWork.countDown();
        try {
            new CountDownLatch(1).await();
        } finally {
            stopped.countDown();
        }
        return "never";
    }

    private static void await(CountDownLatch latch) {
        try {
            assertTrue(latch.await(10, TimeUnit.SECONDS));
        } catch (InterruptedException interrupted) {
            throw new AssertionError(interrupted);
        }
    }
}
