package io.github.managedagents;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.managedagents.v1.*;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Runs on a real server process, which is killed in the middle. */
@Timeout(60)
class ServerRunTest extends OnServer {
    @Test
    void aRunAnswersToolsAtOnceAndGivesTheLastWords() {
        String session = session(List.of(calls("a", "b", "broken"), says("done")), List.of("a", "b", "broken"));
        CyclicBarrier both = new CyclicBarrier(2);
        ToolHandler meet = (input, use) -> {
            both.await();
            return input;
        };
        List<Long> seen = new ArrayList<>();
        RunOptions options = new RunOptions()
                .tool("a", meet)
                .tool("b", meet)
                .tool("broken", (input, use) -> {
                    throw new IllegalStateException("broken");
                })
                .onEvent(event -> seen.add(event.getSeq()));
        RunResult result = client.run(session, "go", options);
        assertEquals("end_turn", result.stopReason());
        assertEquals("done", result.text());
        assertEquals(2, result.usage().getRequests());
        assertEquals(seqs(1, seen.size()), seen);
        assertEquals(seen, result.events().stream().map(SessionEvent::getSeq).toList());
        Set<String> told = result.events().stream()
                .filter(SessionEvent::hasUserCustomToolResult)
                .map(event -> Events.textOf(event.getUserCustomToolResult().getContentList()))
                .collect(Collectors.toSet());
        assertEquals(Set.of("{\"of\":\"a\"}", "{\"of\":\"b\"}", "The tool failed: broken"), told);
    }

    @Test
    void aRunAndAFollowGoOnOverAKilledServer() throws Exception {
        String session = session(List.of(calls("slow"), "{\"text\": \"done\", \"delay\": \"1s\"}"), List.of("slow"));
        CountDownLatch atWork = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        Set<String> uses = ConcurrentHashMap.newKeySet();
        AtomicInteger calls = new AtomicInteger();
        ToolHandler slow = (input, use) -> {
            uses.add(use.getToolUseId());
            calls.incrementAndGet();
            atWork.countDown();
            goOn.await();
            return "ok";
        };
        FutureTask<List<Long>> following = started(() -> {
            List<Long> seqs = new ArrayList<>();
            client.follow(session, 0).forEachRemaining(event -> seqs.add(event.getSeq()));
            return seqs;
        });
        FutureTask<RunResult> run = started(() -> client.run(session, "go", new RunOptions().tool("slow", slow)));
        atWork.await();
        server.kill();
        goOn.countDown();
        server.start();
        waitFor(session, SessionEvent::hasUserCustomToolResult);
        server.kill();
        server.start();
        RunResult result = run.get();
        assertEquals("end_turn", result.stopReason());
        assertEquals("done", result.text());
        assertEquals(1, calls.get());
        assertEquals(1, uses.size());
        assertEquals(seqs(1, client.archive(session).getSeq()), following.get());
    }

    @Test
    void aUseThatAnEarlierProcessLeftOpenIsAnsweredFirst() {
        String session = session(List.of(calls("a"), says("first"), says("second")), List.of("a"));
        client.send(session, "one");
        waitFor(session, SessionEvent::hasAgentCustomToolUse);
        RunResult result = client.run(session, "two", new RunOptions().tool("a", (input, use) -> "ok"));
        assertEquals("second", result.text());
    }

    @Test
    void aUseWithoutAHandlerIsLeftOpenAndItsTurnGivenBack() {
        String session = session(List.of(calls("a"), says("done")), List.of("a"), QUICK);
        RunResult result = client.run(session, "go");
        assertEquals("requires_action", result.stopReason());
        assertEquals(1, result.waitsFor().size());
        assertEquals(
                result.waitsFor().get(0),
                client.status(session).getPendingActions(0).getToolUseId());
    }

    @Test
    void aRunOfAnOutcomeAnswersWhatItsTurnsAskForAndEndsWithIt() {
        String session = session(
                List.of(calls("a"), says("draft"), calls("a"), says("story")),
                List.of("{\"reason\": \"it has no end\"}", "{\"met\": true}"),
                List.of("a"));
        RunOptions options = new RunOptions().tool("a", (input, use) -> "ok");
        RunResult result = client.run(session, Events.outcome("a story with an end", 5), options);
        assertEquals("completed", result.stopReason());
        assertEquals("story", result.text());
        assertEquals(5, result.events().get(0).getUserDefineOutcome().getMaxIterations());
        assertEquals(6, result.usage().getRequests());
        assertEquals(
                2,
                result.events().stream()
                        .filter(SessionEvent::hasUserCustomToolResult)
                        .count());
    }

    @Test
    void anOutcomeThatIsNeverMetSaysSoAndASecondOneIsRefusedMeanwhile() {
        String session =
                session(List.of(calls("a"), says("draft")), List.of("{\"reason\": \"it has no end\"}"), List.of("a"));
        RunOptions options = new RunOptions().tool("a", (input, use) -> {
            assertThrows(
                    ManagedAgentsException.OutcomeActive.class, () -> client.send(session, Events.outcome("another")));
            return "refused";
        });
        RunResult result = client.run(session, Events.outcome("a story with an end", 1), options);
        assertEquals("max_outcome_iterations", result.stopReason());
        assertEquals(
                List.of("refused"),
                result.events().stream()
                        .filter(SessionEvent::hasUserCustomToolResult)
                        .map(event ->
                                Events.textOf(event.getUserCustomToolResult().getContentList()))
                        .toList());
    }

