package io.github.managedagents.conformance;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import io.github.managedagents.Events;
import io.github.managedagents.ManagedAgentsException;
import io.github.managedagents.ManagedAgentsException.FieldViolation;
import io.github.managedagents.RunResult;
import io.github.managedagents.v1.SessionEvent;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.UnaryOperator;

/** The words of the lines: JSON with sorted keys, names for ids, stars for what changes from run to run. */
final class Lines {
    private static final Gson GSON =
            new GsonBuilder().disableHtmlEscaping().serializeNulls().create();

    private static final Map<String, String> NAMED = Map.of(
            "agentId", "agt",
            "sessionId", "ses",
            "customToolUseId", "use",
            "toolUseId", "use",
            "responseId", "rsp",
            "logId", "log",
            "log_id", "log",
            "nextPageToken", "tok");

    private static final Set<String> STARRED = Set.of(
            "createTime",
            "updateTime",
            "archiveTime",
            "deadline",
            "wakeTime",
            "delay",
            "pausedFor",
            "message",
            "error_id");

    /** What the client finds by itself, where no server gave a reason. */
    private static final Map<Class<?>, String> FAILURES = Map.of(
            ManagedAgentsException.NoAnswer.class, "no_answer",
            ManagedAgentsException.DeadlineExceeded.class, "deadline_exceeded",
            ManagedAgentsException.NotThisService.class, "not_this_service",
            ManagedAgentsException.PromiseBroken.class, "promise_broken");

    private static final Set<String> SAID_BEFORE = Set.of("seq", "turn", "createTime");

    private final Map<String, String> names = new HashMap<>();
    private final Map<String, String> ids = new HashMap<>();

    /** What a step says, with ids for names. */
    JsonObject withIds(JsonObject given) {
        return mapped(given, text -> ids.getOrDefault(text, text)).getAsJsonObject();
    }

    /** A string with its name for the id that it is; {@code key} says what it is the value of. */
    String stable(String text, String key) {
        if (STARRED.contains(key)) {
            return "*";
        }
        String prefix = NAMED.get(key);
        if (prefix != null && !names.containsKey(text)) {
            long known = ids.keySet().stream()
                    .filter(name -> name.startsWith(prefix))
                    .count();
            String name = prefix + "#" + (known + 1);
            names.put(text, name);
            ids.put(name, text);
        }
        return names.getOrDefault(text, text);
    }

    /** The message as ProtoJSON, with names for ids. */
    JsonObject message(Message message) {
        try {
            return stable(JsonParser.parseString(JsonFormat.printer().print(message)), "")
                    .getAsJsonObject();
        } catch (InvalidProtocolBufferException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    String event(SessionEvent event) {
        JsonObject said = message(event);
        SAID_BEFORE.forEach(said::remove);
        return "event %d %s turn=%d %s".formatted(event.getSeq(), Events.kindOf(event), event.getTurn(), dump(said));
    }

    /** What the event carries, as JSON. */
    JsonObject payload(SessionEvent event) {
        var field = event.getAllFields().keySet().stream()
                .filter(set -> set.getContainingOneof() != null)
                .findFirst()
                .orElseThrow();
        return message((Message) event.getField(field));
    }

    /** What came of a run, without its events. */
    String run(RunResult result) {
        JsonObject said = new JsonObject();
        said.addProperty("stopReason", result.stopReason());
        said.addProperty("text", result.text());
        if (!result.waitsFor().isEmpty()) {
            said.add("waitsFor", GSON.toJsonTree(result.waitsFor()));
        }
        result.error()
                .ifPresent(error -> said.addProperty("error", error.getCode().name()));
        return dump(stable(said, ""));
    }

    /** What stands behind the verb. */
    String failure(ManagedAgentsException error) {
        if (error.reason().isEmpty()) {
            String kind = FAILURES.get(error.getClass());
            if (kind == null) {
                throw error;
            }
            return "failed " + kind;
        }
        JsonArray fields = new JsonArray();
        error.violations().stream().map(FieldViolation::field).forEach(fields::add);
        JsonObject said = new JsonObject();
        said.add("fields", fields);
        said.add("metadata", GSON.toJsonTree(error.metadata()));
        said.addProperty("retry", error.retryAfter().isPresent());
        return "refused %s %s %s".formatted(error.code(), error.reason(), dump(stable(said, "")));
    }

    static String dump(JsonElement json) {
        return GSON.toJson(json);
    }

    /** Whether every field that is wanted is there; others may be, too. */
    static boolean has(JsonElement said, JsonElement wanted) {
        if (wanted instanceof JsonObject fields && said instanceof JsonObject there) {
            return fields.entrySet().stream()
                    .allMatch(field -> there.has(field.getKey()) && has(there.get(field.getKey()), field.getValue()));
        }
        return said.equals(wanted);
    }

    private JsonElement stable(JsonElement value, String key) {
        if (value instanceof JsonObject object) {
            JsonObject sorted = new JsonObject();
            new TreeMap<>(object.asMap()).forEach((name, inner) -> sorted.add(name, stable(inner, name)));
            return sorted;
        }
        return value instanceof JsonArray items
                ? each(items, item -> stable(item, key))
                : text(value, said -> stable(said, key));
    }

    private static JsonElement mapped(JsonElement value, UnaryOperator<String> texts) {
        if (value instanceof JsonObject object) {
            JsonObject mapped = new JsonObject();
            object.asMap().forEach((name, inner) -> mapped.add(name, mapped(inner, texts)));
            return mapped;
        }
        return value instanceof JsonArray items ? each(items, item -> mapped(item, texts)) : text(value, texts);
    }

    private static JsonElement each(JsonArray items, UnaryOperator<JsonElement> to) {
        JsonArray mapped = new JsonArray();
        items.forEach(item -> mapped.add(to.apply(item)));
        return mapped;
    }

    private static JsonElement text(JsonElement value, UnaryOperator<String> to) {
        return value instanceof JsonPrimitive primitive && primitive.isString()
                ? new JsonPrimitive(to.apply(value.getAsString()))
                : value;
    }
}
