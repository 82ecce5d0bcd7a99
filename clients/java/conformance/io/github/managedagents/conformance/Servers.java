package io.github.managedagents.conformance;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.stream.Stream;

/** Plays scenarios: one server for those that start theirs in the same way, and one for each that does something to it. */
final class Servers implements AutoCloseable {
    private final Map<List<String>, OwnServer> shared = new HashMap<>();
    private final Path folder;

    Servers() throws IOException {
        folder = Files.createTempDirectory("conformance");
    }

    List<String> play(Scenario scenario) throws IOException, InterruptedException, ExecutionException {
        if (scenario.hasItsOwnServer()) {
            try (OwnServer own = server(scenario)) {
                return scenario.play(own);
            }
        }
        OwnServer server = shared.get(scenario.flags());
        if (server == null) {
            server = server(scenario);
            shared.put(scenario.flags(), server);
        }
        return scenario.play(server);
    }

    private OwnServer server(Scenario scenario) throws IOException {
        return new OwnServer(folder.resolve(scenario.name()), scenario.flags());
    }

    @Override
    public void close() throws IOException {
        shared.values().forEach(OwnServer::close);
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path path : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }
}
