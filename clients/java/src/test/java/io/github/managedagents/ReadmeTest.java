package io.github.managedagents;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.managedagents.support.ServerProcess;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The README's examples, each a program of its own. */
@Timeout(120)
class ReadmeTest {
    private static final Pattern EXAMPLE = Pattern.compile("```java\\n(.*?)```.*?```text\\n(.*?)```", Pattern.DOTALL);

    @TempDir
    private Path folder;

    @Test
    void everyExamplePrintsWhatStandsBelowIt() throws Exception {
        String readme = Files.readString(Path.of("README.md"));
        List<MatchResult> examples = EXAMPLE.matcher(readme).results().toList();
        assertEquals(3, examples.size());
        try (ServerProcess server = new ServerProcess(folder.resolve("log.db"), List.of())) {
            for (MatchResult example : examples) {
                assertEquals(example.group(2), output(example.group(1).replace("127.0.0.1:50051", server.address())));
            }
        }
    }

    @Test
    void theFirstExampleHasLessThanTwentyFiveLines() throws Exception {
        var first = EXAMPLE.matcher(Files.readString(Path.of("README.md")));
        assertTrue(first.find());
        assertTrue(first.group(1).lines().count() < 25);
    }

    private String output(String program) throws IOException, InterruptedException {
        Path source = Files.writeString(folder.resolve("Example.java"), program);
        Path errors = folder.resolve("errors");
        Process java = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-cp",
                        System.getProperty("java.class.path"),
                        source.toString())
                .redirectError(errors.toFile())
                .start();
        String said = new String(java.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, java.waitFor(), () -> read(errors));
        return said;
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException unreadable) {
            throw new IllegalStateException(unreadable);
        }
    }
}
