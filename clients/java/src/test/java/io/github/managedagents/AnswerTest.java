package io.github.managedagents;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.managedagents.v1.Content;
import io.github.managedagents.v1.PendingAction;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** From what a handler does to what the model is told. */
class AnswerTest {
    private record City(String name, int degrees) {}

    static Stream<Arguments> results() {
        Map<String, Object> nothing = new HashMap<>();
        nothing.put("nothing", null);
        return Stream.of(
                Arguments.of("sunny", "sunny"),
                Arguments.of(Map.of("degrees", 19), "{\"degrees\":19}"),
                Arguments.of(List.of("a", 1, true), "[\"a\",1,true]"),
                Arguments.of(new City("Oslo", 19), "{\"name\":\"Oslo\",\"degrees\":19}"),
                Arguments.of(nothing, "{\"nothing\":null}"),
                Arguments.of(Map.of("said", "<Tromsø & \"Bodø\">"), "{\"said\":\"<Tromsø & \\\"Bodø\\\">\"}"),
                Arguments.of(List.of("\u2028\u2029 \\u2028 \\"), "[\"\u2028\u2029 \\\\u2028 \\\\\"]"),
                Arguments.of(19.5, "19.5"),
                Arguments.of(List.of(), "[]"),
                Arguments.of(List.of(Events.text("a"), Events.text("b")), "ab"),
                Arguments.of(Events.text("a"), "a"));
    }

    @ParameterizedTest
    @MethodSource("results")
    void aTextStaysATextAndTheRestBecomesJson(Object result, String told) {
        Answer answer = ask("{}", (input, use) -> result);
        assertEquals(told, Events.textOf(answer.content()));
        assertFalse(answer.isError());
    }

    @Test
    void nothingIsToldAsNothing() {
        assertEquals(List.<Content>of(), ask("{}", (input, use) -> null).content());
        assertEquals(List.<Content>of(), ask("{}", (input, use) -> "").content());
    }

    static Stream<Object> noJson() {
        List<Object> itself = new ArrayList<>();
        itself.add(itself);
        return Stream.of(Double.NaN, Thread.currentThread(), itself);
    }

    @ParameterizedTest
    @MethodSource("noJson")
    void aResultThatIsNoJsonIsToldAsAnError(Object result) {
        Answer answer = ask("{}", (input, use) -> result);
        assertEquals("The tool's answer is no JSON.", Events.textOf(answer.content()));
        assertTrue(answer.isError());
    }

    @Test
    void whatAHandlerThrowsIsToldAsAnError() {
        Answer answer = ask("{}", (input, use) -> {
            throw new IllegalStateException("broken");
        });
        assertEquals("The tool failed: broken", Events.textOf(answer.content()));
        assertTrue(answer.isError());
        Answer wordless = ask("{}", (input, use) -> {
            throw new java.io.IOException();
        });
        assertEquals("The tool failed: ", Events.textOf(wordless.content()));
    }

    @Test
    void theInputComesInTypesOfJava() {
        List<Object> seen = new ArrayList<>();
        ask("{\"n\":19,\"x\":1.5,\"t\":\"a\",\"b\":true,\"l\":[1],\"o\":{\"z\":null}}", (input, use) -> {
            seen.add(use.getToolUseId());
            seen.addAll(List.of(input.get("n"), input.get("x"), input.get("t"), input.get("b"), input.get("l")));
            seen.add(input.get("o").toString());
            return null;
        });
        assertEquals(List.of("use_1", 19L, 1.5, "a", true, List.of(1L), "{z=null}"), seen);
        ask("", (input, use) -> seen.add(input));
        assertEquals(Map.of(), seen.get(seen.size() - 1));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"city\": ", "{'city': 1}", "{} {}", "Oslo"})
    void anInputThatIsNoJsonIsToldWithoutCallingTheHandler(String input) {
        assertNotCalled(input, "The input is no JSON.");
    }

    @ParameterizedTest
    @ValueSource(strings = {"[1]", "\"Oslo\"", "null"})
    void anInputThatIsNoObjectIsToldWithoutCallingTheHandler(String input) {
        assertNotCalled(input, "The input is no JSON object.");
    }

    private static void assertNotCalled(String input, String told) {
        AtomicInteger calls = new AtomicInteger();
        Answer answer = ask(input, (given, use) -> calls.incrementAndGet());
        assertTrue(answer.isError());
        assertEquals(told, Events.textOf(answer.content()));
        assertEquals(0, calls.get());
    }

    private static Answer ask(String input, ToolHandler handler) {
        PendingAction use = PendingAction.newBuilder()
                .setToolUseId("use_1")
                .setName("weather")
                .setInputJson(input)
                .build();
        return Answer.of(use, handler);
    }
}
