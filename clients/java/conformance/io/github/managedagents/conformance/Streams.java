package io.github.managedagents.conformance;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.protobuf.Message;
import io.github.managedagents.Client;
import io.github.managedagents.EventStream;
import io.github.managedagents.Events;
import io.github.managedagents.ManagedAgentsException;
import io.github.managedagents.v1.ListEventsRequest;
import io.github.managedagents.v1.SessionEvent;
import io.github.managedagents.v1.StreamEventsResponse;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** The streams of a scenario, one at a time: each as it is, without a follow that hides where one ends. */
final class Streams {
    /** What the stream gave and no step has looked at: an event alone, or another message by the name of its field. */
    private record Unread(String field, Message item) {}

    private final List<String> said;
    private final Lines lines;
    private final Requests requests;
    private final Deque<Unread> unread = new ArrayDeque<>();
    private EventStream stream;
    private long lastSeq;

    Streams(List<String> said, Lines lines, Requests requests) {
        this.said = said;
        this.lines = lines;
        this.requests = requests;
    }

    boolean isOpen() {
        return stream != null;
    }

    /** Of the event that was read last; 0: none was. */
    long lastSeq() {
        return lastSeq;
    }

    /** Another session is the last one. */
    void beginAnew() {
        hangUp();
        lastSeq = 0;
    }

    /** Opens a stream in the place of the one before, and reads its first message. */
    void follow(Client client, JsonObject given, long fromSeq) {
        hangUp();
        if (!given.has("from_seq")) {
            given.addProperty("from_seq", fromSeq);
        }
        stream = client.stream(requests.stream(given));
        try {
            String logId = stream.read().getOpened().getLogId();
            said.add("follow " + lines.stable(logId, "logId"));
        } catch (ManagedAgentsException error) {
            said.add("follow " + lines.failure(error));
        }
    }

    void hangUp() {
        if (stream != null) {
            stream.close();
        }
        stream = null;
        unread.clear();
    }

    /** Reads up to what is waited for, or to the end. */
    void waitFor(Client client, JsonObject given) {
        if (stream == null) {
            follow(client, new JsonObject(), 0);
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
    void replay(Client client) {
        List<String> log = log(client, requests.session());
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

    private List<String> log(Client client, String session) {
        return client.events(ListEventsRequest.newBuilder()
                        .setSessionId(session)
                        .setPageSize(1000)
                        .build())
                .map(lines::event)
                .toList();
    }

    /** How many events the session's log has, and those that were not told before. */
    void tellLog(Client client, String session) {
        String name = lines.stable(session, "");
        try {
            List<String> log = log(client, session);
            Set<String> told = new HashSet<>(said);
            said.add("log " + name + " " + log.size() + " events");
            log.stream().filter(line -> !told.contains(line)).forEach(said::add);
        } catch (ManagedAgentsException error) {
            said.add("log " + name + " " + lines.failure(error));
        }
    }
}
