package io.github.managedagents;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.nio.channels.ClosedChannelException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * What a call throws. The class follows from the reason that the server gave ({@code ErrorReason} in the protos), never
 * from a text. This class itself is thrown for a reason that this version of the client does not know.
 *
 * <p>A failed model or tool is no exception: it is an event in the session's log.
 */
// The classes of an exception are serializable by birth; these are not meant to travel.
@SuppressWarnings("serial")
public class ManagedAgentsException extends RuntimeException {
    private String message = "";
    private Status.Code code = Status.Code.UNKNOWN;
    private ErrorInfo info = ErrorInfo.getDefaultInstance();
    private BadRequest bad = BadRequest.getDefaultInstance();
    private RetryInfo retry = RetryInfo.getDefaultInstance();

    ManagedAgentsException() {}

    /** What the call, or the client itself, found wrong. */
    @Override
    public final String getMessage() {
        return message;
    }

    /** The gRPC status code. */
    public final Status.Code code() {
        return code;
    }

    /** The name in {@code ErrorReason} without its prefix, say SESSION_NOT_FOUND. Empty: the server gave none. */
    public final String reason() {
        return info.getReason();
    }

    /** The bad fields of a refused request. */
    public final List<FieldViolation> violations() {
        return bad.getFieldViolationsList().stream()
                .map(field -> new FieldViolation(field.getField(), field.getDescription()))
                .toList();
    }

    /** After which asking again may help. Empty: the server did not say that waiting helps. */
    public final Optional<Duration> retryAfter() {
        var delay = retry.getRetryDelay();
        return retry.hasRetryDelay()
                ? Optional.of(Duration.ofSeconds(delay.getSeconds(), delay.getNanos()))
                : Optional.empty();
    }

    /** What the server says beside the reason, say {@code limit} and {@code value}. */
    public final Map<String, String> metadata() {
        return info.getMetadataMap();
    }

    ManagedAgentsException told(Status.Code statusCode, String words) {
        code = statusCode;
        message = words;
        return this;
    }

    /** Whether asking again, with the same request id, may help. */
    final boolean isPassing() {
        return retry.hasRetryDelay() || code == Status.Code.UNAVAILABLE || this instanceof NoAnswer;
    }

    /**
     * One bad field of a request.
     *
     * @param field its path from the request down, {@code definition.tools[1].custom.name}
     * @param description what is wrong with it
     */
    public record FieldViolation(String field, String description) {}

    /** The request is wrong; {@link #violations()} names each bad field. Asking again does not help. */
    public static final class InvalidRequest extends ManagedAgentsException {}

    /** A part that this server does not have yet; {@code metadata().get("field")} names it. */
    public static final class NotImplementedByServer extends ManagedAgentsException {}

    /** No such agent, session or tool use, or another tenant's. */
    public static final class NotFound extends ManagedAgentsException {}

    /** The tool use is closed: somebody was faster, or the turn was interrupted. Benign: go on. */
    public static final class ToolUseClosed extends ManagedAgentsException {}

    /** The session is completed, failed or archived (metadata {@code status}): only reads and a deletion work. */
    public static final class SessionTerminal extends ManagedAgentsException {}

    /** The agent is archived and takes no new sessions and no new versions. */
    public static final class AgentArchived extends ManagedAgentsException {}

    /** The agent was changed since the version that the update names: read it and decide again. */
    public static final class VersionConflict extends ManagedAgentsException {}

    /** The request id was used with another request. */
    public static final class RequestIdReused extends ManagedAgentsException {}

    /** The seq to go on from is beyond the log's head; metadata {@code head_seq} gives the head. */
    public static final class FromSeqBeyondHead extends ManagedAgentsException {}

    /** A backup was restored: the seqs known here mean nothing any more. Read the session anew from 0. */
    public static final class LogReplaced extends ManagedAgentsException {}

    /** A limit is reached; metadata {@code limit} names it, {@code value} gives it. */
    public static final class LimitExceeded extends ManagedAgentsException {}

    /** The model's provider cannot be used as the definition asks. */
    public static final class ProviderUnusable extends ManagedAgentsException {}

    /** A tool of the definition cannot be used at this server. */
    public static final class ToolUnusable extends ManagedAgentsException {}

    /** The session works towards an outcome already. */
    public static final class OutcomeActive extends ManagedAgentsException {}

    /** No token, or one that the server does not know. */
    public static final class Unauthenticated extends ManagedAgentsException {}

    /** An event of the log cannot be read (metadata {@code seq}): go on after it. */
    public static final class EventUnreadable extends ManagedAgentsException {}

    /** A fault of the server; its own log tells more under metadata {@code error_id}. */
    public static final class ServerFault extends ManagedAgentsException {}

    /** The server is there and cannot do it now: it shuts down, or its log cannot be written. */
    public static class Unavailable extends ManagedAgentsException {}

