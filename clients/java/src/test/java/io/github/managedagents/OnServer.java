package io.github.managedagents;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.github.managedagents.support.ServerProcess;
import io.github.managedagents.v1.*;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.FutureTask;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** A real server process for each test, and a client of it. */
abstract class OnServer {
    static final String ASKS = "\"permission_policy\": {\"default\": \"PERMISSION_MODE_PROMPT\"}";
    static final String AT_CLIENT = "\"tool_host\": \"TOOL_HOST_CLIENT\"";
    static final String QUICK = "\"custom_tool_timeout\": \"0.05s\"";

    @TempDir
    private Path folder;

    ServerProcess server;
    Client client;

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

    /** A session of an agent with these responses, custom tools and further fields, and a shell. */
    String session(List<String> responses, List<String> tools, String... more) {
        return session(responses, List.of(), tools, more);
    }

    /** The same with what the grader of an outcome says. */
    String session(List<String> responses, List<String> verdicts, List<String> tools, String... more) {
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
                + ", \"grader\": " + verdicts + "}}, \"tools\": " + offered + fields + "}";
        String agent = client.create(Definitions.parse(definition)).getAgentId();
        return client.startSession(agent).getSessionId();
    }

    static String says(String text) {
        return "{\"text\": \"" + text + "\"}";
    }

    static String calls(String... names) {
        return List.of(names).stream()
                .map(name -> "{\"name\": \"" + name + "\", \"input\": {\"of\": \"" + name + "\"}}")
                .collect(Collectors.joining(", ", "{\"text\": \"wait\", \"tool_calls\": [", "]}"));
    }

    static String shell(String command) {
        return "{\"tool_calls\": [{\"name\": \"bash\", \"input\": {\"command\": \"" + command + "\"}}]}";
    }

    void waitFor(String session, java.util.function.Predicate<SessionEvent> wanted) {
        try (Follow<SessionEvent> events = client.follow(session, 0)) {
            for (SessionEvent event : events) {
                if (wanted.test(event)) {
                    return;
                }
            }
        }
        throw new AssertionError("the session is over");
    }

    static List<Long> seqs(long first, long last) {
        return LongStream.rangeClosed(first, last).boxed().toList();
    }

    static <T> FutureTask<T> started(Callable<T> callable) {
        FutureTask<T> task = new FutureTask<>(callable);
        new Thread(task).start();
        return task;
    }
}
