package io.github.managedagents.support;

import static io.github.managedagents.support.Said.event;
import static io.github.managedagents.support.Said.opened;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.managedagents.v1.*;
import java.util.List;
import java.util.stream.Stream;

/** A session that tells of one turn what a test wants, and the words for what it tells. */
public final class FakeSession {
    /** A message of the stream, or what has to have come before the next one. */
    public interface Step {
        StreamEventsResponse next(FakeServer server) throws Exception;
    }

    public static final Step MESSAGE = message(1);

    private FakeSession() {}

    /** A session whose stream is these steps, once it was sent something. */
    public static FakeServer session(Step... steps) throws Exception {
        return answering(request -> SendEventResponse.newBuilder().setSeq(1).build(), steps);
    }

    /** The same, which answers so to what is sent. */
    public static FakeServer answering(FakeServer.Call sends, Step... steps) throws Exception {
        FakeServer server = new FakeServer();
        return server.on("SendEvent", request -> {
                    synchronized (server) {
                        server.notifyAll();
                    }
                    return sends.answer(request);
                })
                .streaming((request, to) -> {
                    assertEquals(1, request.getTurn());
                    assertEquals(0, request.getFromSeq());
                    to.onNext(opened(9));
                    for (Step step : steps) {
                        StreamEventsResponse said = step.next(server);
                        if (said != null) {
                            to.onNext(said);
                        }
                    }
                });
    }

    /** What was sent after the message. */
    public static List<UserEvent> answers(FakeServer server) {
        return server.asked(SendEventRequest.class).stream()
                .map(SendEventRequest::getEvent)
                .filter(event -> !event.hasUserMessage())
                .toList();
    }

    /** From here on so many answers were sent. */
    public static Step answered(int times) {
        return server -> {
            synchronized (server) {
                while (answers(server).size() < times) {
                    server.wait();
                }
            }
            return null;
        };
    }

    public static Step message(long seq) {
        var message = SessionEvent.newBuilder().setSeq(seq).setTurn(1).setUserMessage(UserMessage.getDefaultInstance());
        return server -> event(message.build());
    }

    /** What is waited for. */
    public static Step waits(PendingAction... pending) {
        return turn(StreamTurn.newBuilder().addAllPendingActions(List.of(pending)));
    }

    /** The same, beyond its deadline. */
    public static Step waitsBeyond(PendingAction... pending) {
        var result = TurnResult.newBuilder().setStopReason(TurnStopReason.TURN_STOP_REASON_REQUIRES_ACTION);
        Stream.of(pending).map(PendingAction::getToolUseId).forEach(result::addWaitsFor);
        return turn(
                StreamTurn.newBuilder().addAllPendingActions(List.of(pending)).setResult(result));
    }

    /** The end of the turn. */
    public static Step over(TurnResult.Builder result) {
        return turn(StreamTurn.newBuilder().setResult(result));
    }

    public static Step over() {
        return over(TurnResult.newBuilder().setStopReason(TurnStopReason.TURN_STOP_REASON_END_TURN));
    }

    /** The end of the stream. */
    public static Step ends(StreamEndReason reason) {
        var ended = StreamEnded.newBuilder().setReason(reason).setLastSeq(9).setFinal(true);
        return server -> StreamEventsResponse.newBuilder().setEnded(ended).build();
    }

    public static PendingAction asks(String useId) {
        return action(useId, "bash", PendingActionKind.PENDING_ACTION_KIND_TOOL_CONFIRMATION);
    }

    public static PendingAction calls(String useId, String name) {
        return action(useId, name, PendingActionKind.PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT);
    }

    public static PendingAction action(String useId, String name, PendingActionKind kind) {
        return PendingAction.newBuilder()
                .setToolUseId(useId)
                .setName(name)
                .setKind(kind)
                .build();
    }

    private static Step turn(StreamTurn.Builder turn) {
        return server -> StreamEventsResponse.newBuilder().setTurn(turn).build();
    }
}
