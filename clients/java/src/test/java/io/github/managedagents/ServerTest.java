package io.github.managedagents;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Message;
import io.github.managedagents.support.Wire;
import io.github.managedagents.v1.*;
import java.util.List;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The client against a real server process, which is killed in the middle. */
@Timeout(60)
class ServerTest extends OnServer {
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
                .setIncludeDeltas(true)
                .build();
        StringBuilder told = new StringBuilder();
        try (Follow<Message> items = client.followItems(all)) {
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
}
