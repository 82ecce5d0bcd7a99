package io.github.managedagents;

import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/**
 * What a call throws. The class follows from the reason that the server gave ({@code ErrorReason} in the protos), never
 * from a text. This class itself is thrown for a reason that this version of the client does not know.
 *
 * <p>A failed model or tool is no exception: it is an event in the session's log.
 */
// The classes of an exception are serializable by birth; these are not meant to travel.
@SuppressWarnings("serial")
public class ManagedAgentsException extends RuntimeException {
    private final transient Facts facts;

    ManagedAgentsException(Facts facts) {
        super(facts.message(), facts.cause());
        this.facts = facts;
    }

    /** The gRPC status code. */
    public final Status.Code code() {
        return facts.code();
    }

    /** The name in {@code ErrorReason} without its prefix, say SESSION_NOT_FOUND. Empty: the server gave none. */
    public final String reason() {
        return facts.reason();
    }

    /** The bad fields of a refused request. */
    public final List<FieldViolation> violations() {
        return facts.violations();
    }

    /** After which asking again may help. Empty: the server did not say that waiting helps. */
    public final Optional<Duration> retryAfter() {
        return facts.retryAfter();
    }

    /** What the server says beside the reason, say {@code limit} and {@code value}. */
    public final Map<String, String> metadata() {
        return facts.metadata();
    }

    /**
     * One bad field of a request.
     *
     * @param field its path from the request down, {@code definition.tools[1].custom.name}
     * @param description what is wrong with it
     */
    public record FieldViolation(String field, String description) {}

    /** All that is known about a failed call. */
    record Facts(
            String message,
            Status.Code code,
            String reason,
            List<FieldViolation> violations,
            Optional<Duration> retryAfter,
            Map<String, String> metadata,
            Throwable cause) {
        /** Something that the client found itself. */
        static Facts of(Status.Code code, String message) {
            return new Facts(message, code, "", List.of(), Optional.empty(), Map.of(), null);
        }
    }

    static ManagedAgentsException byReason(Facts facts) {
        return BY_REASON
                .getOrDefault(facts.reason(), ManagedAgentsException::new)
                .apply(facts);
    }

    /** The request is wrong; {@link #violations()} names each bad field. Asking again does not help. */
    public static final class InvalidRequest extends ManagedAgentsException {
        InvalidRequest(Facts facts) {
            super(facts);
        }
    }

    /** A part that this server does not have yet; {@code metadata().get("field")} names it. */
    public static final class NotImplementedByServer extends ManagedAgentsException {
        NotImplementedByServer(Facts facts) {
            super(facts);
        }
    }

    /** No such agent, session or tool use, or another tenant's. */
    public static final class NotFound extends ManagedAgentsException {
        NotFound(Facts facts) {
            super(facts);
        }
    }

    /** The tool use is closed: somebody was faster, or the turn was interrupted. Benign: go on. */
    public static final class ToolUseClosed extends ManagedAgentsException {
        ToolUseClosed(Facts facts) {
            super(facts);
        }
    }

    /** The session is completed, failed or archived (metadata {@code status}): only reads and a deletion work. */
    public static final class SessionTerminal extends ManagedAgentsException {
        SessionTerminal(Facts facts) {
            super(facts);
        }
    }

    /** The agent is archived and takes no new sessions and no new versions. */
    public static final class AgentArchived extends ManagedAgentsException {
        AgentArchived(Facts facts) {
            super(facts);
        }
    }

    /** The agent was changed since the version that the update names: read it and decide again. */
    public static final class VersionConflict extends ManagedAgentsException {
        VersionConflict(Facts facts) {
            super(facts);
        }
    }

    /** The request id was used with another request. */
    public static final class RequestIdReused extends ManagedAgentsException {
        RequestIdReused(Facts facts) {
            super(facts);
        }
    }

    /** The seq to go on from is beyond the log's head; metadata {@code head_seq} gives the head. */
    public static final class FromSeqBeyondHead extends ManagedAgentsException {
        FromSeqBeyondHead(Facts facts) {
            super(facts);
        }
    }

    /** A backup was restored: the seqs known here mean nothing any more. Read the session anew from 0. */
    public static final class LogReplaced extends ManagedAgentsException {
        LogReplaced(Facts facts) {
            super(facts);
        }
    }

