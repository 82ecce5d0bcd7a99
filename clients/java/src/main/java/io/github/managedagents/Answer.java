package io.github.managedagents;

import com.google.gson.JsonElement;
import com.google.gson.JsonParseException;
import com.google.gson.reflect.TypeToken;
import io.github.managedagents.v1.Content;
import io.github.managedagents.v1.PendingAction;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** What the model is told of a tool use. The words are the same in every language: the log keeps them. */
record Answer(List<Content> content, boolean isError) {
    private static final System.Logger LOGGER = System.getLogger("managedagents");

    /** Of a use whose handler is at work, or whose answer was sent. No handler gives it. */
    static final Answer IN_HAND = new Answer(null, false);

    static final Answer STOPPED = error("The tool was stopped before it was done; what it did is not known.");

    /** What an answer is to. */
    record Use(String sessionId, String id) {}

    private static Answer error(String words) {
        return new Answer(List.of(Events.text(words)), true);
    }

    /** What the handler answers. */
    static Answer of(PendingAction use, ToolHandler handler) {
        JsonElement given;
        try {
            given = Json.GSON.fromJson(use.getInputJson().isEmpty() ? "{}" : use.getInputJson(), JsonElement.class);
        } catch (JsonParseException wrong) {
            return error("The input is no JSON.");
        }
        if (!given.isJsonObject()) {
            // Only a client whose handlers take a map has to say this.
            return error("The input is no JSON object.");
        }
        Object result;
        try {
            result = handler.answer(Json.GSON.fromJson(given, new TypeToken<Map<String, Object>>() {}), use);
        } catch (InterruptedException interrupted) {
            return STOPPED;
        } catch (Exception | StackOverflowError failure) {
            return failed(use, "The tool failed: " + Objects.toString(failure.getMessage(), ""), failure);
        }
        try {
            return new Answer(content(result), false);
        } catch (RuntimeException | StackOverflowError failure) {
            return failed(use, "The tool's answer is no JSON.", failure);
        }
    }

    private static Answer failed(PendingAction use, String words, Throwable failure) {
        String said = "the handler of " + use.getName() + " failed on " + use.getToolUseId();
        LOGGER.log(System.Logger.Level.WARNING, said, failure);
        return error(words);
    }

    private static List<Content> content(Object result) {
        if (result == null || result.equals("")) {
            return List.of();
        }
        if (result instanceof String words) {
            return List.of(Events.text(words));
        }
        List<?> blocks = result instanceof List<?> list ? list : List.of(result);
        if (!blocks.isEmpty() && blocks.stream().allMatch(Content.class::isInstance)) {
            return blocks.stream().map(Content.class::cast).toList();
        }
        return List.of(Events.text(Json.write(result)));
    }
}
