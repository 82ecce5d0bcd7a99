package io.github.managedagents.conformance;

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Plays the scenarios of the files that it is given, and tells of each where it first differs from what is expected. */
public final class Compare {
    private Compare() {}

    public static void main(String[] files) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        int failed = 0;
        try (Servers servers = new Servers()) {
            for (String file : files) {
                Scenario scenario = new Scenario(Path.of(file));
                List<String> lines = servers.play(scenario);
                List<String> expected = Files.readAllLines(Path.of(file.replaceFirst("\\.json$", ".expected")));
                if (!lines.equals(expected)) {
                    failed++;
                    int at = firstDifference(lines, expected);
                    out.println(scenario.name() + " differs in line " + (at + 1));
                    out.println("  expected: " + line(expected, at));
                    out.println("  got:      " + line(lines, at));
                }
            }
        }
        out.println(files.length - failed + " passed, " + failed + " failed");
        System.exit(failed == 0 ? 0 : 1);
    }

    private static int firstDifference(List<String> lines, List<String> expected) {
        int at = 0;
        while (line(lines, at).equals(line(expected, at))) {
            at++;
        }
        return at;
    }

    private static String line(List<String> lines, int at) {
        return at < lines.size() ? lines.get(at) : "(nothing more)";
    }
}
