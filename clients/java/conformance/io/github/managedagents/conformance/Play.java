package io.github.managedagents.conformance;

import com.google.gson.JsonObject;
import com.google.protobuf.Message;
import io.github.managedagents.Client;
import io.github.managedagents.ClientBuilder;
import io.github.managedagents.ManagedAgentsException;
import io.github.managedagents.RunResult;
import io.github.managedagents.v1.CreateResponse;
import io.github.managedagents.v1.ListEventsResponse;
import io.github.managedagents.v1.StartSessionResponse;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Plays one scenario through the client, and gathers its lines. */
final class Play implements AutoCloseable {
    private final List<String> said = new ArrayList<>();
    private final Lines lines = new Lines();
    private final List<String> sessions = new ArrayList<>();
    private final Requests requests;
    private final Streams streams;
    private final Keeping keeping = new Keeping(said, lines);
    private final OwnServer server;
    private Client client;

    Play(JsonObject agent, OwnServer server) {
        this.requests = new Requests(agent);
        this.streams = new Streams(said, lines, requests);
        this.server = server;
        connect(new JsonObject());
    }

    List<String> lines() {
        return said;
    }

    void step(String verb, JsonObject step) throws IOException, InterruptedException {
        JsonObject given = lines.withIds(step);
        switch (verb) {
            case "connect" -> connectAnew(given);
            case "follow" -> streams.follow(client, given, 0);
            case "reconnect" -> streams.follow(client, given, streams.lastSeq());
            case "wait_for" -> streams.waitFor(client, given);
            case "replay" -> streams.replay(client);
            case "keep_following" -> keeping.goOn(client, requests.session(), given);
            case "run" -> run(given);
            case "by_hand" -> {
                server.byHand(given);
                said.add("by_hand " + given.get("does").getAsString());
            }
            case "start_again" -> {
                server.process().start();
                said.add("start_again");
            }
            case "stop" -> kill(verb);
            case "kill" -> {
                kill(verb);
                server.process().start();
                connectAnew(new JsonObject());
            }
            case "terminate" -> terminate();
            default -> call(verb, Steps.spelledOut(verb, given));
        }
    }

    void tellLogs() {
        sessions.forEach(session -> streams.tellLog(client, session));
    }

    @Override
    public void close() {
        streams.hangUp();
        keeping.leave();
        client.close();
    }

    /** Without patience a refusal is seen as it is: nothing is asked again. */
    private void connect(JsonObject given) {
        double seconds = given.has("patience") ? given.get("patience").getAsDouble() : 0;
        Duration patience = Duration.ofMillis(Math.round(seconds * 1000));
        ClientBuilder builder = Client.builder(server.process().address())
                .connectTimeout(patience)
                .patience(patience);
        if (given.has("token")) {
            builder.token(given.get("token").getAsString());
        }
        client = builder.build();
    }

    private void connectAnew(JsonObject given) {
        close();
        connect(given);
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
                keeping.leave();
                streams.beginAnew();
            }
        } catch (ManagedAgentsException error) {
            said.add(verb + " " + lines.failure(error));
        }
    }

    private void run(JsonObject given) {
        String session = given.has("session_id") ? given.get("session_id").getAsString() : requests.session();
        try {
            Optional<RunResult> result = Running.play(client, session, given);
            result.ifPresent(ran -> ran.events().stream().map(lines::event).forEach(said::add));
            said.add("run " + result.map(lines::run).orElse("gave up"));
        } catch (ManagedAgentsException error) {
            said.add("run " + lines.failure(error));
        }
    }

    private void kill(String verb) {
        streams.hangUp();
        server.process().kill();
        said.add(verb);
    }

    private void terminate() throws IOException {
        server.process().terminate();
        if (streams.isOpen()) {
            JsonObject end = new JsonObject();
            end.addProperty("message", "ended");
            streams.waitFor(client, end);
        }
        said.add("terminate " + server.process().exit());
        server.process().start();
        connectAnew(new JsonObject());
    }
}
