package io.github.managedagents;

import static io.github.managedagents.support.Said.event;
import static io.github.managedagents.support.Said.opened;
import static io.github.managedagents.support.Said.refusal;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.managedagents.support.FakeServer;
import io.github.managedagents.v1.*;
import io.grpc.Status;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What ends a run, and what it answers, against a service that says what a session would say. */
@Timeout(30)
class RunTest {
    private static final SessionEvent MESSAGE =
            of(1).setUserMessage(UserMessage.getDefaultInstance()).build();

    private static final SessionEvent DONE = idle(1, StopReason.newBuilder().setEndTurn(EndTurn.getDefaultInstance()));

    static Stream<Arguments> ends() {
        var refused = StopReason.newBuilder().setRefusal(Refusal.getDefaultInstance());
        var done = StopReason.newBuilder().setEndTurn(EndTurn.getDefaultInstance());
        var dropped =
                StopReason.newBuilder().setInterrupted(Interrupted.newBuilder().addDroppedSeqs(1));
        return Stream.of(
                Arguments.of("end_turn", List.of(MESSAGE, DONE)),
                Arguments.of("refusal", List.of(MESSAGE, idle(9, done), idle(1, refused))),
                Arguments.of("dropped", List.of(MESSAGE, idle(9, dropped))),
                Arguments.of("outcome_evaluated", List.of(MESSAGE, judged(1, false))),
                Arguments.of(
                        "failed",
                        List.of(
                                MESSAGE,
                                of(0).setStatusFailed(StatusFailed.getDefaultInstance())
                                        .build())),
                Arguments.of(
                        "archived",
                        List.of(
                                MESSAGE,
                                of(0).setStatusArchived(StatusArchived.getDefaultInstance())
                                        .build())));
    }

    @ParameterizedTest
    @MethodSource("ends")
    void aRunEndsWithItsTurn(String stopReason, List<SessionEvent> log) throws Exception {
        try (FakeServer server = session(log);
                Client client = Client.connect(server.address())) {
            assertEquals(stopReason, client.run("ses_1", "go").stopReason());
        }
    }

    @Test
    void aRunOfAnOutcomeGoesOnOverItsIterations() throws Exception {
        var outcome = UserDefineOutcome.newBuilder().setCriteria("good");
        List<SessionEvent> log = List.of(
                of(1).setUserDefineOutcome(outcome).build(),
                judged(1, false),
                of(2).setAgentMessage(AgentMessage.getDefaultInstance()).build(),
                judged(2, true),
                of(0).setStatusCompleted(StatusCompleted.getDefaultInstance()).build());
        try (FakeServer server = session(log);
                Client client = Client.connect(server.address())) {
            UserEvent event =
                    UserEvent.newBuilder().setUserDefineOutcome(outcome).build();
            RunResult result = client.run("ses_1", event, new RunOptions());
            assertEquals("completed", result.stopReason());
            assertEquals(
                    List.of(1L, 2L, 3L, 4L),
                    result.events().stream().map(SessionEvent::getSeq).toList());
        }
    }

    static Stream<Arguments> decisions() {
        return Stream.of(
                Arguments.of(Decision.allow(), ToolConfirmation.TOOL_CONFIRMATION_ALLOW, ""),
                Arguments.of(Decision.deny(), ToolConfirmation.TOOL_CONFIRMATION_DENY, ""),
                Arguments.of(Decision.deny("not today"), ToolConfirmation.TOOL_CONFIRMATION_DENY, "not today"),
                Arguments.of(null, ToolConfirmation.TOOL_CONFIRMATION_DENY, ""));
    }

    @ParameterizedTest
    @MethodSource("decisions")
    void aUseThatWaitsForPermissionIsDecidedByConfirm(Decision decision, ToolConfirmation told, String why)
            throws Exception {
        List<String> names = new ArrayList<>();
        try (FakeServer server = session(List.of(MESSAGE, asks("use_2")), DONE);
                Client client = Client.connect(server.address())) {
            RunOptions options = new RunOptions().confirm(use -> {
                names.add(use.name());
                return decision;
            });
            assertEquals("end_turn", client.run("ses_1", "go", options).stopReason());
            UserToolConfirmation sent = answers(server).get(0).getUserToolConfirmation();
            assertEquals("use_2", sent.getToolUseId());
            assertEquals(told, sent.getDecision());
            assertEquals(why, sent.getDenyMessage());
            assertEquals(List.of("bash"), names);
        }
    }

    @Test
    void aTurnThatWaitsForWhatNobodyHereCanAnswerIsGivenBack() throws Exception {
        for (SessionEvent use : List.of(asks("use_2"), calls("use_2", "theirs"))) {
            try (FakeServer server = session(List.of(MESSAGE, use, waitsFor("use_2")));
                    Client client = Client.connect(server.address())) {
                RunOptions ours = new RunOptions().tool("ours", (input, asked) -> "ok");
                RunResult result = client.run("ses_1", "go", ours);
                assertEquals("requires_action", result.stopReason());
                assertEquals(List.of("use_2"), result.waitsFor());
                assertEquals(List.of(), answers(server));
            }
        }
    }

