package io.github.managedagents;

import static io.github.managedagents.support.FakeSession.DONE;
import static io.github.managedagents.support.FakeSession.MESSAGE;
import static io.github.managedagents.support.FakeSession.answers;
import static io.github.managedagents.support.FakeSession.asks;
import static io.github.managedagents.support.FakeSession.calls;
import static io.github.managedagents.support.FakeSession.idle;
import static io.github.managedagents.support.FakeSession.judged;
import static io.github.managedagents.support.FakeSession.of;
import static io.github.managedagents.support.FakeSession.session;
import static io.github.managedagents.support.FakeSession.waitsFor;
import static io.github.managedagents.support.Said.event;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.managedagents.support.FakeServer;
import io.github.managedagents.v1.*;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What ends a run, and what it answers, against a service that says what a session would say. */
@Timeout(30)
class RunTest {
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
    void aUseThatWasConfirmedBeforeStatusToldOfItKeepsItsHandler() throws Exception {
        PendingAction allowed = PendingAction.newBuilder()
                .setToolUseId("use_0")
                .setName("bash")
                .setKind(PendingActionKind.PENDING_ACTION_KIND_TOOL_RESULT)
                .setRunsAtClient(true)
                .build();
        SessionEvent decided = of(0).setUserToolConfirmation(UserToolConfirmation.newBuilder()
                        .setToolUseId("use_0")
                        .setDecision(ToolConfirmation.TOOL_CONFIRMATION_ALLOW))
                .build();
        SessionEvent running =
                of(1).setStatusRunning(StatusRunning.getDefaultInstance()).build();
        CountDownLatch seen = new CountDownLatch(1);
        try (FakeServer server = session(List.of(MESSAGE, decided, running), DONE)
                        .on(
                                "Status",
                                request -> StatusResponse.newBuilder()
                                        .addPendingActions(allowed)
                                        .build());
                Client client = Client.connect(server.address())) {
            RunOptions options = new RunOptions()
                    .tool("bash", (input, use) -> {
                        seen.await();
                        return "made";
                    })
                    .onEvent(event -> {
                        if (event.hasStatusRunning()) {
                            seen.countDown();
                        }
                    });
            client.run("ses_1", "go", options);
            assertEquals(
                    "made",
                    Events.textOf(answers(server).get(0).getUserToolResult().getContentList()));
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
}