    @Test
    void aUseIsAnsweredAfterItsDeadline() {
        String session = session(List.of(calls("late"), says("done")), List.of("late"), QUICK);
        CountDownLatch waits = new CountDownLatch(1);
        RunOptions options = new RunOptions()
                .tool("late", (input, use) -> {
                    waits.await();
                    return "ok";
                })
                .onEvent(event -> {
                    if (event.getStatusIdle().getStopReason().hasRequiresAction()) {
                        waits.countDown();
                    }
                });
        assertEquals("done", client.run(session, "go", options).text());
    }

    @Test
    void whatConfirmDeniesIsToldAndWithoutConfirmTheUseIsGivenBack() {
        String session = session(List.of(shell("echo no"), says("done")), List.of(), ASKS, AT_CLIENT);
        RunOptions denies = new RunOptions().confirm(use -> Decision.deny("Not this one."));
        RunResult result = client.run(session, "go", denies);
        assertEquals("done", result.text());
        assertEquals(
                List.of("Not this one."),
                result.events().stream()
                        .filter(SessionEvent::hasAgentToolResult)
                        .map(event -> Events.textOf(event.getAgentToolResult().getContentList()))
                        .toList());
        String other = session(List.of(shell("echo no"), says("done")), List.of(), ASKS, AT_CLIENT, QUICK);
        assertEquals("requires_action", client.run(other, "go").stopReason());
    }

    @Test
    void aToolAtTheClientThatAsksIsConfirmedAndThenAnswered() {
        String session = session(List.of(shell("pwd"), says("done")), List.of(), ASKS, AT_CLIENT);
        RunOptions options = new RunOptions()
                .confirm(use -> Decision.allow())
                .tool("bash", (input, use) -> "ran " + input.get("command"));
        RunResult result = client.run(session, "go", options);
        assertEquals("done", result.text());
        assertEquals(
                List.of("user.message", "user.tool_confirmation", "user.tool_result"),
                result.events().stream()
                        .map(Events::kindOf)
                        .filter(kind -> kind.startsWith("user."))
                        .toList());
        assertEquals(
                List.of("ran pwd"),
                result.events().stream()
                        .filter(SessionEvent::hasUserToolResult)
                        .map(event -> Events.textOf(event.getUserToolResult().getContentList()))
                        .toList());
    }

    @Test
    void whatAnEarlierProcessLeftToBeConfirmedIsConfirmedAndAnsweredFirst() throws Exception {
        String session = session(List.of(shell("pwd"), says("first"), says("second")), List.of(), ASKS, AT_CLIENT);
        client.send(session, "one");
        waitFor(session, SessionEvent::hasAgentToolUse);
        server.kill();
        server.start();
        RunOptions options = new RunOptions().confirm(use -> Decision.allow()).tool("bash", (input, use) -> "ok");
        assertEquals("second", client.run(session, "two", options).text());
    }

    @Test
    void aConfirmThatSomebodyElseWasFasterThanHoldsNothingUp() throws Exception {
        String session = session(List.of(shell("pwd"), says("done")), List.of(), ASKS, AT_CLIENT);
        CountDownLatch stopped = new CountDownLatch(1);
        RunOptions options = new RunOptions().tool("bash", (input, use) -> "ok").confirm(use -> {
            client.send(session, Events.confirmation(use.getToolUseId(), Decision.allow()));
            try {
                new CountDownLatch(1).await();
            } catch (InterruptedException interrupted) {
                stopped.countDown();
            }
            return Decision.deny();
        });
        assertEquals("done", client.run(session, "go", options).text());
        stopped.await();
    }

    @Test
    void anInterruptOfTheSessionStopsTheHandlerAndEndsTheRun() throws Exception {
        String session = session(List.of(calls("a"), says("done")), List.of("a"));
        CountDownLatch stopped = new CountDownLatch(1);
        RunOptions options = new RunOptions().tool("a", (input, use) -> {
            client.interrupt(session);
            try {
                new CountDownLatch(1).await();
            } finally {
                stopped.countDown();
            }
            return "never";
        });
        assertEquals("interrupted", client.run(session, "go", options).stopReason());
        stopped.await();
    }

    @Test
    void aDroppedMessageEndsItsRun() throws Exception {
        String session = session(List.of("{\"text\": \"slow\", \"delay\": \"60s\"}"), List.of());
        client.send(session, "one");
        FutureTask<RunResult> run = started(() -> client.run(session, "two"));
        waitFor(
                session,
                event -> Events.textOf(event.getUserMessage().getContentList()).equals("two"));
        client.interrupt(InterruptRequest.newBuilder()
                .setSessionId(session)
                .setDropQueued(true)
                .build());
        assertEquals("dropped", run.get().stopReason());
    }
}
