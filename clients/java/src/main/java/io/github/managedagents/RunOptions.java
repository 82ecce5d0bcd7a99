package io.github.managedagents;

import io.github.managedagents.v1.PendingAction;
import io.github.managedagents.v1.SessionEvent;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Function;

/** What a run does with what its turn asks for. Nothing is set in a new one. */
public final class RunOptions {
    final Map<String, ToolHandler> tools = new HashMap<>();
    Function<PendingAction, Decision> confirm;
    Consumer<SessionEvent> onEvent = event -> {};
    String requestId = "";

    /** What answers the uses of a custom tool, or of a built-in one that runs at the client, by its own name. */
    public RunOptions tool(String name, ToolHandler handler) {
        tools.put(name, handler);
        return this;
    }

    /**
     * Decides on the uses that wait for permission, each on a thread of its own; null denies. Without it such uses are
     * left open.
     */
    public RunOptions confirm(Function<PendingAction, Decision> decides) {
        confirm = decides;
        return this;
    }

    /** Is given each event of the turn, by the thread that runs. */
    public RunOptions onEvent(Consumer<SessionEvent> listener) {
        onEvent = listener;
        return this;
    }

    /** The request id that the message is sent with, where the same run may be made again by another process. */
    public RunOptions requestId(String id) {
        requestId = id;
        return this;
    }
}
