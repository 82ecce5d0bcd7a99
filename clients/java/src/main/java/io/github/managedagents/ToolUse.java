package io.github.managedagents;

import io.github.managedagents.v1.AgentToolUse;
import io.github.managedagents.v1.PendingAction;
import io.github.managedagents.v1.PendingActionKind;
import io.github.managedagents.v1.PermissionDecision;
import io.github.managedagents.v1.SessionEvent;
import java.util.Optional;

/**
 * A tool use that the session's client is asked about, as its event says it; nothing is guessed from a name.
 *
 * @param id unique in the session, and the same whoever meets the use: keep effects apart by it
 * @param name the tool's name; of an MCP tool {@code server/tool}
 * @param inputJson as the model wrote it; may be no JSON at all
 * @param kind whose tool it is
 * @param needsConfirmation it waits for {@code user.tool_confirmation}
 * @param atClient the client answers it with its result, after the confirmation where it needs one
 */
public record ToolUse(
        String id, String name, String inputJson, Kind kind, boolean needsConfirmation, boolean atClient) {
    /** Whose tool it is. */
    public enum Kind {
        /** The caller's own. */
        CUSTOM,
        /** The service's. */
        BUILT_IN,
        /** An MCP server's. */
        MCP
    }

    /** The tool use that the event logs. Empty: it logs something else. */
    public static Optional<ToolUse> of(SessionEvent event) {
        return Optional.ofNullable(
                switch (event.getPayloadCase()) {
                    case AGENT_CUSTOM_TOOL_USE -> {
                        var use = event.getAgentCustomToolUse();
                        yield new ToolUse(
                                use.getCustomToolUseId(), use.getName(), use.getInputJson(), Kind.CUSTOM, false, true);
                    }
                    case AGENT_TOOL_USE -> {
                        AgentToolUse use = event.getAgentToolUse();
                        boolean atClient = use.getRunsAtClient()
                                && use.getPermission() != PermissionDecision.PERMISSION_DECISION_DENY;
                        yield new ToolUse(
                                use.getToolUseId(),
                                use.getName(),
                                use.getInputJson(),
                                Kind.BUILT_IN,
                                asks(use.getPermission()),
                                atClient);
                    }
                    case AGENT_MCP_TOOL_USE -> {
                        var use = event.getAgentMcpToolUse();
                        yield new ToolUse(
                                use.getToolUseId(),
                                use.getServerName() + "/" + use.getName(),
                                use.getInputJson(),
                                Kind.MCP,
                                asks(use.getPermission()),
                                false);
                    }
                    default -> null;
                });
    }

    /** The tool use that a session waits for, as Status tells it. */
    public static ToolUse of(PendingAction action) {
        boolean custom = action.getKind() == PendingActionKind.PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT;
        boolean mcp = !action.getServerName().isEmpty();
        return new ToolUse(
                action.getToolUseId(),
                mcp ? action.getServerName() + "/" + action.getName() : action.getName(),
                action.getInputJson(),
                mcp ? Kind.MCP : custom ? Kind.CUSTOM : Kind.BUILT_IN,
                action.getKind() == PendingActionKind.PENDING_ACTION_KIND_TOOL_CONFIRMATION,
                custom || action.getRunsAtClient());
    }

    private static boolean asks(PermissionDecision decision) {
        return decision == PermissionDecision.PERMISSION_DECISION_ASK;
    }
}
