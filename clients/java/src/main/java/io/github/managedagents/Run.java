package io.github.managedagents;

import com.google.protobuf.Message;
import io.github.managedagents.v1.*;
import io.grpc.Context;
import io.grpc.Status;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicReference;

/**
 * One message's turn (or an outcome's turns), from its seq to its end. The thread that runs reads the stream and owns
 * what is at work; handlers and confirmations are called on threads of the client.
 */
final class Run {
    private static final System.Logger LOGGER = System.getLogger("managedagents");

    /** What answers to a use that nobody waits for any more. The stream says how the turn goes on, or that it is over. */
    private static final Set<String> TOO_LATE = Set.of("TOOL_USE_CLOSED", "SESSION_TERMINAL", "SESSION_NOT_FOUND");

    /** A use, and what it waits for. */
    private record Key(String useId, PendingActionKind kind) {}

    private final Client client;
    private final String sessionId;
    private final long seq;
    private final RunOptions options;
    private final Follow<Message> following;
    private final List<SessionEvent> events = new ArrayList<>();
    /** How to stop what is at work. */
    private final Map<Key, Runnable> atWork = new HashMap<>();

    private final AtomicReference<Throwable> failure = new AtomicReference<>();

    Run(Client client, String sessionId, long seq, RunOptions options) {
        this.client = client;
        this.sessionId = sessionId;
        this.seq = seq;
        this.options = options;
        this.following = client.followItems(StreamEventsRequest.newBuilder()
                .setSessionId(sessionId)
                .setFromSeq(seq - 1)
                .setTurn(seq)
                .build());
    }

    /** Follow the turn to its end. Interrupting this stops the handlers and leaves the session as it is. */
    RunResult result() {
        TurnResult result;
        try (following) {
            result = follow();
        } finally {
            // What is still at work answers a use that the end of the turn has closed.
            work(List.of());
        }
        if (failure.get() != null) {
            Run.<RuntimeException>rethrow(failure.get());
        }
        return new RunResult(
                seq,
                result.getStopReason() == TurnStopReason.TURN_STOP_REASON_UNSPECIFIED
                        ? "deleted"
                        : Events.stopReasonOf(result),
                result.getText(),
                List.copyOf(events),
                result.getUsage(),
                result.hasError() ? Optional.of(result.getError()) : Optional.empty(),
                List.copyOf(result.getWaitsForList()));
    }

    /** How the turn ended. Empty: its session was deleted. */
    private TurnResult follow() {
        TurnResult result = TurnResult.getDefaultInstance();
        while (hasNext()) {
            Message item = following.next();
            if (item instanceof SessionEvent event) {
                events.add(event);
                options.onEvent.accept(event);
            } else if (item instanceof StreamTurn turn) {
                work(turn.getPendingActionsList());
                result = turn.getResult();
                if (isLeftToOthers(turn)) {
                    return result;
                }
            }
        }
        // The end of a turn is told before its stream ends: a stream that ends without it ended with the deletion.
        boolean isOver = result.getStopReason() != TurnStopReason.TURN_STOP_REASON_REQUIRES_ACTION;
        return isOver ? result : TurnResult.getDefaultInstance();
    }

    private boolean hasNext() {
        try {
            return following.hasNext();
        } catch (ManagedAgentsException.NotFound deleted) {
            // It took our message, so it was there.
            return false;
        }
    }

    /** Work on what is waited for, and on nothing else. */
    private void work(List<PendingAction> pending) {
        Map<Key, PendingAction> wanted = new HashMap<>();
        pending.forEach(action -> wanted.put(new Key(action.getToolUseId(), action.getKind()), action));
        for (Key key : Set.copyOf(atWork.keySet())) {
            if (!wanted.containsKey(key)) {
                // Decided, answered or closed, be it by us.
                atWork.remove(key).run();
            }
        }
        wanted.forEach((key, action) -> {
            if (!atWork.containsKey(key)) {
                begin(key, action);
            }
        });
    }

