package io.github.managedagents;

import static io.github.managedagents.support.FakeSession.DONE;
import static io.github.managedagents.support.FakeSession.idle;
import static io.github.managedagents.support.FakeSession.judged;
import static io.github.managedagents.support.FakeSession.of;
import static io.github.managedagents.support.FakeSession.session;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.google.protobuf.Duration;
import io.github.managedagents.support.FakeServer;
import io.github.managedagents.v1.*;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What ends the run of an outcome, against a service that says what a session would say. */
@Timeout(30)
class RunOutcomeTest {
    private static final SessionEvent DEFINED = of(1).setUserDefineOutcome(
                    Events.outcome("good").getUserDefineOutcome())
            .build();
    private static final SessionEvent RUNNING =
            of(1).setStatusRunning(StatusRunning.getDefaultInstance()).build();
    private static final SessionEvent COMPLETED =
            of(0).setStatusCompleted(StatusCompleted.getDefaultInstance()).build();
    private static final SessionEvent ARCHIVED =
            of(0).setStatusArchived(StatusArchived.getDefaultInstance()).build();

    static Stream<Arguments> ends() {
        var endTurn = StopReason.newBuilder().setEndTurn(EndTurn.getDefaultInstance());
        var notMet = StopReason.newBuilder().setMaxOutcomeIterations(MaxOutcomeIterations.getDefaultInstance());
        var refused = StopReason.newBuilder().setRefusal(Refusal.getDefaultInstance());
        var interrupted = StopReason.newBuilder().setInterrupted(Interrupted.getDefaultInstance());
        var dropped =
                StopReason.newBuilder().setInterrupted(Interrupted.newBuilder().addDroppedSeqs(1));
        var waits = StopReason.newBuilder()
                .setRequiresAction(RequiresAction.newBuilder().addIds("use_5"));
        return Stream.of(
                Arguments.of(
                        "met at the second",
                        "completed",
                        List.of(1L, 2L, 3L, 4L, 5L),
                        List.of(DEFINED, RUNNING, judged(1, false), says(3, "better"), judged(3, true), COMPLETED)),
                Arguments.of(
                        "not met",
                        "max_outcome_iterations",
                        List.of(1L, 2L, 3L, 4L),
                        List.of(DEFINED, RUNNING, judged(1, false), idle(1, notMet))),
                Arguments.of(
                        "a message within it, and what that led to is judged",
                        "refusal",
                        List.of(1L, 2L, 3L, 5L, 6L),
                        List.of(DEFINED, RUNNING, DONE, says(9, "to you"), judged(9, false), idle(5, refused))),
                Arguments.of(
                        "an interrupt of another turn",
                        "interrupted",
                        List.of(1L, 2L, 3L),
                        List.of(DEFINED, RUNNING, judged(1, false), idle(9, endTurn), idle(9, interrupted))),
                Arguments.of(
                        "another turn that waits",
                        "archived",
                        List.of(1L, 2L, 3L, 5L),
                        List.of(DEFINED, RUNNING, judged(1, false), idle(9, waits), judged(3, true), ARCHIVED)),
                Arguments.of(
                        "dropped before it began",
                        "dropped",
                        List.of(1L),
                        List.of(DEFINED, idle(9, interrupted), idle(9, dropped))));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("ends")
    void theRunOfAnOutcomeEndsWhereTheOutcomeDoes(
            String about, String stopReason, List<Long> seqs, List<SessionEvent> log) throws Exception {
        RunResult result = works(log);
        assertEquals(stopReason, result.stopReason());
        assertEquals(seqs, result.events().stream().map(SessionEvent::getSeq).toList());
    }

    @Test
    void theRunOfAnOutcomeSumsUpWhatItsTurnsCost() throws Exception {
        RunResult result = works(List.of(
                DEFINED,
                RUNNING,
                costs(says(1, "done"), 5),
                costs(says(9, "hello"), 7),
                costs(judged(1, true), 0),
                COMPLETED));
        assertEquals("done", result.text());
        assertEquals(2, result.usage().getRequests());
        assertEquals(5, result.usage().getOutputTokens());
        assertEquals(4, result.usage().getModelTime().getSeconds());
    }

    private static RunResult works(List<SessionEvent> log) throws Exception {
        try (FakeServer server = session(log);
                Client client = Client.connect(server.address())) {
            return client.run("ses_1", Events.outcome("good"), new RunOptions());
        }
    }

    private static SessionEvent says(long turn, String words) {
        return of(turn).setAgentMessage(AgentMessage.newBuilder().addContent(Events.text(words)))
                .build();
    }

    private static SessionEvent costs(SessionEvent event, long tokens) {
        Usage usage = Usage.newBuilder()
                .setRequests(1)
                .setOutputTokens(tokens)
                .setModelTime(Duration.newBuilder().setSeconds(2))
                .build();
        return event.toBuilder()
                .setResponse(ModelResponse.newBuilder().setUsage(usage))
                .build();
    }
}
