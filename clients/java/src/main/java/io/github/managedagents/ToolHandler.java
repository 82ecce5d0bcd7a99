package io.github.managedagents;

import io.github.managedagents.v1.PendingAction;
import java.util.Map;

/** Answers the uses of a tool. */
@FunctionalInterface
public interface ToolHandler {
    /**
     * The answer to one use; called on a thread of its own, which is interrupted, and its gRPC context cancelled, when
     * nobody waits for the answer any more. The client calls it at most once for a use; another process that finds the use
     * still open calls it again, so keep effects apart by {@code use.getToolUseId()}.
     *
     * @param input what the model gave: texts, numbers (whole ones are {@code Long}), booleans, lists, maps and nulls
     * @param use the use itself
     * @return what the model is told: a text, a {@code Content} or a list of them, or anything that Gson writes as JSON;
     *     null is nothing
     * @throws Exception what is thrown is told to the model as an error, {@code The tool failed:} and its message
     */
    Object answer(Map<String, Object> input, PendingAction use) throws Exception;
}
