package io.github.managedagents.conformance;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.ToNumberPolicy;
import io.github.managedagents.Client;
import io.github.managedagents.Decision;
import io.github.managedagents.RunOptions;
import io.github.managedagents.RunResult;
import io.github.managedagents.ToolHandler;
import io.grpc.Context;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;

/** The run that a step says: its handlers, its decision, and when it is given up. */
final class Running {
    private static final Gson GSON = new GsonBuilder()
            .setObjectToNumberStrategy(ToNumberPolicy.LONG_OR_DOUBLE)
            .create();

    private static final Logger LOGGER = Logger.getLogger("managedagents");

    static {
        // Handlers fail here because a scenario wants it.
        LOGGER.setLevel(Level.SEVERE);
    }

    private Running() {}

    /** What came of it. Empty: it was given up. */
    static Optional<RunResult> play(Client client, String session, JsonObject given) {
        ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
        Context.CancellableContext running = Context.current().withCancellation();
        if (given.has("within")) {
            long milliseconds = Math.round(given.get("within").getAsDouble() * 1000);
            timer.schedule(() -> running.cancel(null), milliseconds, TimeUnit.MILLISECONDS);
        }
        Context before = running.attach();
        try {
            return Optional.of(client.run(session, given.get("text").getAsString(), options(given)));
        } catch (CancellationException stopped) {
            if (!running.isCancelled()) {
                throw stopped;
            }
            return Optional.empty();
        } finally {
            running.detach(before);
            running.cancel(null);
            timer.shutdownNow();
        }
    }

    private static RunOptions options(JsonObject given) {
        RunOptions options = new RunOptions();
        if (given.has("tools")) {
            given.getAsJsonObject("tools")
                    .asMap()
                    .forEach((name, told) -> options.tool(name, handler(told.getAsJsonObject())));
        }
        if (given.has("confirm")) {
            Decision decision = decision(given.get("confirm"));
            options.confirm(use -> decision);
        }
        return options;
    }

    private static Decision decision(JsonElement given) {
        if (given.getAsJsonPrimitive().isString()) {
            return Decision.deny(given.getAsString());
        }
        return given.getAsBoolean() ? Decision.allow() : Decision.deny();
    }

    private static ToolHandler handler(JsonObject told) {
        return (input, use) -> {
            if (told.has("fails")) {
                throw new IllegalStateException(told.get("fails").getAsString());
            }
            if (told.has("hangs")) {
                new CountDownLatch(1).await();
            }
            return told.has("returns_no_json") ? Double.NaN : GSON.fromJson(told.get("returns"), Object.class);
        };
    }
}
