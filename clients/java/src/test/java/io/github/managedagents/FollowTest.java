package io.github.managedagents;

import static io.github.managedagents.support.Said.batch;
import static io.github.managedagents.support.Said.caughtUp;
import static io.github.managedagents.support.Said.ended;
import static io.github.managedagents.support.Said.event;
import static io.github.managedagents.support.Said.opened;
import static io.github.managedagents.support.Said.progress;
import static io.github.managedagents.support.Said.refusal;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Message;
import com.google.protobuf.UnknownFieldSet;
import io.github.managedagents.support.FakeServer;
import io.github.managedagents.v1.*;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Following over streams that are cut wherever a stream can be cut, and that tell what none should tell. */
@Timeout(30)
class FollowTest {
    private static final List<StreamEventsResponse> SCRIPT = List.of(
            opened(9), batch(1, 1), batch(2, 4), caughtUp(4), batch(5, 5), progress(5), batch(6, 9), ended(9, true));

    private static final Map<String, Consumer<StreamObserver<?>>> CUTS = Map.of(
            "unavailable", to -> to.onError(refusal(Status.Code.UNAVAILABLE)),
            "cancelled", to -> to.onError(refusal(Status.Code.CANCELLED)),
            "reset", to -> to.onError(refusal(Status.Code.INTERNAL)),
            "a proxy's deadline", to -> to.onError(refusal(Status.Code.DEADLINE_EXCEEDED)),
            "closed without a word", StreamObserver::onCompleted);

    static Stream<Arguments> cuts() {
        return CUTS.keySet().stream()
                .flatMap(cut -> IntStream.range(0, SCRIPT.size()).mapToObj(after -> Arguments.of(cut, after)));
    }

    @ParameterizedTest
    @MethodSource("cuts")
    void aCutAtAnyPositionRepeatsNothingAndSkipsNothing(String cut, int after) throws Exception {
        try (FakeServer server = new FakeServer();
                Client client = Client.connect(server.address())) {
            server.streaming((request, to) -> {
                for (int index = 0; index < SCRIPT.size(); index++) {
                    if (index == after && server.asked.size() == 1) {
                        CUTS.get(cut).accept(to);
                        return;
                    }
                    StreamEventsResponse message = SCRIPT.get(index);
                    if (!message.hasBatch() || message.getBatch().getThroughSeq() > request.getFromSeq()) {
                        to.onNext(after(request.getFromSeq(), message));
                    }
                }
                to.onCompleted();
            });
            Follow<SessionEvent> events = client.follow("ses_1", 0);
            assertEquals(seqs(1, 9), read(events));
            StreamEnded ended = events.ended().orElseThrow();
            assertEquals(StreamEndReason.STREAM_END_REASON_ARCHIVED, ended.getReason());
            assertEquals(9, events.throughSeq().orElseThrow());
            assertTrue(events.caughtUp());
            List<StreamEventsRequest> asked = server.asked(StreamEventsRequest.class);
            assertEquals(2, asked.size());
            assertFalse(asked.get(0).hasLogId());
            assertEquals(after > 0, asked.get(1).hasLogId());
        }
    }

    @Test
    void aServerThatRepeatsEventsIsNotBelieved() throws Exception {
        assertEquals(seqs(1, 4), following(opened(9), batch(1, 3), batch(2, 4), ended(4, true)));
    }

    @Test
    void aHoleThrows() {
        assertThrows(ManagedAgentsException.PromiseBroken.class, () -> following(opened(9), batch(1, 3), batch(5, 6)));
    }

    @Test
    void whatIsNotKnownHereIsPassedOverAndCounts() throws Exception {
        UnknownFieldSet unknown = UnknownFieldSet.newBuilder()
                .addField(499, UnknownFieldSet.Field.newBuilder().addVarint(1).build())
                .build();
        SessionEvent later =
                SessionEvent.newBuilder().setSeq(2).setUnknownFields(unknown).build();
        StreamEventsResponse other =
                StreamEventsResponse.newBuilder().setUnknownFields(unknown).build();
        assertEquals(
                List.of(1L, 3L), following(opened(9), batch(1, 1), event(later), other, batch(3, 3), ended(3, true)));
    }

