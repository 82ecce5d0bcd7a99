package io.github.managedagents;

import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;

/** Delays that grow, with jitter, so that clients that lost one server do not all come back at once. */
final class Backoff {
    /** At most, before the second attempt. */
    static final Duration FIRST = Duration.ofMillis(100);
    /** At most, between any two attempts: a server that is back is found within this. */
    static final Duration LONGEST = Duration.ofSeconds(3);

    private static final double GROWTH = 1.7;

    private double ceiling = FIRST.toNanos();

    /** Between half the present ceiling and all of it, and never less than the server asked for. */
    Duration next(Optional<Duration> atLeast) {
        Duration delay =
                Duration.ofNanos((long) (ceiling * ThreadLocalRandom.current().nextDouble(0.5, 1.0)));
        ceiling = Math.min(ceiling * GROWTH, LONGEST.toNanos());
        return atLeast.filter(asked -> asked.compareTo(delay) > 0).orElse(delay);
    }

    /** Begin anew: something went well. */
    void reset() {
        ceiling = FIRST.toNanos();
    }
}
