package io.github.managedagents.conformance;

import io.github.managedagents.support.ServerProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.stream.Stream;

/** Plays scenarios: one server for those of the same limits, and one for each that stops its server. */
final class Servers implements AutoCloseable {
    private final Map<List<String>, ServerProcess> shared = new HashMap<>();
    private final Path folder;

    Servers() throws IOException {
        folder = Files.createTempDirectory("conformance");
    }

    List<String> play(Scenario scenario) throws IOException, InterruptedException, ExecutionException {
        if (scenario.stopsItsServer()) {
            try (ServerProcess own = server(scenario)) {
                return scenario.play(own);
            }
        }
        ServerProcess server = shared.get(scenario.flags());
        if (server == null) {
            server = server(scenario);
            shared.put(scenario.flags(), server);
        }
        return scenario.play(server);
    }

    private ServerProcess server(Scenario scenario) throws IOException {
        return new ServerProcess(folder.resolve(scenario.name() + ".db"), scenario.flags());
    }

    @Override
    public void close() throws IOException {
        shared.values().forEach(ServerProcess::close);
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path path : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }
}