    @Test
    void whereKindsAreFilteredThePlaceMovesWithTheServer() throws Exception {
        try (FakeServer server = new FakeServer().streaming((request, to) -> {
                    to.onNext(opened(700));
                    if (request.getFromSeq() == 0) {
                        to.onNext(batch(3, 3));
                        to.onNext(progress(700));
                        throw refusal(Status.Code.UNAVAILABLE);
                    }
                    to.onNext(ended(700, true));
                    to.onCompleted();
                });
                Client client = Client.connect(server.address())) {
            Follow<SessionEvent> events = client.follow(StreamEventsRequest.newBuilder()
                    .setSessionId("ses_1")
                    .setFromSeq(0)
                    .addKinds("agent.message")
                    .build());
            assertEquals(List.of(3L), read(events));
            assertEquals(700, server.asked(StreamEventsRequest.class).get(1).getFromSeq());
            assertEquals(700, events.throughSeq().orElseThrow());
        }
    }

    @Test
    void ofATurnItsEventsComeWhereItStandsAndItsEnd() throws Exception {
        StreamEventsResponse turn = StreamEventsResponse.newBuilder()
                .setTurn(StreamTurn.getDefaultInstance())
                .build();
        StreamEndReason turnOver = StreamEndReason.STREAM_END_REASON_TURN_OVER;
        try (FakeServer server = new FakeServer().streaming((request, to) -> {
                    assertEquals(2, request.getTurn());
                    to.onNext(opened(9));
                    to.onNext(batch(2, 2));
                    to.onNext(batch(7, 7));
                    to.onNext(turn);
                    to.onNext(StreamEventsResponse.newBuilder()
                            .setEnded(StreamEnded.newBuilder()
                                    .setReason(turnOver)
                                    .setLastSeq(9)
                                    .setFinal(true))
                            .build());
                    to.onCompleted();
                });
                Client client = Client.connect(server.address())) {
            var request = StreamEventsRequest.newBuilder()
                    .setSessionId("ses_1")
                    .setFromSeq(1)
                    .setTurn(2)
                    .build();
            List<String> kinds = new ArrayList<>();
            Follow<Message> items = client.followItems(request);
            items.forEachRemaining(item -> kinds.add(item.getClass().getSimpleName()));
            assertEquals(List.of("SessionEvent", "SessionEvent", "StreamTurn"), kinds);
            assertEquals(turnOver, items.ended().orElseThrow().getReason());
            assertEquals(List.of(2L, 7L), read(client.follow(request)));
        }
    }

    @Test
    void thePlaceMovesWithTheEventsThatWereGiven() throws Exception {
        try (FakeServer server = new FakeServer().streaming((request, to) -> {
                    to.onNext(opened(3));
                    to.onNext(batch(1, 3));
                    to.onNext(ended(3, true));
                    to.onCompleted();
                });
                Client client = Client.connect(server.address());
                Follow<SessionEvent> events = client.follow("ses_1", 0)) {
            for (SessionEvent event : events) {
                assertEquals(event.getSeq(), events.throughSeq().orElseThrow());
            }
        }
    }

    @Test
    void aLiveFollowGoesOnFromTheHeadThatItMet() throws Exception {
        try (FakeServer server = new FakeServer().streaming((request, to) -> {
                    to.onNext(opened(5));
                    if (!request.hasFromSeq()) {
                        throw refusal(Status.Code.UNAVAILABLE);
                    }
                    to.onNext(batch(6, 6));
                    to.onNext(ended(6, true));
                    to.onCompleted();
                });
                Client client = Client.connect(server.address())) {
            var live = StreamEventsRequest.newBuilder().setSessionId("ses_1").build();
            assertEquals(List.of(6L), read(client.follow(live)));
            assertEquals(5, server.asked(StreamEventsRequest.class).get(1).getFromSeq());
        }
    }

