package io.github.managedagents.support;

import static io.github.managedagents.support.Said.event;
import static io.github.managedagents.support.Said.opened;

import io.github.managedagents.v1.*;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/** A session that says what a test wants, and the words for what it says. */
public final class FakeSession {
    public static final SessionEvent MESSAGE =
            of(1).setUserMessage(UserMessage.getDefaultInstance()).build();

    public static final SessionEvent DONE = idle(1, StopReason.newBuilder().setEndTurn(EndTurn.getDefaultInstance()));

    private FakeSession() {}

    /** A session whose log is these events, the first of them what is sent; {@code answered} follow once more was sent. */
    public static FakeServer session(List<SessionEvent> log, SessionEvent... answered) throws Exception {
        return session(1, log, answered);
    }

    /** The same, where {@code answered} follow after so many sends. */
    public static FakeServer session(int sends, List<SessionEvent> log, SessionEvent... answered) throws Exception {
        FakeServer server = new FakeServer();
        AtomicInteger before = new AtomicInteger();
        return server.on("SendEvent", request -> {
                    if (begins(((SendEventRequest) request).getEvent())) {
                        before.set(answers(server).size());
                    }
                    return SendEventResponse.newBuilder().setSeq(1).build();
                })
                .on("Status", request -> StatusResponse.getDefaultInstance())
                .streaming((request, to) -> {
                    to.onNext(opened(9));
                    long seq = 0;
                    for (SessionEvent event : log) {
                        to.onNext(event(event.toBuilder().setSeq(++seq).build()));
                    }
                    for (SessionEvent event : answered) {
                        while (answers(server).size() < before.get() + sends) {
                            server.arrived.take();
                        }
                        to.onNext(event(event.toBuilder().setSeq(++seq).build()));
                    }
                });
    }

    /** What was sent after the message, or the outcome. */
    public static List<UserEvent> answers(FakeServer server) {
        return server.asked(SendEventRequest.class).stream()
                .map(SendEventRequest::getEvent)
                .filter(event -> !begins(event))
                .toList();
    }

    private static boolean begins(UserEvent event) {
        return event.hasUserMessage() || event.hasUserDefineOutcome();
    }

    public static SessionEvent.Builder of(long turn) {
        return SessionEvent.newBuilder().setTurn(turn);
    }

    public static SessionEvent idle(long turn, StopReason.Builder reason) {
        return of(turn).setStatusIdle(StatusIdle.newBuilder().setStopReason(reason))
                .build();
    }

    public static SessionEvent waitsFor(String useId) {
        return idle(
                1,
                StopReason.newBuilder()
                        .setRequiresAction(RequiresAction.newBuilder().addIds(useId)));
    }

    public static SessionEvent judged(long turn, boolean met) {
        return of(turn).setOutcomeEvaluated(OutcomeEvaluated.newBuilder().setMet(met))
                .build();
    }

    public static SessionEvent asks(String useId) {
        return of(1).setAgentToolUse(AgentToolUse.newBuilder()
                        .setToolUseId(useId)
                        .setName("bash")
                        .setPermission(PermissionDecision.PERMISSION_DECISION_ASK))
                .build();
    }

    public static SessionEvent calls(String useId, String name) {
        return of(1).setAgentCustomToolUse(AgentCustomToolUse.newBuilder()
                        .setCustomToolUseId(useId)
                        .setName(name))
                .build();
    }
}
