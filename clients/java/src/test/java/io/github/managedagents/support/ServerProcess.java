package io.github.managedagents.support;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/** A real server on a file, which can be stopped and started again on the same file and address. */
public final class ServerProcess implements AutoCloseable {
    private static final int SIGNALLED = 128;

    private final Path log;
    private final List<String> flags;
    private String address = "127.0.0.1:0";
    private Process process;

    /** Returns when it listens. */
    public ServerProcess(Path log, List<String> flags) throws IOException {
        this.log = log;
        this.flags = flags;
        start();
    }

    public String address() {
        return address;
    }

    /** Start it; the address is the same after every start. */
    public void start() throws IOException {
        List<String> command =
                new ArrayList<>(List.of(Optional.ofNullable(System.getenv("MANAGEDAGENTS_SERVER_COMMAND"))
                        .orElse("../../.venv/bin/managedagents-server")
                        .split(" ")));
        command.addAll(List.of("--listen", address, "--db", log.toString()));
        command.addAll(flags);
        File errors = new File(log + ".stderr");
        process = new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.appendTo(errors))
                .start();
        BufferedReader said = process.inputReader();
        String line = said.readLine();
        if (line == null || !line.startsWith("listening on ")) {
            throw new IOException("the server did not start; " + errors + " says why");
        }
        address = line.substring("listening on ".length()).strip();
    }

    /** SIGKILL. */
    public void kill() {
        process.destroyForcibly();
        exit();
    }

    /** SIGTERM. */
    public void terminate() {
        process.destroy();
    }

    /** Wait for its exit; the code, negative where a signal ended it. */
    public int exit() {
        try {
            if (!process.waitFor(20, TimeUnit.SECONDS)) {
                throw new IllegalStateException("the server does not end");
            }
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException(interrupted);
        }
        int code = process.exitValue();
        return code > SIGNALLED ? SIGNALLED - code : code;
    }

    @Override
    public void close() {
        kill();
    }
}
