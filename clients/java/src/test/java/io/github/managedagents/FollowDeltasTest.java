package io.github.managedagents;

import static io.github.managedagents.support.Said.answer;
import static io.github.managedagents.support.Said.batch;
import static io.github.managedagents.support.Said.delta;
import static io.github.managedagents.support.Said.ended;
import static io.github.managedagents.support.Said.opened;
import static io.github.managedagents.support.Said.refusal;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Message;
import io.github.managedagents.support.FakeServer;
import io.github.managedagents.v1.*;
import io.grpc.Status;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What becomes of half an answer. */
@Timeout(30)
class FollowDeltasTest {
    @Test
    void halfAnAnswerIsDiscardedWhenItsStreamIsCut() throws Exception {
        assertEquals(
                List.of("SessionEvent", "StreamDelta", "StreamDeltaDiscarded", "StreamDelta", "SessionEvent"),
                followingDeltas(List.of(batch(1, 1), delta("Hel")), List.of(delta("Hello"), answer(2, "Hello"))));
    }

    @Test
    void aToldAnswerIsNotDiscardedWhenItsStreamIsCut() throws Exception {
        assertEquals(
                List.of("StreamDelta", "SessionEvent"),
                followingDeltas(List.of(delta("Hello"), answer(1, "Hello")), List.of()));
    }

    /** What comes of a stream that is cut after the first messages, and of the next one. */
    private static List<String> followingDeltas(List<StreamEventsResponse> first, List<StreamEventsResponse> second)
            throws Exception {
        try (FakeServer server = new FakeServer().streaming((request, to) -> {
                    assertTrue(request.getIncludeDeltas());
                    to.onNext(opened(9));
                    if (!request.hasLogId()) {
                        first.forEach(to::onNext);
                        throw refusal(Status.Code.UNAVAILABLE);
                    }
                    second.forEach(to::onNext);
                    to.onNext(ended(2, true));
                    to.onCompleted();
                });
                Client client = Client.connect(server.address())) {
            List<String> kinds = new ArrayList<>();
            var all = StreamEventsRequest.newBuilder()
                    .setFromSeq(0)
                    .setIncludeDeltas(true)
                    .build();
            for (Message item : client.followItems(all)) {
                kinds.add(item.getClass().getSimpleName());
            }
            return kinds;
        }
    }
}
