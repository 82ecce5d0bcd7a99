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
import java.util.EnumSet;
import java.util.Objects;
import java.util.Set;

/** From a gRPC status to an exception: by the reason in its details, and by its code where there is none. */
final class Statuses {
    /** What a cut connection looks like. A server that stops, or a proxy, ends a call with CANCELLED. */
    private static final Set<Status.Code> CUT = EnumSet.of(Status.Code.UNAVAILABLE, Status.Code.CANCELLED);

    private Statuses() {}

    /** {@code answered}: the client has heard from the server before. */
    static ManagedAgentsException exception(Exception failure, String address, boolean answered) {
        Status status = Status.fromThrowable(failure);
        // A call that starts just when its connection closes: gRPC says UNKNOWN, and of what only in the cause.
        Status.Code code = isOfClosing(status.getCause()) ? Status.Code.UNAVAILABLE : status.getCode();
        String text = Objects.toString(status.getDescription(), "");
        ErrorInfo info = detail(failure, ErrorInfo.getDefaultInstance());
        ManagedAgentsException error;
        if (info.getDomain().equals("managedagents")) {
            error = ManagedAgentsException.of(info).told(code, text);
        } else if (CUT.contains(code)) {
            String said = (answered ? "no answer from the server at " : "no server at ") + address;
            error = new ManagedAgentsException.NoAnswer().told(code, text.isEmpty() ? said : said + " (" + text + ")");
        } else if (code == Status.Code.UNIMPLEMENTED) {
            String said = address + " is no managed agents server, or an older one (" + text + ")";
            error = new ManagedAgentsException.NotThisService().told(code, said);
        } else if (code == Status.Code.DEADLINE_EXCEEDED) {
            String said = address + " did not answer in time; the call may have been applied";
            error = new ManagedAgentsException.DeadlineExceeded().told(code, said);
        } else {
            error = new ManagedAgentsException().told(code, code + ": " + text);
        }
        BadRequest bad = detail(failure, BadRequest.getDefaultInstance());
        return error.with(bad, detail(failure, RetryInfo.getDefaultInstance()), failure);
    }

    /** Whether asking again, with the same request id, may help. */
    static boolean isPassing(ManagedAgentsException error) {
        return error.retryAfter().isPresent() || CUT.contains(error.code());
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
}
