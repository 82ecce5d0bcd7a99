package io.github.managedagents;

import static io.github.managedagents.support.FakeSession.MESSAGE;
import static io.github.managedagents.support.FakeSession.action;
import static io.github.managedagents.support.FakeSession.answered;
import static io.github.managedagents.support.FakeSession.answers;
import static io.github.managedagents.support.FakeSession.asks;
import static io.github.managedagents.support.FakeSession.calls;
import static io.github.managedagents.support.FakeSession.ends;
import static io.github.managedagents.support.FakeSession.message;
import static io.github.managedagents.support.FakeSession.over;
import static io.github.managedagents.support.FakeSession.session;
import static io.github.managedagents.support.FakeSession.waits;
import static io.github.managedagents.support.FakeSession.waitsBeyond;
import static io.github.managedagents.support.Said.refusal;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.managedagents.support.FakeServer;
import io.github.managedagents.support.FakeSession.Step;
import io.github.managedagents.v1.*;
import io.grpc.Status;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** What ends a run, and what it answers, against a service that tells where a turn stands. */
@Timeout(30)
class RunTest {
    private static final Step TURN_OVER = ends(StreamEndReason.STREAM_END_REASON_TURN_OVER);

    @ParameterizedTest
    @CsvSource({
        "TURN_STOP_REASON_END_TURN, end_turn",
        "TURN_STOP_REASON_DROPPED, dropped",
        "TURN_STOP_REASON_OUTCOME_EVALUATED, outcome_evaluated",
        "TURN_STOP_REASON_COMPLETED, completed",
        "TURN_STOP_REASON_ARCHIVED, archived"
    })
    void aRunEndsWithItsTurn(TurnStopReason reason, String stopReason) throws Exception {
        ErrorEvent error = ErrorEvent.newBuilder().setMessage("too bad").build();
        TurnResult.Builder result = TurnResult.newBuilder()
                .setStopReason(reason)
                .setText("so")
                .setUsage(Usage.newBuilder().setRequests(2))
                .setError(error);
        try (FakeServer server = session(MESSAGE, waits(), message(3), over(result), TURN_OVER);
                Client client = Client.connect(server.address())) {
            RunResult run = client.run("ses_1", "go");
            assertEquals(1, run.seq());
            assertEquals(stopReason, run.stopReason());
            assertEquals("so", run.text());
            assertEquals(2, run.usage().getRequests());
            assertEquals(Optional.of(error), run.error());
            assertEquals(
                    List.of(1L, 3L),
                    run.events().stream().map(SessionEvent::getSeq).toList());
        }
    }

    @Test
    void aReasonThatIsNotKnownHereIsNoDeletion() throws Exception {
        try (FakeServer server = session(MESSAGE, over(TurnResult.newBuilder().setStopReasonValue(99)), TURN_OVER);
                Client client = Client.connect(server.address())) {
            assertEquals("", client.run("ses_1", "go").stopReason());
        }
    }

