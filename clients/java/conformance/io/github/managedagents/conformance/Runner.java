package io.github.managedagents.conformance;

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** Plays the scenarios of the files that it is given, and prints of each its name and its lines; or plays an act. */
public final class Runner {
    private Runner() {}

    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        if (arguments.length > 0 && Acts.knows(arguments[0])) {
            System.exit(Acts.play(arguments, out) ? 0 : 1);
        }
        try (Servers servers = new Servers()) {
            for (String file : arguments) {
                Scenario scenario = new Scenario(Path.of(file));
                out.println("scenario " + scenario.name());
                servers.play(scenario).forEach(out::println);
            }
        }
    }
}
