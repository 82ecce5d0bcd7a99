package io.github.managedagents.conformance;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.protobuf.Message;
import io.github.managedagents.Client;
import io.github.managedagents.EventStream;
import io.github.managedagents.Events;
import io.github.managedagents.ManagedAgentsException;
import io.github.managedagents.RunResult;
import io.github.managedagents.support.ServerProcess;
import io.github.managedagents.v1.*;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Plays one scenario through the client, and gathers its lines. */
final class Play implements AutoCloseable {
    /** What the stream gave and no step has looked at: an event alone, or another message by the name of its field. */
    private record Unread(String field, Message item) {}

    private final List<String> said = new ArrayList<>();
    private final Lines lines = new Lines();
    private final List<String> sessions = new ArrayList<>();
    private final Deque<Unread> unread = new ArrayDeque<>();
    private final Requests requests;
    private final ServerProcess server;
    private Client client;
    private EventStream stream;
    private long lastSeq;

    Play(JsonObject agent, ServerProcess server) {
        this.requests = new Requests(agent);
        this.server = server;
        connect();
    }

    List<String> lines() {
        return said;
    }

    void step(String verb, JsonObject step) throws IOException {
        JsonObject given = lines.withIds(step);
        switch (verb) {
            case "follow" -> follow(given, 0);
            case "reconnect" -> follow(given, lastSeq);
            case "wait_for" -> waitFor(given);
            case "replay" -> replay();
            case "kill" -> {
                hangUp();
                server.kill();
                said.add("kill");
                startAgain();
            }
            case "terminate" -> terminate();
            case "run" -> run(given);
            default -> call(verb, Steps.spelledOut(verb, given));
        }
    }

    /** How many events each session's log has in the end, and those that were not told before. */
    void tellLogs() {
        for (String session : sessions) {
            String name = lines.stable(session, "");
            try {
                List<String> log = log(session);
                Set<String> told = new HashSet<>(said);
                said.add("log " + name + " " + log.size() + " events");
                log.stream().filter(line -> !told.contains(line)).forEach(said::add);
            } catch (ManagedAgentsException error) {
                said.add("log " + name + " " + lines.refusal(error));
            }
        }
    }

    @Override
    public void close() {
        hangUp();
        client.close();
    }

    /** A refusal is to be seen as it is: nothing is asked again. */
    private void connect() {
        client = Client.builder(server.address())
                .connectTimeout(Duration.ZERO)
                .patience(Duration.ZERO)
                .build();
    }

    private void call(String verb, JsonObject given) {
        try {
            Message response = requests.answer(client, verb, given);
            if (response instanceof ListEventsResponse page) {
                page.getEventsList().stream().map(lines::event).forEach(said::add);
                response = page.toBuilder().clearEvents().build();
            }
            said.add(verb + " " + Lines.dump(lines.message(response)));
            if (response instanceof CreateResponse created) {
                requests.agentIs(created.getAgentId());
            } else if (response instanceof StartSessionResponse started && !sessions.contains(started.getSessionId())) {
                requests.sessionIs(started.getSessionId());
                sessions.add(started.getSessionId());
                hangUp();
                lastSeq = 0;
            }
        } catch (ManagedAgentsException error) {
            said.add(verb + " " + lines.refusal(error));
        }
    }

    private void run(JsonObject given) {
        String session = given.has("session_id") ? given.get("session_id").getAsString() : requests.session();
        try {
            Optional<RunResult> result = Running.play(client, session, given);
            result.ifPresent(ran -> ran.events().stream().map(lines::event).forEach(said::add));
            said.add("run " + result.map(lines::run).orElse("gave up"));
        } catch (ManagedAgentsException error) {
            said.add("run " + lines.refusal(error));
        }
    }

    private void follow(JsonObject given, long fromSeq) {
        hangUp();
        if (!given.has("from_seq")) {
            given.addProperty("from_seq", fromSeq);
        }
        stream = client.stream(requests.stream(given));
        try {
            String logId = stream.read().getOpened().getLogId();
            said.add("follow " + lines.stable(logId, "logId"));
        } catch (ManagedAgentsException error) {
            said.add("follow " + lines.refusal(error));
        }
    }

    private void hangUp() {
        if (stream != null) {
            stream.close();
        }
        stream = null;
        unread.clear();
    }

    private void waitFor(JsonObject given) {
        if (stream == null) {
            follow(new JsonObject(), 0);
        }
        String kind = given.has("kind") ? given.get("kind").getAsString() : "";
        String message = given.has("message") ? given.get("message").getAsString() : "";
        JsonElement wanted = given.has("has") ? given.get("has") : new JsonObject();
        while (true) {
            Unread next;
            try {
                next = read();
            } catch (ManagedAgentsException closed) {
                said.add("cut");
                return;
            }
            if (next.item() instanceof SessionEvent event) {
                said.add(lines.event(event));
                if (Events.kindOf(event).equals(kind) && Lines.has(lines.payload(event), wanted)) {
                    return;
                }
            } else if (tells(next, message, wanted)) {
                return;
            }
        }
    }

    /** Whether it is the message that was waited for, or the end. Nothing of any other is named: it came by chance. */
    private boolean tells(Unread next, String message, JsonElement wanted) {
        boolean ended = next.field().equals("ended");
        if (!ended && !next.field().equals(message)) {
            return false;
        }
        JsonObject told = lines.message(next.item());
        if (!ended && !Lines.has(told, wanted)) {
            return false;
        }
        if (next.field().equals("delta")) {
            // How much of the answer is in it is a matter of chance.
            told.keySet().retainAll(Set.of("attempt", "responseId"));
        }
        said.add(next.field() + " " + Lines.dump(told));
        return true;
    }

    /** Events one by one, and whole messages of the other kinds. */
    private Unread read() {
        while (unread.isEmpty()) {
            StreamEventsResponse message = stream.read();
            if (message.hasBatch()) {
                message.getBatch().getEventsList().forEach(event -> unread.add(new Unread("event", event)));
            } else {
                message.getAllFields()
                        .forEach((field, item) -> unread.add(new Unread(field.getName(), (Message) item)));
            }
        }
        Unread next = unread.remove();
        if (next.item() instanceof SessionEvent event) {
            lastSeq = event.getSeq();
        }
        return next;
    }

    /** From every position what comes is the rest of the log. */
    private void replay() {
        List<String> log = log(requests.session());
        for (int start = 0; start <= log.size(); start++) {
            JsonObject given = new JsonObject();
            given.addProperty("from_seq", start);
            List<String> rest = new ArrayList<>();
            try (EventStream from = client.stream(requests.stream(given))) {
                StreamEventsResponse message;
                do {
                    message = from.read();
                    message.getBatch().getEventsList().stream()
                            .map(lines::event)
                            .forEach(rest::add);
                } while (!message.hasCaughtUp());
            }
            if (!rest.equals(log.subList(start, log.size()))) {
                said.add("replay differs from " + start);
            }
        }
        said.add("replay " + log.size() + " events");
    }

    private List<String> log(String session) {
        return client.events(ListEventsRequest.newBuilder()
                        .setSessionId(session)
                        .setPageSize(1000)
                        .build())
                .map(lines::event)
                .toList();
    }

    private void terminate() throws IOException {
        server.terminate();
        if (stream != null) {
            JsonObject end = new JsonObject();
            end.addProperty("message", "ended");
            waitFor(end);
        }
        said.add("terminate " + server.exit());
        hangUp();
        startAgain();
    }

    private void startAgain() throws IOException {
        client.close();
        server.start();
        connect();
    }
}
