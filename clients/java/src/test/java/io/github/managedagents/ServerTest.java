package io.github.managedagents;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.protobuf.Message;
import io.github.managedagents.support.ServerProcess;
import io.github.managedagents.support.Wire;
import io.github.managedagents.v1.*;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The client against a real server process, which is killed in the middle. */
@Timeout(60)
class ServerTest {
    private static final String ASKS = "\"permission_policy\": {\"default\": \"PERMISSION_MODE_PROMPT\"}";
    private static final String AT_CLIENT = "\"tool_host\": \"TOOL_HOST_CLIENT\"";
    private static final String QUICK = "\"custom_tool_timeout\": \"0.05s\"";

    @TempDir
    private Path folder;

    private ServerProcess server;
    private Client client;

    @BeforeEach
    void start() throws Exception {
        server = new ServerProcess(folder.resolve("log.db"), List.of("--limit", "deadline_grace=0"));
        client = Client.connect(server.address());
    }

    @AfterEach
    void stop() {
        client.close();
        server.close();
    }

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
                .tools(Map.of("a", meet, "b", meet))
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
        assertEquals(Set.of("{\"of\":\"a\"}", "{\"of\":\"b\"}", "IllegalStateException: broken"), told);
    }

    @Test
    void aRunAndAFollowGoOnOverAKilledServer() throws Exception {
        String session = session(List.of(calls("slow"), "{\"text\": \"done\", \"delay\": \"1s\"}"), List.of("slow"));
        CountDownLatch atWork = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        Set<String> uses = ConcurrentHashMap.newKeySet();
        AtomicInteger calls = new AtomicInteger();
        ToolHandler slow = (input, use) -> {
            uses.add(use.id());
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
    void aMessageWhoseAnswerWasLostIsInTheLogOnce() throws Exception {
        String session = session(List.of(says("hi")), List.of());
        try (Wire wire = new Wire(server.address());
                Client far = Client.connect(wire.address())) {
            far.status(session);
            wire.loseAnswers();
            FutureTask<Long> sent = started(() -> far.send(session, "hello"));
            waitFor(session, SessionEvent::hasUserMessage);
            wire.cut();
            assertEquals(1, sent.get());
        }
        client.archive(session);
        long messages = client.events(
                        ListEventsRequest.newBuilder().setSessionId(session).build())
                .filter(SessionEvent::hasUserMessage)
                .count();
        assertEquals(1, messages);
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
            client.send(session, Events.confirmation(use.id(), Decision.allow()));
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

    @Test
    void aSessionThatIsDeletedEndsItsRunsAndFollows() throws Exception {
        String session = session(List.of("{\"text\": \"slow\", \"delay\": \"60s\"}"), List.of());
        Follow<SessionEvent> events = client.follow(session, 0);
        FutureTask<RunResult> run = started(() -> client.run(session, "one"));
        events.next();
        client.deleteSession(session);
        assertEquals("deleted", run.get().stopReason());
        events.forEachRemaining(event -> {});
        assertEquals(
                StreamEndReason.STREAM_END_REASON_DELETED,
                events.ended().orElseThrow().getReason());
        var error = assertThrows(ManagedAgentsException.NotFound.class, () -> client.status(session));
        assertEquals("SESSION_NOT_FOUND", error.reason());
    }

    @Test
    void aSeqBeyondTheHeadThrows() {
        String session = session(List.of(says("hi")), List.of());
        var error = assertThrows(
                ManagedAgentsException.FromSeqBeyondHead.class,
                () -> client.follow(session, 99).hasNext());
        assertEquals("0", error.metadata().get("head_seq"));
    }

    @Test
    void everyCallOfTheClientWorks() {
        AgentDefinition definition = Definitions.parse("""
                {"name": "n", "model": {"scripted": {"responses": [{"text": "hi"}]}}, "metadata": {"k": "v"}}""");
        String agent = client.create(definition).getAgentId();
        assertEquals(
                2,
                client.updateAgent(UpdateAgentRequest.newBuilder()
                                .setAgentId(agent)
                                .setVersion(1)
                                .setDefinition(definition)
                                .build())
                        .getVersion());
        Agent first = client.getAgent(GetAgentRequest.newBuilder()
                        .setAgentId(agent)
                        .setVersion(1)
                        .build())
                .getAgent();
        assertEquals("n", first.getDefinition().getName());
        var all = ListAgentsRequest.newBuilder().putMetadata("k", "v").build();
        assertEquals(List.of(2L), client.agents(all).map(Agent::getVersion).toList());
        String session = client.startSession(agent, Events.message("hello")).getSessionId();
        assertTrue(client.pause(session).getSeq() > 0);
        assertTrue(client.status(session).getPaused());
        assertTrue(client.resume(session).getSeq() > 0);
        assertEquals("hi", client.run(session, "again").text());
        var one = GetSessionRequest.newBuilder().setSessionId(session).build();
        assertEquals(agent, client.getSession(one).getSession().getAgentId());
        var sessions = ListSessionsRequest.newBuilder().setAgentId(agent).build();
        assertEquals(
                List.of(session),
                client.sessions(sessions).map(Session::getSessionId).toList());
        long head = client.status(session).getHeadSeq();
        var events = ListEventsRequest.newBuilder()
                .setSessionId(session)
                .setFromSeq(1)
                .setPageSize(2)
                .build();
        assertEquals(
                seqs(2, head), client.events(events).map(SessionEvent::getSeq).toList());
        assertEquals(head + 1, client.archive(session).getSeq());
        assertThrows(ManagedAgentsException.SessionTerminal.class, () -> client.send(session, "too late"));
        client.archiveAgent(ArchiveAgentRequest.newBuilder().setAgentId(agent).build());
        assertEquals(0, client.agents(ListAgentsRequest.getDefaultInstance()).count());
        var bad = assertThrows(
                ManagedAgentsException.InvalidRequest.class,
                () -> client.create(AgentDefinition.newBuilder().setName("x").build()));
        assertEquals("definition.model", bad.violations().get(0).field());
    }

    @Test
    void deltasJoinToTheTextThatFollows() {
        String words = "one two three four five six seven";
        String session = session(List.of("{\"text\": \"" + words + "\", \"delay\": \"0.5s\"}"), List.of());
        var all = StreamEventsRequest.newBuilder()
                .setSessionId(session)
                .setFromSeq(0)
                .build();
        StringBuilder told = new StringBuilder();
        try (Follow<Message> items = client.followWithDeltas(all)) {
            client.send(session, "go");
            for (Message item : items) {
                if (item instanceof StreamDelta delta) {
                    told.append(delta.getText());
                } else if (item instanceof SessionEvent event && event.hasAgentMessage()) {
                    break;
                }
            }
        }
        assertFalse(told.isEmpty());
        assertTrue(words.startsWith(told.toString()), told.toString());
    }

    /** A session of an agent with these responses, custom tools and further fields, and a shell. */
    private String session(List<String> responses, List<String> tools, String... more) {
        JsonArray offered = new JsonArray();
        for (String tool : tools) {
            JsonObject custom = new JsonObject();
            custom.addProperty("name", tool);
            JsonObject offer = new JsonObject();
            offer.add("custom", custom);
            offered.add(offer);
        }
        if (List.of(more).contains(AT_CLIENT)) {
            JsonObject bash = new JsonObject();
            bash.add("bash", new JsonObject());
            offered.add(bash);
        }
        String fields = more.length == 0 ? "" : ", " + String.join(", ", more);
        String definition = "{\"name\": \"test\", \"model\": {\"scripted\": {\"responses\": " + responses
                + "}}, \"tools\": " + offered + fields + "}";
        String agent = client.create(Definitions.parse(definition)).getAgentId();
        return client.startSession(agent).getSessionId();
    }

    private static String says(String text) {
        return "{\"text\": \"" + text + "\"}";
    }

    private static String calls(String... names) {
        return List.of(names).stream()
                .map(name -> "{\"name\": \"" + name + "\", \"input\": {\"of\": \"" + name + "\"}}")
                .collect(Collectors.joining(", ", "{\"text\": \"wait\", \"tool_calls\": [", "]}"));
    }

    private static String shell(String command) {
        return "{\"tool_calls\": [{\"name\": \"bash\", \"input\": {\"command\": \"" + command + "\"}}]}";
    }

    private void waitFor(String session, java.util.function.Predicate<SessionEvent> wanted) {
        try (Follow<SessionEvent> events = client.follow(session, 0)) {
            for (SessionEvent event : events) {
                if (wanted.test(event)) {
                    return;
                }
            }
        }
        throw new AssertionError("the session is over");
    }

    private static List<Long> seqs(long first, long last) {
        return LongStream.rangeClosed(first, last).boxed().toList();
    }

    private static <T> FutureTask<T> started(Callable<T> callable) {
        FutureTask<T> task = new FutureTask<>(callable);
        new Thread(task).start();
        return task;
    }
}