    static Stream<Arguments> deletions() {
        Step deleted = ends(StreamEndReason.STREAM_END_REASON_DELETED);
        Step gone = server -> {
            throw refusal(Status.Code.NOT_FOUND, "SESSION_NOT_FOUND");
        };
        return Stream.of(
                Arguments.of("as it runs", List.of(MESSAGE, waits(), deleted)),
                Arguments.of("as it waits", List.of(MESSAGE, waitsBeyond(calls("use_2", "slow")), deleted)),
                Arguments.of("before it was followed", List.of(gone)));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("deletions")
    void aRunEndsWithTheDeletionOfItsSession(String about, List<Step> steps) throws Exception {
        try (FakeServer server = session(steps.toArray(Step[]::new));
                Client client = Client.connect(server.address())) {
            RunOptions options = new RunOptions().tool("slow", (input, use) -> {
                new CountDownLatch(1).await();
                return "never";
            });
            RunResult run = client.run("ses_1", "go", options);
            assertEquals("deleted", run.stopReason());
            assertEquals(Optional.empty(), run.error());
            assertEquals(List.of(), run.waitsFor());
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
        try (FakeServer server = session(MESSAGE, waits(asks("use_2")), answered(1), over(), TURN_OVER);
                Client client = Client.connect(server.address())) {
            RunOptions options = new RunOptions().confirm(use -> {
                names.add(use.getName());
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
    void aUseThatWasConfirmedIsThenAnswered() throws Exception {
        PendingAction allowed = action("use_2", "bash", PendingActionKind.PENDING_ACTION_KIND_TOOL_RESULT);
        try (FakeServer server = session(
                        MESSAGE, waits(asks("use_2")), answered(1), waits(allowed), answered(2), over(), TURN_OVER);
                Client client = Client.connect(server.address())) {
            client.run(
                    "ses_1",
                    "go",
                    new RunOptions().tool("bash", (input, use) -> "made").confirm(use -> Decision.allow()));
            List<UserEvent> sent = answers(server);
            assertEquals(2, sent.size());
            assertEquals("use_2", sent.get(0).getUserToolConfirmation().getToolUseId());
            assertEquals("use_2", sent.get(1).getUserToolResult().getToolUseId());
            assertEquals("made", Events.textOf(sent.get(1).getUserToolResult().getContentList()));
        }
    }

    @Test
    void aTurnThatWaitsForWhatNobodyHereCanAnswerIsGivenBack() throws Exception {
        for (PendingAction use : List.of(asks("use_2"), calls("use_2", "theirs"))) {
            try (FakeServer server = session(MESSAGE, waitsBeyond(use));
                    Client client = Client.connect(server.address())) {
                RunOptions ours = new RunOptions().tool("ours", (input, asked) -> "ok");
                RunResult run = client.run("ses_1", "go", ours);
                assertEquals("requires_action", run.stopReason());
                assertEquals(List.of("use_2"), run.waitsFor());
                assertEquals(List.of(), answers(server));
            }
        }
    }

    @Test
    void aTurnThatWaitsForAHandlerOrADecisionHereIsNotGivenBack() throws Exception {
        CountDownLatch waited = new CountDownLatch(1);
        try (FakeServer server = session(
                        MESSAGE,
                        waitsBeyond(calls("use_2", "deploy")),
                        waitsBeyond(asks("use_3")),
                        message(3),
                        answered(1),
                        over(),
                        TURN_OVER);
                Client client = Client.connect(server.address())) {
            RunOptions options = new RunOptions()
                    .tool("deploy", (input, use) -> "late")
                    .confirm(use -> {
                        await(waited);
                        return Decision.allow();
                    })
                    .onEvent(event -> {
                        if (event.getSeq() == 3) {
                            waited.countDown();
                        }
                    });
            assertEquals("end_turn", client.run("ses_1", "go", options).stopReason());
        }
    }

    @Test
    void aUseThatIsToldOfAgainIsAnsweredOnce() throws Exception {
        PendingAction first = calls("use_2", "deploy");
        try (FakeServer server = session(
                        MESSAGE, waits(first), waits(first, calls("use_3", "deploy")), answered(2), over(), TURN_OVER);
                Client client = Client.connect(server.address())) {
            client.run("ses_1", "go", new RunOptions().tool("deploy", (input, use) -> use.getToolUseId()));
            assertEquals(
                    List.of("use_2", "use_3"),
                    answers(server).stream()
                            .map(sent ->
                                    Events.textOf(sent.getUserCustomToolResult().getContentList()))
                            .sorted()
                            .toList());
        }
    }

    @Test
    void aUseWithoutAHandlerIsLeftToOthers() throws Exception {
        PendingAction unknown =
                calls("use_4", "ours").toBuilder().setKindValue(99).build();
        try (FakeServer server = session(
                        MESSAGE,
                        waits(calls("use_2", "theirs"), unknown, calls("use_3", "ours")),
                        answered(1),
                        waits(),
                        over(),
                        TURN_OVER);
                Client client = Client.connect(server.address())) {
            client.run("ses_1", "go", new RunOptions().tool("ours", (input, use) -> "ok"));
            assertEquals(
                    List.of("use_3"),
                    answers(server).stream()
                            .map(sent -> sent.getUserCustomToolResult().getCustomToolUseId())
                            .toList());
        }
    }

    @Test
    void aTurnIsNotGivenBackForAUseThatOthersAnsweredSince() throws Exception {
        TurnResult.Builder waited = TurnResult.newBuilder()
                .setStopReason(TurnStopReason.TURN_STOP_REASON_REQUIRES_ACTION)
                .addWaitsFor("use_2");
        try (FakeServer server = session(MESSAGE, over(waited), over(), TURN_OVER);
                Client client = Client.connect(server.address())) {
            assertEquals("end_turn", client.run("ses_1", "go").stopReason());
        }
    }

    @Test
    void whatOnEventThrowsReachesTheCaller() throws Exception {
        try (FakeServer server = session(MESSAGE);
                Client client = Client.connect(server.address())) {
            RuntimeException mine = new ManagedAgentsException.NotFound();
            RunOptions options = new RunOptions().onEvent(event -> {
                throw mine;
            });
            assertSame(mine, assertThrows(RuntimeException.class, () -> client.run("ses_1", "go", options)));
        }
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException interrupted) {
            throw new AssertionError(interrupted);
        }
    }
}
