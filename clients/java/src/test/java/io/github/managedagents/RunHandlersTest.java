package io.github.managedagents;

import static io.github.managedagents.support.FakeSession.DONE;
import static io.github.managedagents.support.FakeSession.MESSAGE;
import static io.github.managedagents.support.FakeSession.answers;
import static io.github.managedagents.support.FakeSession.asks;
import static io.github.managedagents.support.FakeSession.calls;
import static io.github.managedagents.support.FakeSession.session;
import static io.github.managedagents.support.Said.refusal;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.managedagents.support.FakeServer;
import io.github.managedagents.v1.*;
import io.grpc.Status;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What becomes of the handlers of a run, and of what they answer. */
@Timeout(30)
class RunHandlersTest {
    @Test
    void whatConfirmThrowsReachesTheCallerAndStopsTheHandlers() throws Exception {
        CountDownLatch atWork = new CountDownLatch(1);
        CountDownLatch stopped = new CountDownLatch(1);
        try (FakeServer server = session(List.of(MESSAGE, calls("use_2", "slow"), asks("use_3")));
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
        try (FakeServer server = session(List.of(MESSAGE, calls("use_2", "slow"), calls("use_3", "quick")), DONE);
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
        try (FakeServer server = session(List.of(MESSAGE, calls("use_2", "slow")));
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
        try (FakeServer server = session(List.of(MESSAGE, calls("use_2", "deaf"), calls("use_3", "quick")), DONE);
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
    void aResultThatIsRefusedIsToldToTheModel() throws Exception {
        try (FakeServer server = session(2, List.of(MESSAGE, calls("use_2", "large")), DONE);
                Client client = Client.connect(server.address())) {
            server.on("SendEvent", request -> {
                UserEvent sent = ((SendEventRequest) request).getEvent();
                if (sent.hasUserCustomToolResult()
                        && !sent.getUserCustomToolResult().getIsError()) {
                    throw refusal(Status.Code.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED");
                }
                return SendEventResponse.newBuilder().setSeq(1).build();
            });
            client.run("ses_1", "go", new RunOptions().tool("large", (input, use) -> "much"));
            UserCustomToolResult told = answers(server).get(1).getUserCustomToolResult();
            assertEquals("The tool ran, but its result was refused: refused", Events.textOf(told.getContentList()));
        }
    }

    @Test
    void anAnswerThatNobodyWaitsForAnyMoreIsNoFailure() throws Exception {
        try (FakeServer server = session(List.of(MESSAGE, calls("use_2", "late")), DONE);
                Client client = Client.connect(server.address())) {
            server.on("SendEvent", request -> {
                if (((SendEventRequest) request).getEvent().hasUserCustomToolResult()) {
                    throw refusal(Status.Code.FAILED_PRECONDITION, "TOOL_USE_CLOSED");
                }
                return SendEventResponse.newBuilder().setSeq(1).build();
            });
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
