package io.github.managedagents;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Descriptors.FieldDescriptor.JavaType;
import com.google.protobuf.util.Durations;
import io.github.managedagents.v1.ErrorEvent;
import io.github.managedagents.v1.ErrorNext;
import io.github.managedagents.v1.SessionEvent;
import io.github.managedagents.v1.StatusIdle;
import io.github.managedagents.v1.StopReason;
import io.github.managedagents.v1.Usage;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;

/** What a run has seen: which turns are its own, what came of them, and whether they are over. */
final class Course {
    private final long seq;
    private final Predicate<String> isAnsweredHere;
    private final Set<Long> turns = new HashSet<>();
    private final List<SessionEvent> events = new ArrayList<>();
    private boolean isOutcome;
    /** The outcome's first turn has begun. */
    private boolean isTowards;

    private String saidIn = "";
    private String stopReason = "";
    private String text = "";
    private Usage usage = Usage.getDefaultInstance();
    private ErrorEvent error;
    private List<String> waitsFor = List.of();

    /** {@code isAnsweredHere}: whether a use, by its id, is answered by this client. */
    Course(long seq, Predicate<String> isAnsweredHere) {
        this.seq = seq;
        this.isAnsweredHere = isAnsweredHere;
        turns.add(seq);
    }

    /** What a message's turn within the outcome led to is judged for the outcome. */
    boolean isOurs(SessionEvent event) {
        return turns.contains(event.getTurn()) || (isTowards && event.hasOutcomeEvaluated());
    }

    /** An event of our own. */
    void keep(SessionEvent event) {
        events.add(event);
        if (isOutcome && event.hasResponse()) {
            usage = sum(usage, event.getResponse().getUsage());
        }
        if (event.hasAgentMessage()) {
            String words = Events.textOf(event.getAgentMessage().getContentList());
            boolean same =
                    !event.getResponseId().isEmpty() && event.getResponseId().equals(saidIn);
            if (!words.isEmpty()) {
                text = same ? text + words : words;
                saidIn = event.getResponseId();
            }
        } else if (event.hasError() && event.getError().getNext() != ErrorNext.ERROR_NEXT_TURN_GOES_ON) {
            error = event.getError();
        }
    }

    /** Whether the run ends with the event; {@code ours} as it was before the event. */
    boolean isOver(SessionEvent event, boolean ours) {
        switch (event.getPayloadCase()) {
            case STATUS_IDLE -> {
                return isOverAt(event.getStatusIdle(), ours);
            }
            case STATUS_COMPLETED, STATUS_FAILED, STATUS_ARCHIVED -> {
                stopReason = Events.kindOf(event).replace("status.", "");
                return true;
            }
            case USER_DEFINE_OUTCOME -> isOutcome |= event.getSeq() == seq;
            case STATUS_RUNNING -> isTowards |= ours && isOutcome;
            case OUTCOME_EVALUATED -> {
                if (ours && isOutcome) {
                    turns.add(event.getSeq());
                } else if (ours) {
                    stopReason = "outcome_evaluated";
                    return true;
                }
            }
            default -> {}
        }
        return false;
    }

    private boolean isOverAt(StatusIdle idle, boolean ours) {
        StopReason reason = idle.getStopReason();
        if (reason.getInterrupted().getDroppedSeqsList().contains(seq)) {
            stopReason = "dropped";
            return true;
        }
        if (isTowards && reason.hasEndTurn()) {
            // A message's turn comes next, and it is judged after that one.
            return false;
        }
        if (!ours && (!isTowards || reason.hasRequiresAction())) {
            return false;
        }
        List<String> waiting = reason.getRequiresAction().getIdsList();
        if (waiting.stream().anyMatch(isAnsweredHere)) {
            return false;
        }
        stopReason = Events.stopReasonOf(idle);
        waitsFor = waiting;
        usage = isOutcome ? usage : idle.getUsage();
        return true;
    }

    /** The session ended under the run. */
    void ended(String reason) {
        stopReason = reason;
    }

    RunResult result() {
        return new RunResult(
                seq, stopReason, text, List.copyOf(events), usage, Optional.ofNullable(error), List.copyOf(waitsFor));
    }

    private static Usage sum(Usage one, Usage other) {
        Usage.Builder sum = one.toBuilder().setModelTime(Durations.add(one.getModelTime(), other.getModelTime()));
        for (FieldDescriptor counted : Usage.getDescriptor().getFields()) {
            if (counted.getJavaType() == JavaType.LONG) {
                sum.setField(counted, (Long) one.getField(counted) + (Long) other.getField(counted));
            }
        }
        return sum.build();
    }
}
