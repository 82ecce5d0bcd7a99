package io.github.managedagents.conformance;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** A scenario of tests/conformance, whose README.md says what it means. */
final class Scenario {
    private static final long PATIENCE_SECONDS = 60;

    private static final List<String> TO_ITS_SERVER = List.of("kill", "terminate", "stop", "start_again", "by_hand");

    private final JsonObject scenario;

    Scenario(Path file) throws IOException {
        scenario = JsonParser.parseString(Files.readString(file)).getAsJsonObject();
    }

    String name() {
        return scenario.get("name").getAsString();
    }

    /** How its server is started. */
    List<String> flags() {
        List<String> flags = new ArrayList<>();
        if (scenario.has("server")) {
            JsonObject server = scenario.getAsJsonObject("server");
            if (server.has("flags")) {
                server.getAsJsonArray("flags").forEach(flag -> flags.add(flag.getAsString()));
            }
            if (server.has("limits")) {
                server.getAsJsonObject("limits")
                        .asMap()
                        .forEach((name, value) -> flags.add("--limit=" + name + "=" + value.getAsString()));
            }
        }
        return flags;
    }

    /** Whether it does to its server what others should not feel. */
    boolean hasItsOwnServer() {
        return steps().stream().anyMatch(step -> TO_ITS_SERVER.stream().anyMatch(step::has));
    }

    /** Its lines. */
    List<String> play(OwnServer server) throws InterruptedException, ExecutionException {
        try (Play play = new Play(scenario.getAsJsonObject("agent"), server)) {
            FutureTask<Void> playing = new FutureTask<>(() -> {
                for (JsonObject step : steps()) {
                    for (String verb : List.copyOf(step.keySet())) {
                        play.step(verb, step.getAsJsonObject(verb));
                    }
                }
                play.tellLogs();
                return null;
            });
            Thread thread = new Thread(playing, name());
            thread.start();
            try {
                playing.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
            } catch (TimeoutException late) {
                thread.interrupt();
                try {
                    playing.get();
                } catch (ExecutionException stopped) {
                    Throwable why = stopped.getCause();
                    if (!(why instanceof CancellationException || why instanceof InterruptedException)) {
                        throw stopped;
                    }
                }
                play.lines().add("timeout");
            }
            return play.lines();
        }
    }

    private List<JsonObject> steps() {
        return scenario.getAsJsonArray("steps").asList().stream()
                .map(JsonElement::getAsJsonObject)
                .toList();
    }
}
