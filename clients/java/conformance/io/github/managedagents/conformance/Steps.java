package io.github.managedagents.conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import java.util.function.Function;

/** What the short ways of a step are short for. */
final class Steps {
    private Steps() {}

    /** The request that the step means, as JSON; what is left out is the runner's to add. */
    static JsonObject spelledOut(String verb, JsonObject given) {
        switch (verb) {
            case "start" ->
                replace(given, "texts", "initial_events", texts -> {
                    JsonArray events = new JsonArray();
                    texts.getAsJsonArray().forEach(text -> events.add(userMessage(text)));
                    return events;
                });
            case "send" -> replace(given, "text", "event", Steps::userMessage);
            case "answer" -> given.add("event", object("user_custom_tool_result", result(given, "custom_tool_use_id")));
            case "result" -> given.add("event", object("user_tool_result", result(given, "tool_use_id")));
            case "confirm" -> given.add("event", object("user_tool_confirmation", confirmation(given)));
            default -> {}
        }
        return given;
    }

    private static JsonObject result(JsonObject given, String idField) {
        JsonObject result = object(idField, given.remove("use"));
        result.add("content", content(given.remove("text")));
        if (given.has("is_error")) {
            result.add("is_error", given.remove("is_error"));
        }
        return result;
    }

    private static JsonObject confirmation(JsonObject given) {
        boolean allow = given.remove("allow").getAsBoolean();
        JsonObject confirmation = object("tool_use_id", given.remove("use"));
        confirmation.add("decision", new JsonPrimitive(allow ? "TOOL_CONFIRMATION_ALLOW" : "TOOL_CONFIRMATION_DENY"));
        if (given.has("message")) {
            confirmation.add("deny_message", given.remove("message"));
        }
        return confirmation;
    }

    private static JsonObject userMessage(JsonElement text) {
        return object("user_message", object("content", content(text)));
    }

    private static JsonArray content(JsonElement text) {
        JsonArray content = new JsonArray();
        content.add(object("text", object("text", text)));
        return content;
    }

    private static void replace(JsonObject given, String name, String by, Function<JsonElement, JsonElement> to) {
        if (given.has(name)) {
            given.add(by, to.apply(given.remove(name)));
        }
    }

    private static JsonObject object(String name, JsonElement value) {
        JsonObject object = new JsonObject();
        object.add(name, value);
        return object;
    }
}