    /** A limit is reached; metadata {@code limit} names it, {@code value} gives it. */
    public static final class LimitExceeded extends ManagedAgentsException {
        LimitExceeded(Facts facts) {
            super(facts);
        }
    }

    /** The model's provider cannot be used as the definition asks. */
    public static final class ProviderUnusable extends ManagedAgentsException {
        ProviderUnusable(Facts facts) {
            super(facts);
        }
    }

    /** A tool of the definition cannot be used at this server. */
    public static final class ToolUnusable extends ManagedAgentsException {
        ToolUnusable(Facts facts) {
            super(facts);
        }
    }

    /** The session works towards an outcome already. */
    public static final class OutcomeActive extends ManagedAgentsException {
        OutcomeActive(Facts facts) {
            super(facts);
        }
    }

    /** No token, or one that the server does not know. */
    public static final class Unauthenticated extends ManagedAgentsException {
        Unauthenticated(Facts facts) {
            super(facts);
        }
    }

    /** An event of the log cannot be read (metadata {@code seq}): go on after it. */
    public static final class EventUnreadable extends ManagedAgentsException {
        EventUnreadable(Facts facts) {
            super(facts);
        }
    }

    /** A fault of the server; its own log tells more under metadata {@code error_id}. */
    public static final class ServerFault extends ManagedAgentsException {
        ServerFault(Facts facts) {
            super(facts);
        }
    }

    /** The server is there and cannot do it now: it shuts down, or its log cannot be written. */
    public static class Unavailable extends ManagedAgentsException {
        Unavailable(Facts facts) {
            super(facts);
        }
    }

    /** The server did not answer in time. A changing call may have been applied. */
    public static final class DeadlineExceeded extends ManagedAgentsException {
        DeadlineExceeded(Facts facts) {
            super(facts);
        }
    }

    /** No server answered in the time that the client has patience for. A changing call may have been applied. */
    public static final class NoAnswer extends Unavailable {
        NoAnswer(Facts facts) {
            super(facts);
        }
    }

    /** Something speaks gRPC at this address, and it is not this service, or an older version of it. */
    public static final class NotThisService extends ManagedAgentsException {
        NotThisService(Facts facts) {
            super(facts);
        }
    }

    /** A stream gave what it never gives, say a hole between two seqs: a fault of the server or of something between. */
    public static final class PromiseBroken extends ManagedAgentsException {
        PromiseBroken(Facts facts) {
            super(facts);
        }
    }

    /** The class for each reason of the protos. */
    static final Map<String, Function<Facts, ManagedAgentsException>> BY_REASON = Map.ofEntries(
            Map.entry("INVALID_REQUEST", InvalidRequest::new),
            Map.entry("MALFORMED_REQUEST", InvalidRequest::new),
            Map.entry("INVALID_PAGE_TOKEN", InvalidRequest::new),
            Map.entry("NOT_IMPLEMENTED", NotImplementedByServer::new),
            Map.entry("AGENT_NOT_FOUND", NotFound::new),
            Map.entry("SESSION_NOT_FOUND", NotFound::new),
            Map.entry("TOOL_USE_NOT_FOUND", NotFound::new),
            Map.entry("TOOL_USE_CLOSED", ToolUseClosed::new),
            Map.entry("SESSION_TERMINAL", SessionTerminal::new),
            Map.entry("AGENT_ARCHIVED", AgentArchived::new),
            Map.entry("VERSION_CONFLICT", VersionConflict::new),
            Map.entry("REQUEST_ID_REUSED", RequestIdReused::new),
            Map.entry("FROM_SEQ_BEYOND_HEAD", FromSeqBeyondHead::new),
            Map.entry("LOG_REPLACED", LogReplaced::new),
            Map.entry("LIMIT_EXCEEDED", LimitExceeded::new),
            Map.entry("PROVIDER_UNUSABLE", ProviderUnusable::new),
            Map.entry("TOOL_UNUSABLE", ToolUnusable::new),
            Map.entry("OUTCOME_ACTIVE", OutcomeActive::new),
            Map.entry("UNAUTHENTICATED", Unauthenticated::new),
            Map.entry("EVENT_UNREADABLE", EventUnreadable::new),
            Map.entry("INTERNAL", ServerFault::new),
            Map.entry("LOG_UNAVAILABLE", Unavailable::new),
            Map.entry("DRAINING", Unavailable::new),
            Map.entry("DEADLINE_EXCEEDED", DeadlineExceeded::new));
}