    /** Begin to answer a use, where there is something here to answer it with. Others are left open for others. */
    private void begin(Key key, PendingAction action) {
        switch (action.getKind()) {
            case PENDING_ACTION_KIND_TOOL_CONFIRMATION -> {
                if (options.confirm != null) {
                    start(key, () -> decide(action), () -> {});
                }
            }
            case PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT, PENDING_ACTION_KIND_TOOL_RESULT -> {
                ToolHandler handler = options.tools.get(action.getName());
                Answer.Use use = new Answer.Use(sessionId, action.getToolUseId());
                Answer kept = handler == null ? Answer.IN_HAND : client.answers.put(use, Answer.IN_HAND);
                if (kept != Answer.IN_HAND) {
                    // A handler that does not hear that it is stopped runs on, and nobody waits for it.
                    Answer left = kept == null ? Answer.STOPPED : kept;
                    Runnable stopped = () -> client.answers.replace(use, Answer.IN_HAND, left);
                    start(key, () -> answer(use, kept, action, handler), stopped);
                }
            }
            default -> {}
        }
    }

    /** The first failure of what is at work is the caller's to see, and ends the run. */
    private void start(Key key, Runnable job, Runnable stopped) {
        // Nothing is sent in a context that is cancelled: also a handler that hears of no interrupt comes too late.
        Context.CancellableContext context = Context.current().withCancellation();
        Future<?> task = client.threads.submit(context.wrap(() -> {
            try {
                job.run();
            } catch (Throwable failed) {
                if (!context.isCancelled()) {
                    failure.compareAndSet(null, failed);
                    following.close();
                }
            }
        }));
        atWork.put(key, () -> {
            context.cancel(null);
            if (task.cancel(true)) {
                stopped.run();
            }
        });
    }

    /** As it was thrown: not every language that runs on Java knows checked exceptions. */
    @SuppressWarnings("unchecked")
    private static <E extends Throwable> void rethrow(Throwable failed) throws E {
        throw (E) failed;
    }

    private boolean isLeftToOthers(StreamTurn turn) {
        List<String> waitsFor = turn.getResult().getWaitsForList();
        return turn.getPendingActionsList().stream().anyMatch(action -> waitsFor.contains(action.getToolUseId()))
                && waitsFor.stream().noneMatch(this::isAnsweredHere);
    }

    private boolean isAnsweredHere(String useId) {
        return atWork.containsKey(new Key(useId, PendingActionKind.PENDING_ACTION_KIND_TOOL_CONFIRMATION))
                || client.answers.get(new Answer.Use(sessionId, useId)) == Answer.IN_HAND;
    }

    private void decide(PendingAction action) {
        Decision decision = options.confirm.apply(action);
        send(Events.confirmation(action.getToolUseId(), decision == null ? Decision.deny() : decision));
    }

    private void answer(Answer.Use use, Answer kept, PendingAction action, ToolHandler handler) {
        Answer answer = Answer.STOPPED;
        try {
            answer = kept == null ? Answer.of(action, handler) : kept;
            tell(action, answer);
            answer = Answer.IN_HAND;
        } finally {
            client.answers.put(use, answer);
        }
    }

    private void tell(PendingAction action, Answer answer) {
        try {
            send(Events.result(action, answer.content(), answer.isError()));
        } catch (ManagedAgentsException refused) {
            if (refused.code() != Status.Code.INVALID_ARGUMENT && refused.code() != Status.Code.RESOURCE_EXHAUSTED) {
                throw refused;
            }
            // The handler's result is too large, say. The model is told, rather than left waiting.
            String told = "The tool ran, but its result was refused: " + refused.getMessage();
            send(Events.result(action, List.of(Events.text(told)), true));
        }
    }

    private void send(UserEvent event) {
        try {
            client.send(sessionId, event);
        } catch (ManagedAgentsException late) {
            if (!TOO_LATE.contains(late.reason())) {
                throw late;
            }
            LOGGER.log(System.Logger.Level.DEBUG, "nobody waits for this answer any more: {0}", late.getMessage());
        }
    }
}
