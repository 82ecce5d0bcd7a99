package io.github.managedagents;

import com.google.gson.JsonElement;
import com.google.gson.JsonParseException;
import com.google.gson.reflect.TypeToken;
import io.github.managedagents.v1.Content;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** Calls each handler at most once for a use, however many runs of this client see it. */
final class Answers {
    private static final System.Logger LOGGER = System.getLogger("managedagents");
    private static final int REMEMBERED = 100_000;

    /** What the model is told. */
    record Answer(List<Content> content, boolean isError) {
        static Answer error(String words) {
            return new Answer(List.of(Events.text(words)), true);
        }
    }

    /** A use of a session. */
    private record Key(String sessionId, String useId) {}

    // Compared by identity: no handler gives these.
    private static final Answer AT_WORK = new Answer(List.of(), false);
    private static final Answer SENT = new Answer(List.of(), false);
    private static final Answer BROKEN_OFF =
            Answer.error("The tool was stopped before it was done; what it did is not known.");

    private final Map<Key, Answer> known = new LinkedHashMap<>() {
        private static final long serialVersionUID = 1;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Key, Answer> eldest) {
            return size() > REMEMBERED;
        }
    };

    /** Whether the use is the caller's to answer now. It is not where a handler is at work, or its answer was sent. */
    synchronized boolean claim(String sessionId, String useId) {
        if (isInHand(sessionId, useId)) {
            return false;
        }
        known.putIfAbsent(new Key(sessionId, useId), AT_WORK);
        return true;
    }

    /** A handler is at work on the use, or its answer was sent. */
    synchronized boolean isInHand(String sessionId, String useId) {
        Answer answer = known.get(new Key(sessionId, useId));
        return answer == AT_WORK || answer == SENT;
    }

    /** The answer to a use that was claimed. It is kept until {@link #sent}, in case sending fails. */
    Answer answer(String sessionId, ToolUse use, ToolHandler handler) {
        Key key = new Key(sessionId, use.id());
        synchronized (this) {
            Answer kept = known.getOrDefault(key, AT_WORK);
            if (kept != AT_WORK) {
                return kept;
            }
        }
        Answer answer = BROKEN_OFF;
        try {
            answer = ask(use, handler);
        } finally {
            synchronized (this) {
                if (known.get(key) != SENT) {
                    known.put(key, answer);
                }
            }
        }
        return answer;
    }

    /** The answer is in the log, or the use is closed: it need not be kept. */
    synchronized void sent(String sessionId, String useId) {
        known.put(new Key(sessionId, useId), SENT);
    }

    /** Nobody waits for the handler any more; a handler that does not hear of it runs on. */
    synchronized void breakOff(String sessionId, String useId) {
        Key key = new Key(sessionId, useId);
        if (known.get(key) == AT_WORK) {
            known.put(key, BROKEN_OFF);
        }
    }

    private static Answer ask(ToolUse use, ToolHandler handler) {
        JsonElement given;
        try {
            given = Json.GSON.fromJson(use.inputJson().isEmpty() ? "{}" : use.inputJson(), JsonElement.class);
        } catch (JsonParseException wrong) {
            return Answer.error("The input is no JSON.");
        }
        if (!given.isJsonObject()) {
            // Only a client whose handlers take a map has to say this.
            return Answer.error("The input is no JSON object.");
        }
        // The same words in every language: they are what the model reads, and what the log keeps.
        Object result;
        try {
            result = handler.answer(Json.GSON.fromJson(given, new TypeToken<Map<String, Object>>() {}), use);
        } catch (InterruptedException interrupted) {
            return BROKEN_OFF;
        } catch (Exception | StackOverflowError failure) {
            return failed(use, "The tool failed: " + Objects.toString(failure.getMessage(), ""), failure);
        }
        try {
            return new Answer(content(result), false);
        } catch (RuntimeException | StackOverflowError failure) {
            return failed(use, "The tool's answer is no JSON.", failure);
        }
    }

    private static Answer failed(ToolUse use, String words, Throwable failure) {
        LOGGER.log(System.Logger.Level.WARNING, "the handler of " + use.name() + " failed on " + use.id(), failure);
        return Answer.error(words);
    }

    private static List<Content> content(Object result) {
        if (result == null || result.equals("")) {
            return List.of();
        }
        if (result instanceof String words) {
            return List.of(Events.text(words));
        }
        if (result instanceof Content block) {
            return List.of(block);
        }
        if (result instanceof List<?> blocks
                && !blocks.isEmpty()
                && blocks.stream().allMatch(Content.class::isInstance)) {
            return blocks.stream().map(Content.class::cast).toList();
        }
        return List.of(Events.text(Json.write(result)));
    }
}
