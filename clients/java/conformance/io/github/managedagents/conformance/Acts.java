package io.github.managedagents.conformance;

import io.github.managedagents.Client;
import io.github.managedagents.Events;
import io.github.managedagents.Follow;
import io.github.managedagents.RunOptions;
import io.github.managedagents.RunResult;
import io.github.managedagents.v1.PendingAction;
import io.github.managedagents.v1.PendingActionKind;
import io.github.managedagents.v1.SessionEvent;
import io.github.managedagents.v1.StreamEnded;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.LongStream;

/** What the program can do beside scenarios, for tests in which several languages meet: tests/conformance/README.md. */
final class Acts {
    /** Whether it went well. */
    private interface Act {
        boolean play(Acts acts, String[] given) throws InterruptedException, ExecutionException;
    }

    /** {@code needs}: so much must be given after the address and the session. */
    private record Known(String usage, int needs, Act act) {}

    private static final Map<String, Known> KNOWN = Map.of(
            "follow", new Known("COUNT", 1, (acts, given) -> acts.follow(Integer.parseInt(given[0]))),
            "run", new Known("TEXT [TOOL=VALUE ...]", 1, Acts::run),
            "answer", new Known("VALUE", 1, (acts, given) -> acts.answer(given[0])),
            "log", new Known("", 0, (acts, given) -> acts.log()));

    private final Client client;
    private final String session;
    private final PrintStream out;

    private Acts(Client client, String session, PrintStream out) {
        this.client = client;
        this.session = session;
        this.out = out;
    }

    static boolean knows(String name) {
        return KNOWN.containsKey(name);
    }

    /** Play the act that the arguments name, and tell whether it went well. */
    static boolean play(String[] arguments, PrintStream out) throws InterruptedException, ExecutionException {
        Known known = KNOWN.get(arguments[0]);
        if (arguments.length < 3 + known.needs()) {
            System.err.println("usage: " + arguments[0] + " ADDRESS SESSION " + known.usage());
            return false;
        }
        try (Client client = Client.connect(arguments[1])) {
            Acts acts = new Acts(client, arguments[2], out);
            return known.act().play(acts, Arrays.copyOfRange(arguments, 3, arguments.length));
        }
    }

    private boolean follow(int count) throws InterruptedException, ExecutionException {
        ExecutorService threads = Executors.newFixedThreadPool(count);
        try {
            var followers = new ExecutorCompletionService<List<Long>>(threads);
            AtomicInteger yetToBegin = new AtomicInteger(count);
            for (int number = 0; number < count; number++) {
                followers.submit(() -> seqs(yetToBegin));
            }
            List<List<Long>> seen = new ArrayList<>();
            for (int number = 0; number < count; number++) {
                // Whichever is done first: the failure of one is told at once.
                seen.add(followers.take().get());
            }
            return tell(seen);
        } finally {
            threads.shutdownNow();
        }
    }

    /** Those of the whole session. */
    private List<Long> seqs(AtomicInteger yetToBegin) {
        List<Long> seqs = new ArrayList<>();
        try (Follow<SessionEvent> events = client.follow(session, 0)) {
            for (SessionEvent event : events) {
                seqs.add(event.getSeq());
                if (seqs.size() == 1 && yetToBegin.decrementAndGet() == 0) {
                    out.println("following");
                }
            }
        }
        return seqs;
    }

    /** Each must have seen each seq once, in order, up to the last that any of them saw. */
    private boolean tell(List<List<Long>> seen) {
        long last = seen.stream()
                .flatMap(List::stream)
                .mapToLong(Long::longValue)
                .max()
                .orElse(0);
        List<Long> all = LongStream.rangeClosed(1, last).boxed().toList();
        List<List<Long>> wrong = seen.stream()
                .filter(seqs -> seqs.isEmpty() || !seqs.equals(all))
                .toList();
        wrong.forEach(seqs -> out.println("a follower saw " + seqs + ", not 1 to " + last));
        if (wrong.isEmpty()) {
            out.println(seen.size() + " followers, " + last + " events each");
        }
        return wrong.isEmpty();
    }

    private boolean run(String[] given) {
        RunOptions options = new RunOptions();
        for (String tool : Arrays.asList(given).subList(1, given.length)) {
            String[] parts = tool.split("=", 2);
            options.tool(parts[0], (input, use) -> parts[1]);
        }
        RunResult result = client.run(session, given[0], options);
        out.println(result.stopReason() + " " + result.text());
        return true;
    }

    private boolean answer(String value) {
        try (Follow<SessionEvent> events = client.follow(session, 0)) {
            for (SessionEvent event : events) {
                if (event.hasAgentCustomToolUse()) {
                    PendingAction use = PendingAction.newBuilder()
                            .setToolUseId(event.getAgentCustomToolUse().getCustomToolUseId())
                            .setKind(PendingActionKind.PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT)
                            .build();
                    client.send(session, Events.result(use, List.of(Events.text(value)), false));
                    out.println("answered " + use.getToolUseId());
                    return true;
                }
            }
        }
        System.err.println("the session was over before a custom tool was used");
        return false;
    }

    private boolean log() {
        try (Follow<SessionEvent> events = client.follow(session, 0)) {
            for (SessionEvent event : events) {
                out.println(event.getSeq() + " " + Events.kindOf(event));
            }
            StreamEnded ended = events.ended().orElseThrow();
            String reason = ended.getReason().name().replace("STREAM_END_REASON_", "");
            out.println("ended " + reason.toLowerCase(Locale.ROOT) + " " + ended.getLastSeq());
            return true;
        }
    }
}
