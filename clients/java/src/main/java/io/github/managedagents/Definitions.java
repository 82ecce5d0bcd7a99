package io.github.managedagents;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonPrimitive;
import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.util.JsonFormat;
import io.github.managedagents.v1.AgentDefinition;
import java.util.Map;

/** An agent's definition from JSON, for those who keep it in a file or a text block. */
public final class Definitions {
    private Definitions() {}

    /**
     * The definition that the JSON means. Fields are named as in the protos, in snake_case or lowerCamelCase. Where a
     * field holds JSON as text ({@code input_schema_json}), the value may be written inline under the name without
     * {@code _json}.
     *
     * @throws IllegalArgumentException where it is no definition
     */
    public static AgentDefinition parse(String json) {
        AgentDefinition.Builder definition = AgentDefinition.newBuilder();
        try {
            JsonElement given = Json.GSON.fromJson(json, JsonElement.class);
            JsonFormat.parser().merge(String.valueOf(asTexts(given, AgentDefinition.getDescriptor())), definition);
        } catch (JsonParseException | InvalidProtocolBufferException wrong) {
            throw new IllegalArgumentException(wrong.getMessage(), wrong);
        }
        return definition.build();
    }

    /** The same with inline JSON turned into the text that the field holds. */
    private static JsonElement asTexts(JsonElement given, Descriptor kind) {
        if (given instanceof JsonArray items) {
            JsonArray texts = new JsonArray();
            items.forEach(item -> texts.add(asTexts(item, kind)));
            return texts;
        }
        if (!(given instanceof JsonObject values)) {
            return given;
        }
        JsonObject texts = new JsonObject();
        for (Map.Entry<String, JsonElement> entry : values.entrySet()) {
            FieldDescriptor field = field(kind, entry.getKey());
            if (field == null && field(kind, entry.getKey() + "_json") != null) {
                texts.add(entry.getKey() + "_json", new JsonPrimitive(Json.GSON.toJson(entry.getValue())));
            } else if (field == null && field(kind, entry.getKey() + "Json") != null) {
                texts.add(entry.getKey() + "Json", new JsonPrimitive(Json.GSON.toJson(entry.getValue())));
            } else if (field != null
                    && field.getJavaType() == FieldDescriptor.JavaType.MESSAGE
                    && !field.isMapField()) {
                texts.add(entry.getKey(), asTexts(entry.getValue(), field.getMessageType()));
            } else {
                texts.add(entry.getKey(), entry.getValue());
            }
        }
        return texts;
    }

    private static FieldDescriptor field(Descriptor kind, String name) {
        return kind.getFields().stream()
                .filter(field ->
                        field.getName().equals(name) || field.getJsonName().equals(name))
                .findFirst()
                .orElse(null);
    }
}
