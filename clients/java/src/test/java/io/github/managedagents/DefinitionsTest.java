package io.github.managedagents;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.managedagents.v1.AgentDefinition;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** From JSON to a definition. */
class DefinitionsTest {
    @Test
    void jsonThatAFieldHoldsAsTextMayBeWrittenInline() {
        AgentDefinition definition = Definitions.parse("""
                {"name": "weather",
                 "model": {"scripted": {"responses": [{"toolCalls": [{"name": "weather", "input": {"b": 1, "a": 1.0}}]}]}},
                 "modelSettings": {"responseSchema": {}},
                 "tools": [{"custom": {"name": "weather", "input_schema": {"type": "object"}}},
                           {"custom": {"name": "other", "input_schema_json": "{ }"}}],
                 "metadata": {"input_schema": "kept"}}
                """);
        assertEquals(
                "{\"b\":1,\"a\":1.0}",
                definition
                        .getModel()
                        .getScripted()
                        .getResponses(0)
                        .getToolCalls(0)
                        .getInputJson());
        assertEquals("{}", definition.getModelSettings().getResponseSchemaJson());
        assertEquals("{\"type\":\"object\"}", definition.getTools(0).getCustom().getInputSchemaJson());
        assertEquals("{ }", definition.getTools(1).getCustom().getInputSchemaJson());
        assertEquals("kept", definition.getMetadataOrThrow("input_schema"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"naem\": \"x\"}", "{\"name\": ", "[]", "", "{\"tools\": [{\"custom\": {\"naem\": 1}}]}"})
    void whatIsNoDefinitionThrows(String json) {
        assertTrue(!assertThrows(IllegalArgumentException.class, () -> Definitions.parse(json))
                .getMessage()
                .isEmpty());
    }
}
