package io.github.managedagents.support;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.github.managedagents.Events;
import io.github.managedagents.v1.*;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.Map;

/** What a service says: refusals, and messages of a stream. */
public final class Said {
    private Said() {}

    /** A refusal without any details. */
    public static StatusRuntimeException refusal(Status.Code code) {
        return code.toStatus().withDescription("refused").asRuntimeException();
    }

    /** A refusal for a reason. */
    public static StatusRuntimeException refusal(Status.Code code, String reason) {
        return refusal(code, info("managedagents", reason, Map.of()));
    }

    /** A refusal with these details. */
    public static StatusRuntimeException refusal(Status.Code code, Any... details) {
        return StatusProto.toStatusRuntimeException(com.google.rpc.Status.newBuilder()
                .setCode(code.value())
                .setMessage("refused")
                .addAllDetails(java.util.List.of(details))
                .build());
    }

    public static Any info(String domain, String reason, Map<String, String> metadata) {
        return Any.pack(ErrorInfo.newBuilder()
                .setDomain(domain)
                .setReason(reason)
                .putAllMetadata(metadata)
                .build());
    }

    public static Any violation(String field, String why) {
        return Any.pack(BadRequest.newBuilder()
                .addFieldViolations(
                        BadRequest.FieldViolation.newBuilder().setField(field).setDescription(why))
                .build());
    }

    public static Any retryAfter(int milliseconds) {
        return Any.pack(RetryInfo.newBuilder()
                .setRetryDelay(Duration.newBuilder().setNanos(milliseconds * 1_000_000))
                .build());
    }

    public static StreamEventsResponse opened(long head) {
        return StreamEventsResponse.newBuilder()
                .setOpened(StreamOpened.newBuilder().setHeadSeq(head).setLogId("log_1"))
                .build();
    }

    /** Events of a kind that is known, with these seqs. */
    public static StreamEventsResponse batch(long first, long last) {
        EventBatch.Builder batch = EventBatch.newBuilder().setThroughSeq(last);
        for (long seq = first; seq <= last; seq++) {
            batch.addEvents(SessionEvent.newBuilder().setSeq(seq).setAgentMessage(AgentMessage.getDefaultInstance()));
        }
        return StreamEventsResponse.newBuilder().setBatch(batch).build();
    }

    public static StreamEventsResponse event(SessionEvent event) {
        return StreamEventsResponse.newBuilder()
                .setBatch(EventBatch.newBuilder().addEvents(event).setThroughSeq(event.getSeq()))
                .build();
    }

    /** An answer, as the events of the response tell it. */
    public static StreamEventsResponse answer(long seq, String words) {
        return event(SessionEvent.newBuilder()
                .setSeq(seq)
                .setResponseId("rsp_1")
                .setAgentMessage(AgentMessage.newBuilder().addContent(Events.text(words)))
                .build());
    }

    public static StreamEventsResponse caughtUp(long head) {
        return StreamEventsResponse.newBuilder()
                .setCaughtUp(StreamCaughtUp.newBuilder().setHeadSeq(head))
                .build();
    }

    public static StreamEventsResponse progress(long seq) {
        return StreamEventsResponse.newBuilder()
                .setProgress(StreamProgress.newBuilder().setThroughSeq(seq))
                .build();
    }

    public static StreamEventsResponse delta(String text) {
        return StreamEventsResponse.newBuilder()
                .setDelta(StreamDelta.newBuilder()
                        .setResponseId("rsp_1")
                        .setAttempt(1)
                        .setText(text))
                .build();
    }

    /** The end: of an archived session, or of a server that shuts down. */
    public static StreamEventsResponse ended(long last, boolean isFinal) {
        return StreamEventsResponse.newBuilder()
                .setEnded(StreamEnded.newBuilder()
                        .setReason(
                                isFinal
                                        ? StreamEndReason.STREAM_END_REASON_ARCHIVED
                                        : StreamEndReason.STREAM_END_REASON_DRAINING)
                        .setLastSeq(last)
                        .setFinal(isFinal))
                .build();
    }
}
