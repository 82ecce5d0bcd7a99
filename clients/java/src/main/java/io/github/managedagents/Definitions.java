package io.github.managedagents;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Descriptors.FieldDescriptor.JavaType;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.util.JsonFormat;
import io.github.managedagents.v1.AgentDefinition;
import java.util.List;
import java.util.Locale;

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
            inline(given, AgentDefinition.getDescriptor());
            JsonFormat.parser().merge(String.valueOf(given), definition);
        } catch (JsonParseException | InvalidProtocolBufferException wrong) {
            throw new IllegalArgumentException(wrong.getMessage(), wrong);
        }
        return definition.build();
    }

    /** Turn inline JSON into the text that its field holds. */
    private static void inline(JsonElement given, Descriptor kind) {
        if (given instanceof JsonArray items) {
            items.forEach(item -> inline(item, kind));
        } else if (given instanceof JsonObject values) {
            for (String name : List.copyOf(values.keySet())) {
                String snake = name.replaceAll("[A-Z]", "_$0").toLowerCase(Locale.ROOT);
                FieldDescriptor field = kind.findFieldByName(snake);
                if (field == null && kind.findFieldByName(snake + "_json") != null) {
                    values.addProperty(snake + "_json", Json.GSON.toJson(values.remove(name)));
                } else if (field != null && field.getJavaType() == JavaType.MESSAGE && !field.isMapField()) {
                    inline(values.get(name), field.getMessageType());
                }
            }
        }
    }
}