    @Test
    void aServerThatDrainsIsLeftAndFoundAgain() throws Exception {
        try (FakeServer server = new FakeServer();
                Client client = Client.connect(server.address())) {
            server.streaming((request, to) -> {
                long next = request.getFromSeq() + 1;
                to.onNext(opened(next));
                to.onNext(batch(next, next));
                to.onNext(ended(next, next == 3));
                to.onCompleted();
            });
            assertEquals(seqs(1, 3), read(client.follow("ses_1", 0)));
        }
    }

    static Stream<Arguments> otherHistories() {
        return Stream.of(
                Arguments.of(Status.Code.FAILED_PRECONDITION, "LOG_REPLACED", ManagedAgentsException.LogReplaced.class),
                Arguments.of(
                        Status.Code.OUT_OF_RANGE,
                        "FROM_SEQ_BEYOND_HEAD",
                        ManagedAgentsException.FromSeqBeyondHead.class));
    }

    @ParameterizedTest
    @MethodSource("otherHistories")
    void anotherHistoryThrows(Status.Code code, String reason, Class<ManagedAgentsException> error) throws Exception {
        try (FakeServer server = new FakeServer().streaming((request, to) -> {
                    if (request.getLogId().equals("log_1")) {
                        throw refusal(code, reason);
                    }
                    to.onNext(opened(9));
                    to.onNext(batch(1, 2));
                    throw refusal(Status.Code.UNAVAILABLE);
                });
                Client client = Client.connect(server.address())) {
            Follow<SessionEvent> events = client.follow("ses_1", 0);
            assertEquals(1, events.next().getSeq());
            assertEquals(2, events.next().getSeq());
            assertThrows(error, events::hasNext);
            assertFalse(events.hasNext());
        }
    }

    @Test
    void aSessionThatWasDeletedWhileTheStreamWasCutHasEnded() throws Exception {
        try (FakeServer server = new FakeServer().streaming((request, to) -> {
                    if (request.hasLogId()) {
                        throw refusal(Status.Code.NOT_FOUND, "SESSION_NOT_FOUND");
                    }
                    to.onNext(opened(9));
                    to.onNext(batch(1, 2));
                    throw refusal(Status.Code.UNAVAILABLE);
                });
                Client client = Client.connect(server.address())) {
            Follow<SessionEvent> events = client.follow("ses_1", 0);
            assertEquals(seqs(1, 2), read(events));
            assertEquals(
                    StreamEndReason.STREAM_END_REASON_DELETED,
                    events.ended().orElseThrow().getReason());
        }
    }

    @Test
    void aSessionThatWasNeverThereThrows() throws Exception {
        try (FakeServer server = new FakeServer().streaming((request, to) -> {
                    throw refusal(Status.Code.NOT_FOUND, "SESSION_NOT_FOUND");
                });
                Client client = Client.connect(server.address())) {
            assertThrows(
                    ManagedAgentsException.NotFound.class,
                    () -> client.follow("ses_1", 0).hasNext());
        }
    }

    /** The seqs of the events that come of a stream that says this. */
    private static List<Long> following(StreamEventsResponse... messages) throws Exception {
        try (FakeServer server = new FakeServer().streaming((request, to) -> {
                    Stream.of(messages).forEach(to::onNext);
                    to.onCompleted();
                });
                Client client = Client.connect(server.address())) {
            return read(client.follow("ses_1", 0));
        }
    }

    private static List<Long> read(Follow<SessionEvent> events) {
        List<Long> seqs = new ArrayList<>();
        for (SessionEvent event : events) {
            seqs.add(event.getSeq());
        }
        return seqs;
    }

    private static List<Long> seqs(long first, long last) {
        return LongStream.rangeClosed(first, last).boxed().toList();
    }

    private static StreamEventsResponse after(long seq, StreamEventsResponse message) {
        if (!message.hasBatch()) {
            return message;
        }
        EventBatch.Builder rest = message.getBatch().toBuilder().clearEvents();
        message.getBatch().getEventsList().stream()
                .filter(event -> event.getSeq() > seq)
                .forEach(rest::addEvents);
        return StreamEventsResponse.newBuilder().setBatch(rest).build();
    }
}
