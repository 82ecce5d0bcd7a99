package io.github.managedagents;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Descriptors.OneofDescriptor;
import com.google.protobuf.Message;
import io.github.managedagents.v1.Content;
import io.github.managedagents.v1.SessionEvent;
import io.github.managedagents.v1.StatusIdle;
import io.github.managedagents.v1.TextContent;
import io.github.managedagents.v1.ToolConfirmation;
import io.github.managedagents.v1.UserCustomToolResult;
import io.github.managedagents.v1.UserDefineOutcome;
import io.github.managedagents.v1.UserEvent;
import io.github.managedagents.v1.UserMessage;
import io.github.managedagents.v1.UserToolConfirmation;
import io.github.managedagents.v1.UserToolResult;
import java.util.List;
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
    public static UserEvent result(ToolUse use, List<Content> content, boolean isError) {
        UserEvent.Builder event = UserEvent.newBuilder();
        if (use.kind() == ToolUse.Kind.CUSTOM) {
            event.setUserCustomToolResult(UserCustomToolResult.newBuilder()
                    .setCustomToolUseId(use.id())
                    .addAllContent(content)
                    .setIsError(isError));
        } else {
            event.setUserToolResult(UserToolResult.newBuilder()
                    .setToolUseId(use.id())
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
        return memberOf(event, "payload").replaceFirst("_", ".");
    }

    /** The text of the blocks, joined. Pictures and files are left out. */
    public static String textOf(List<Content> content) {
        return content.stream().map(block -> block.getText().getText()).collect(Collectors.joining());
    }

    /** Why the session went idle, say {@code end_turn}. Empty: a reason that this version of the client does not know. */
    public static String stopReasonOf(StatusIdle idle) {
        return memberOf(idle.getStopReason(), "reason");
    }

    /** The name of the member of a oneof that is set. Empty: none is. */
    private static String memberOf(Message message, String name) {
        for (OneofDescriptor oneof : message.getDescriptorForType().getOneofs()) {
            FieldDescriptor field = message.getOneofFieldDescriptor(oneof);
            if (oneof.getName().equals(name) && field != null) {
                return field.getName();
            }
        }
        return "";
    }
}
