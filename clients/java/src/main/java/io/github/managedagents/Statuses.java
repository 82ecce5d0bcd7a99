package io.github.managedagents;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.github.managedagents.ManagedAgentsException.FieldViolation;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.nio.channels.ClosedChannelException;
import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** From a gRPC status to an exception: by the reason in its details, and by its code where there is none. */
final class Statuses {
    private static final String DOMAIN = "managedagents";

    /** What a cut connection looks like. A server that stops, or a proxy, ends a call with CANCELLED. */
    private static final Set<Status.Code> CUT = EnumSet.of(Status.Code.UNAVAILABLE, Status.Code.CANCELLED);

    private Statuses() {}

    /** {@code answered}: the client has heard from the server before. */
    static ManagedAgentsException exception(StatusRuntimeException failure, String address, boolean answered) {
        if (isClosedUnderIt(failure)) {
            Status cut = Status.UNAVAILABLE.withDescription(failure.getStatus().getDescription());
            return exception(cut.asRuntimeException(), address, answered);
        }
        Status.Code code = failure.getStatus().getCode();
        String text = Optional.ofNullable(failure.getStatus().getDescription()).orElse("");
        Details details = details(failure);
        if (details.info().isPresent()) {
            ErrorInfo info = details.info().get();
            return ManagedAgentsException.byReason(
                    details.facts(text, failure, info.getReason(), info.getMetadataMap()));
        }
        if (CUT.contains(code)) {
            String said = answered ? "no answer from the server at " + address : "no server at " + address;
            return new ManagedAgentsException.NoAnswer(
                    details.facts(text.isEmpty() ? said : said + " (" + text + ")", failure));
        }
        if (code == Status.Code.UNIMPLEMENTED) {
            String said = address + " is no managed agents server, or an older one (" + text + ")";
            return new ManagedAgentsException.NotThisService(details.facts(said, failure));
        }
        if (code == Status.Code.DEADLINE_EXCEEDED) {
            String said = address + " did not answer in time; the call may have been applied";
            return new ManagedAgentsException.DeadlineExceeded(details.facts(said, failure));
        }
        return new ManagedAgentsException(details.facts(code + ": " + text, failure));
    }

    /** A call that starts just when its connection closes: gRPC says UNKNOWN, and of what only in the cause. */
    private static boolean isClosedUnderIt(StatusRuntimeException failure) {
        Throwable cause = failure.getStatus().getCause();
        while (cause != null && !(cause instanceof ClosedChannelException)) {
            cause = cause.getCause();
        }
        return cause != null;
    }

    /** Whether asking again, with the same request id, may help. */
    static boolean isPassing(ManagedAgentsException error) {
        return error.retryAfter().isPresent() || CUT.contains(error.code());
    }

    private record Details(Optional<ErrorInfo> info, List<FieldViolation> violations, Optional<Duration> retryAfter) {
        ManagedAgentsException.Facts facts(String message, StatusRuntimeException failure) {
            return facts(message, failure, "", Map.of());
        }

        ManagedAgentsException.Facts facts(
                String message, StatusRuntimeException failure, String reason, Map<String, String> metadata) {
            Status.Code code = failure.getStatus().getCode();
            return new ManagedAgentsException.Facts(message, code, reason, violations, retryAfter, metadata, failure);
        }
    }

    private static Details details(StatusRuntimeException failure) {
        ErrorInfo info = null;
        List<FieldViolation> violations = List.of();
        Duration retryAfter = null;
        try {
            for (Any detail : StatusProto.fromThrowable(failure).getDetailsList()) {
                if (detail.is(ErrorInfo.class)) {
                    ErrorInfo found = detail.unpack(ErrorInfo.class);
                    info = found.getDomain().equals(DOMAIN) ? found : info;
                } else if (detail.is(BadRequest.class)) {
                    violations = detail.unpack(BadRequest.class).getFieldViolationsList().stream()
                            .map(bad -> new FieldViolation(bad.getField(), bad.getDescription()))
                            .toList();
                } else if (detail.is(RetryInfo.class)) {
                    var delay = detail.unpack(RetryInfo.class).getRetryDelay();
                    retryAfter = Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
                }
            }
        } catch (InvalidProtocolBufferException | IllegalArgumentException notOurs) {
            // The code and the text of the call still tell what there is to tell.
            return new Details(Optional.empty(), List.of(), Optional.empty());
        }
        return new Details(Optional.ofNullable(info), violations, Optional.ofNullable(retryAfter));
    }
}
