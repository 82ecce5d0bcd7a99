package io.github.managedagents;

import io.github.managedagents.Answers.Answer;
import io.github.managedagents.v1.PendingAction;
import io.github.managedagents.v1.SessionEvent;
import io.github.managedagents.v1.ToolConfirmation;
import io.github.managedagents.v1.UserEvent;
import io.github.managedagents.v1.UserToolConfirmation;
import io.grpc.Context;
import io.grpc.Status;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicReference;

/**
 * One message's turn (or an outcome's turns), from its seq to its end. The thread that runs reads the events and owns all
 * that is here; handlers and confirmations are at work on threads of the client.
 */
final class Run {
    private static final System.Logger LOGGER = System.getLogger("managedagents");

    /** What answers to a use that nobody waits for any more. The stream says how the turn goes on, or that it is over. */
    private static final Set<String> TOO_LATE = Set.of("TOOL_USE_CLOSED", "SESSION_TERMINAL", "SESSION_NOT_FOUND");

    private static final Set<Status.Code> REFUSED =
            EnumSet.of(Status.Code.INVALID_ARGUMENT, Status.Code.RESOURCE_EXHAUSTED);

    private final Client client;
    private final Answers answers;
    private final Executor threads;
    private final String sessionId;
    private final long seq;
    private final RunOptions options;
    private final Follow<SessionEvent> following;
    private final AtomicReference<Throwable> failure = new AtomicReference<>();
    private volatile boolean over;

    private final Course course;
    private final Map<String, ToolUse> toConfirm = new HashMap<>();
    private final Map<String, Future<?>> atWork = new HashMap<>();

    Run(Client client, Answers answers, Executor threads, String sessionId, long seq, RunOptions options) {
        this.client = client;
        this.answers = answers;
        this.threads = threads;
        this.sessionId = sessionId;
        this.seq = seq;
        this.options = options;
        this.following = client.follow(sessionId, seq - 1);
        this.course = new Course(seq, use -> atWork.containsKey(use) || answers.isInHand(sessionId, use));
    }

    /** Follow the turn to its end. Interrupting this stops the handlers and leaves the session as it is. */
    RunResult result() {
        try (following) {
            answerEarlier();
            follow();
        } finally {
            // What is still at work answers a use that the end of the turn has closed.
            over = true;
            atWork.forEach((useId, work) -> {
                work.cancel(true);
                answers.breakOff(sessionId, useId);
            });
        }
        if (failure.get() instanceof Error fatal) {
            throw fatal;
        }
        if (failure.get() instanceof RuntimeException failed) {
            throw failed;
        }
        return course.result();
    }

    /** An earlier turn that waits keeps ours from beginning. Uses of our own are met again in the stream. */
    private void answerEarlier() {
        List<PendingAction> waiting;
        try {
            waiting = client.status(sessionId).getPendingActionsList();
        } catch (ManagedAgentsException.NotFound deleted) {
            // Deleted after it took our message; following it tells the same.
            return;
        }
        for (PendingAction action : waiting) {
            ToolUse use = ToolUse.of(action);
            if (action.getSeq() < seq) {
                look(use);
            }
        }
    }

    private void follow() {
        while (hasNext()) {
            SessionEvent event = following.next();
            boolean ours = course.isOurs(event);
            settle(event);
            ToolUse.of(event).ifPresent(this::look);
            if (ours) {
                course.keep(event);
                options.onEvent.accept(event);
            }
            if (course.isOver(event, ours)) {
                return;
            }
        }
        following
                .ended()
                .ifPresent(ended -> course.ended(ended.getReason()
                        .name()
                        .replace("STREAM_END_REASON_", "")
                        .toLowerCase(Locale.ROOT)));
    }

    private boolean hasNext() {
        try {
            return following.hasNext();
        } catch (ManagedAgentsException.NotFound deleted) {
            // It took our message, so it was there.
            course.ended("deleted");
            return false;
        }
    }

    /** Begin to answer a use, where there is something here to answer it with. Others are left open for others. */
    private void look(ToolUse use) {
        if (!use.needsConfirmation()) {
            begin(use);
            return;
        }
        toConfirm.put(use.id(), use);
        if (options.confirm != null) {
            start(use, () -> decide(use));
        }
    }

    private void begin(ToolUse use) {
        ToolHandler handler = options.tools.get(use.name());
        if (use.atClient() && handler != null && answers.claim(sessionId, use.id())) {
            start(use, () -> answer(use, handler));
        }
    }

    /** The first failure of what is at work is the caller's to see, and ends the run. */
    private void start(ToolUse use, Runnable job) {
        FutureTask<Void> work = new FutureTask<>(job, null) {
            @Override
            protected void setException(Throwable failed) {
                super.setException(failed);
                if (!isCancelled() && !over) {
                    failure.compareAndSet(null, failed);
                    following.close();
                }
            }
        };
        atWork.put(use.id(), work);
        threads.execute(Context.current().wrap(work));
    }

    /** A use was confirmed, and its result is wanted now; or it was closed, and its handler works for nothing. */
    private void settle(SessionEvent event) {
        if (event.hasUserToolConfirmation()) {
            UserToolConfirmation decided = event.getUserToolConfirmation();
            ToolUse use = toConfirm.remove(decided.getToolUseId());
            if (use == null) {
                // It was decided before Status told of it: what is at work is its handler.
                return;
            }
            // Somebody else was faster, and nobody need be asked any more; or it is our own decision that came back.
            cancel(atWork.remove(use.id()));
            if (decided.getDecision() == ToolConfirmation.TOOL_CONFIRMATION_ALLOW) {
                begin(use);
            }
        } else if (event.hasAgentToolResult()) {
            cancel(atWork.get(event.getAgentToolResult().getToolUseId()));
        } else if (event.hasAgentMcpToolResult()) {
            cancel(atWork.get(event.getAgentMcpToolResult().getToolUseId()));
        }
    }

    private static void cancel(Future<?> work) {
        if (work != null) {
            work.cancel(true);
        }
    }

    private void decide(ToolUse use) {
        Decision decision = options.confirm.apply(use);
        send(Events.confirmation(use.id(), decision == null ? Decision.deny() : decision));
    }

    private void answer(ToolUse use, ToolHandler handler) {
        Answer answer = answers.answer(sessionId, use, handler);
        try {
            send(Events.result(use, answer.content(), answer.isError()));
        } catch (ManagedAgentsException refused) {
            if (!REFUSED.contains(refused.code())) {
                throw refused;
            }
            // The handler's result is too large, say. The model is told, rather than left waiting.
            Answer told = Answer.error("The tool ran, but its result was refused: " + refused.getMessage());
            send(Events.result(use, told.content(), true));
        }
        answers.sent(sessionId, use.id());
    }

    private void send(UserEvent event) {
        if (over) {
            throw Calls.cancellation("the run is over", null);
        }
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
