package io.github.managedagents;

import io.github.managedagents.v1.*;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** Small words for events: how they are made and what they are called. */
public final class Events {
    private Events() {}

    /** A content block of plain text. */
    public static Content text(String words) {
        return Content.newBuilder()
                .setText(TextContent.newBuilder().setText(words))
                .build();
    }

    /** A {@code user.message} of a text. */
    public static UserEvent message(String words) {
        return message(List.of(text(words)));
    }

    /** A {@code user.message} of content blocks. */
    public static UserEvent message(List<Content> content) {
        return UserEvent.newBuilder()
                .setUserMessage(UserMessage.newBuilder().addAllContent(content))
                .build();
    }

    /** The event that says what "done" means: {@code user.define_outcome}. It is tried 3 times at most. */
    public static UserEvent outcome(String criteria) {
        return UserEvent.newBuilder()
                .setUserDefineOutcome(UserDefineOutcome.newBuilder().setCriteria(criteria))
                .build();
    }

    /** The same, tried so many times at most: 1 to 20. */
    public static UserEvent outcome(String criteria, int maxIterations) {
        UserEvent.Builder event = outcome(criteria).toBuilder();
        event.getUserDefineOutcomeBuilder().setMaxIterations(maxIterations);
        return event.build();
    }

    /** The event that answers a use, custom or built in, with its result. */
    public static UserEvent result(PendingAction use, List<Content> content, boolean isError) {
        UserEvent.Builder event = UserEvent.newBuilder();
        if (use.getKind() == PendingActionKind.PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT) {
            event.setUserCustomToolResult(UserCustomToolResult.newBuilder()
                    .setCustomToolUseId(use.getToolUseId())
                    .addAllContent(content)
                    .setIsError(isError));
        } else {
            event.setUserToolResult(UserToolResult.newBuilder()
                    .setToolUseId(use.getToolUseId())
                    .addAllContent(content)
                    .setIsError(isError));
        }
        return event.build();
    }

    /** The event that allows or denies a use. */
    public static UserEvent confirmation(String useId, Decision decision) {
        return UserEvent.newBuilder()
                .setUserToolConfirmation(UserToolConfirmation.newBuilder()
                        .setToolUseId(useId)
                        .setDecision(
                                decision.isAllowed()
                                        ? ToolConfirmation.TOOL_CONFIRMATION_ALLOW
                                        : ToolConfirmation.TOOL_CONFIRMATION_DENY)
                        .setDenyMessage(decision.why()))
                .build();
    }

    /** The event's kind, say {@code agent.message}. Empty: one that this version of the client does not know. */
    public static String kindOf(SessionEvent event) {
        String name = event.getPayloadCase().name().toLowerCase(Locale.ROOT);
        return event.getPayloadCase() == SessionEvent.PayloadCase.PAYLOAD_NOT_SET ? "" : name.replaceFirst("_", ".");
    }

    /** The text of the blocks, joined. Pictures and files are left out. */
    public static String textOf(List<Content> content) {
        return content.stream().map(block -> block.getText().getText()).collect(Collectors.joining());
    }

    /** Why a turn ended, say {@code end_turn}. Empty: not said, or a reason that this version of the client does not know. */
    public static String stopReasonOf(TurnResult result) {
        return switch (result.getStopReason()) {
            case UNRECOGNIZED, TURN_STOP_REASON_UNSPECIFIED -> "";
            default ->
                result.getStopReason().name().replace("TURN_STOP_REASON_", "").toLowerCase(Locale.ROOT);
        };
    }
}
