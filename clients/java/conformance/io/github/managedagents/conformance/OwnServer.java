package io.github.managedagents.conformance;

import com.google.gson.JsonObject;
import io.github.managedagents.support.ServerProcess;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A server in a folder of its own, and what is done to it from outside. */
final class OwnServer implements AutoCloseable {
    private final Path log;
    private final ServerProcess process;

    /** Returns when it listens. */
    OwnServer(Path folder, List<String> flags) throws IOException {
        log = Files.createDirectory(folder).resolve("log.db");
        process = new ServerProcess(log, flags);
    }

    /** What starts it, stops it and says where it listens. */
    ServerProcess process() {
        return process;
    }

    /** What the step says, by the program of tests/conformance. */
    void byHand(JsonObject given) throws IOException, InterruptedException {
        String server = System.getenv("MANAGEDAGENTS_SERVER_COMMAND");
        if (server == null) {
            throw new IllegalStateException(
                    "MANAGEDAGENTS_SERVER_COMMAND says whom to ask: `make conformance` sets it");
        }
        List<String> command = new ArrayList<>(List.of(server.split(" ")));
        command.addAll(List.of("--by-hand", Lines.dump(given)));
        command.addAll(List.of("--db", log.toString(), "--address", process.address()));
        Process hands = new ProcessBuilder(command).redirectErrorStream(true).start();
        String said = new String(hands.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (hands.waitFor() != 0) {
            throw new IOException(said);
        }
    }

    @Override
    public void close() {
        process.close();
    }
}