    @Test
    void anEarlierTurnsUseWithoutAHandlerIsLeftToOthersAndTheOthersAreAnswered() throws Exception {
        StatusResponse.Builder status = StatusResponse.newBuilder();
        for (String name : List.of("theirs", "ours")) {
            status.addPendingActions(PendingAction.newBuilder()
                    .setToolUseId("use_" + name)
                    .setName(name)
                    .setKind(PendingActionKind.PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT));
        }
        try (FakeServer server = session(List.of(MESSAGE), DONE).on("Status", request -> status.build());
                Client client = Client.connect(server.address())) {
            client.run("ses_1", "go", new RunOptions().tool("ours", (input, use) -> "ok"));
            assertEquals(
                    List.of("use_ours"),
                    answers(server).stream()
                            .map(sent -> sent.getUserCustomToolResult().getCustomToolUseId())
                            .toList());
        }
    }

    @Test
    void whatOnEventThrowsReachesTheCaller() throws Exception {
        try (FakeServer server = session(List.of(MESSAGE));
                Client client = Client.connect(server.address())) {
            RuntimeException mine = new RuntimeException("mine");
            RunOptions options = new RunOptions().onEvent(event -> {
                throw mine;
            });
            assertSame(mine, assertThrows(RuntimeException.class, () -> client.run("ses_1", "go", options)));
        }
    }

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

    @Test
    void anErrorThatTheTurnGoesOnFromIsNotTheRuns() throws Exception {
        for (ErrorNext next : List.of(ErrorNext.ERROR_NEXT_TURN_ENDS, ErrorNext.ERROR_NEXT_TURN_GOES_ON)) {
            SessionEvent error =
                    of(1).setError(ErrorEvent.newBuilder().setNext(next)).build();
            try (FakeServer server = session(List.of(MESSAGE, error, DONE));
                    Client client = Client.connect(server.address())) {
                RunResult result = client.run("ses_1", "go");
                assertEquals(
                        next == ErrorNext.ERROR_NEXT_TURN_ENDS, result.error().isPresent());
                assertTrue(result.events().stream().anyMatch(SessionEvent::hasError));
            }
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

    /** A session whose log is these events, the first of them what is sent; {@code answered} follow once more was sent. */
    private static FakeServer session(List<SessionEvent> log, SessionEvent... answered) throws Exception {
        return session(1, log, answered);
    }

    /** The same, where {@code answered} follow after so many sends. */
    private static FakeServer session(int sends, List<SessionEvent> log, SessionEvent... answered) throws Exception {
        FakeServer server = new FakeServer();
        return server.on(
                        "SendEvent",
                        request -> SendEventResponse.newBuilder().setSeq(1).build())
                .on("Status", request -> StatusResponse.getDefaultInstance())
                .streaming((request, to) -> {
                    int before = answers(server).size();
                    to.onNext(opened(9));
                    long seq = 0;
                    for (SessionEvent event : log) {
                        to.onNext(event(event.toBuilder().setSeq(++seq).build()));
                    }
                    for (SessionEvent event : answered) {
                        while (answers(server).size() < before + sends) {
                            server.arrived.take();
                        }
                        to.onNext(event(event.toBuilder().setSeq(++seq).build()));
                    }
                });
    }

    /** What was sent after the message. */
    private static List<UserEvent> answers(FakeServer server) {
        return server.asked(SendEventRequest.class).stream()
                .map(SendEventRequest::getEvent)
                .filter(event -> !event.hasUserMessage())
                .toList();
    }

    private static SessionEvent.Builder of(long turn) {
        return SessionEvent.newBuilder().setTurn(turn);
    }

    private static SessionEvent idle(long turn, StopReason.Builder reason) {
        return of(turn).setStatusIdle(StatusIdle.newBuilder().setStopReason(reason))
                .build();
    }

    private static SessionEvent waitsFor(String useId) {
        return idle(
                1,
                StopReason.newBuilder()
                        .setRequiresAction(RequiresAction.newBuilder().addIds(useId)));
    }

    private static SessionEvent judged(long turn, boolean met) {
        return of(turn).setOutcomeEvaluated(OutcomeEvaluated.newBuilder().setMet(met))
                .build();
    }

    private static SessionEvent asks(String useId) {
        return of(1).setAgentToolUse(AgentToolUse.newBuilder()
                        .setToolUseId(useId)
                        .setName("bash")
                        .setPermission(PermissionDecision.PERMISSION_DECISION_ASK))
                .build();
    }

    private static SessionEvent calls(String useId, String name) {
        return of(1).setAgentCustomToolUse(AgentCustomToolUse.newBuilder()
                        .setCustomToolUseId(useId)
                        .setName(name))
                .build();
    }
}