    /** The server did not answer in time. A changing call may have been applied. */
    public static final class DeadlineExceeded extends ManagedAgentsException {}

    /** No server answered in the time that the client has patience for. A changing call may have been applied. */
    public static final class NoAnswer extends Unavailable {}

    /** Something speaks gRPC at this address, and it is not this service, or an older version of it. */
    public static final class NotThisService extends ManagedAgentsException {}

    /** A stream gave what it never gives, say a hole between two seqs: a fault of the server or of something between. */
    public static final class PromiseBroken extends ManagedAgentsException {}

    /** What a failed call throws. {@code answered}: the client has heard from the server before. */
    static ManagedAgentsException of(Exception failure, String address, boolean answered) {
        Status status = Status.fromThrowable(failure);
        // A call that starts just when its connection closes: gRPC says UNKNOWN, and of what only in the cause.
        Status.Code code = isOfClosing(status.getCause()) ? Status.Code.UNAVAILABLE : status.getCode();
        String text = Objects.toString(status.getDescription(), "");
        ErrorInfo info = detail(failure, ErrorInfo.getDefaultInstance());
        ManagedAgentsException error;
        if (info.getDomain().equals("managedagents")) {
            error = ofReason(info.getReason()).told(code, text);
            error.info = info;
        } else {
            error = ofCode(code, text, address, answered);
        }
        error.bad = detail(failure, BadRequest.getDefaultInstance());
        error.retry = detail(failure, RetryInfo.getDefaultInstance());
        error.initCause(failure);
        return error;
    }

    private static boolean isOfClosing(Throwable cause) {
        return cause instanceof ClosedChannelException || cause != null && isOfClosing(cause.getCause());
    }

    /** What the details say of one kind; {@code none} where they say nothing of it. */
    private static <M extends Message> M detail(Exception failure, M none) {
        try {
            for (Any detail : StatusProto.fromThrowable(failure).getDetailsList()) {
                if (detail.isSameTypeAs(none)) {
                    return detail.unpackSameTypeAs(none);
                }
            }
        } catch (InvalidProtocolBufferException | IllegalArgumentException notOurs) {
            // The code and the text of the call still tell what there is to tell.
        }
        return none;
    }

    private static ManagedAgentsException ofReason(String reason) {
        return switch (reason) {
            case "INVALID_REQUEST", "MALFORMED_REQUEST", "INVALID_PAGE_TOKEN" -> new InvalidRequest();
            case "NOT_IMPLEMENTED" -> new NotImplementedByServer();
            case "AGENT_NOT_FOUND", "SESSION_NOT_FOUND", "TOOL_USE_NOT_FOUND" -> new NotFound();
            case "TOOL_USE_CLOSED" -> new ToolUseClosed();
            case "SESSION_TERMINAL" -> new SessionTerminal();
            case "AGENT_ARCHIVED" -> new AgentArchived();
            case "VERSION_CONFLICT" -> new VersionConflict();
            case "REQUEST_ID_REUSED" -> new RequestIdReused();
            case "FROM_SEQ_BEYOND_HEAD" -> new FromSeqBeyondHead();
            case "LOG_REPLACED" -> new LogReplaced();
            case "LIMIT_EXCEEDED" -> new LimitExceeded();
            case "PROVIDER_UNUSABLE" -> new ProviderUnusable();
            case "TOOL_UNUSABLE" -> new ToolUnusable();
            case "OUTCOME_ACTIVE" -> new OutcomeActive();
            case "UNAUTHENTICATED" -> new Unauthenticated();
            case "EVENT_UNREADABLE" -> new EventUnreadable();
            case "INTERNAL" -> new ServerFault();
            case "LOG_UNAVAILABLE", "DRAINING" -> new Unavailable();
            case "DEADLINE_EXCEEDED" -> new DeadlineExceeded();
            default -> new ManagedAgentsException();
        };
    }

    private static ManagedAgentsException ofCode(Status.Code code, String text, String address, boolean answered) {
        String words = text.isEmpty() ? "" : " (" + text + ")";
        return switch (code) {
            // What a cut connection looks like. A server that stops, or a proxy, ends a call with CANCELLED; a proxy
            // that resets a stream in its middle, with INTERNAL.
            case UNAVAILABLE, CANCELLED, INTERNAL -> {
                String whom = answered ? "no answer from the server at " : "no server at ";
                yield new NoAnswer().told(code, whom + address + words);
            }
            case UNIMPLEMENTED ->
                new NotThisService().told(code, address + " is no managed agents server, or an older one" + words);
            case DEADLINE_EXCEEDED ->
                new DeadlineExceeded().told(code, address + " did not answer in time; the call may have been applied");
            default -> new ManagedAgentsException().told(code, code + ": " + text);
        };
    }
}
