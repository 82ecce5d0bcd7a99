package io.github.managedagents;

import static io.github.managedagents.support.Said.info;
import static io.github.managedagents.support.Said.refusal;
import static io.github.managedagents.support.Said.retryAfter;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Message;
import io.github.managedagents.support.FakeServer;
import io.github.managedagents.v1.*;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Calls over a real channel to a service that fails first. */
@Timeout(30)
class CallsTest {
    private static FakeServer.Call failingFirst(int times, Message answer) {
        AtomicInteger left = new AtomicInteger(times);
        return request -> {
            if (left.decrementAndGet() >= 0) {
                throw refusal(Status.Code.UNAVAILABLE);
            }
            return answer;
        };
    }

    private static final FakeServer.Call NEVER = request -> null;

    @Test
    void aCallIsAskedAgainWithTheSameRequestId() throws Exception {
        try (FakeServer server = new FakeServer().on("SendEvent", failingFirst(3, seq(7)));
                Client client = Client.connect(server.address())) {
            assertEquals(7, client.send("ses_1", "hello"));
            List<String> ids = requestIds(server);
            assertEquals(4, ids.size());
            assertEquals(1, ids.stream().distinct().count());
            assertTrue(ids.get(0).matches("[0-9a-f]{32}"), ids.get(0));
        }
    }

    @Test
    void eachCallHasARequestIdOfItsOwnUnlessItIsGivenOne() throws Exception {
        try (FakeServer server = new FakeServer().on("SendEvent", failingFirst(0, seq(1)));
                Client client = Client.connect(server.address())) {
            client.send("ses_1", "a");
            client.send("ses_1", "a");
            client.send(SendEventRequest.newBuilder().setRequestId("mine").build());
            List<String> ids = requestIds(server);
            assertEquals(3, ids.stream().distinct().count());
            assertEquals("mine", ids.get(2));
        }
    }

    @Test
    void aRefusalIsNotAskedAgain() throws Exception {
        try (FakeServer server = new FakeServer().on("Status", request -> {
                    throw refusal(Status.Code.NOT_FOUND, "SESSION_NOT_FOUND");
                });
                Client client = Client.connect(server.address())) {
            assertThrows(ManagedAgentsException.NotFound.class, () -> client.status("ses_1"));
            assertEquals(1, server.asked.size());
        }
    }

    @Test
    void theDelayThatTheServerAsksForIsKept() throws Exception {
        AtomicInteger times = new AtomicInteger();
        try (FakeServer server = new FakeServer().on("Status", request -> {
                    if (times.getAndIncrement() == 0) {
                        throw refusal(
                                Status.Code.RESOURCE_EXHAUSTED,
                                info("managedagents", "LIMIT_EXCEEDED", Map.of()),
                                retryAfter(400));
                    }
                    return StatusResponse.newBuilder().setHeadSeq(3).build();
                });
                Client client = Client.connect(server.address())) {
            long began = System.nanoTime();
            assertEquals(3, client.status("ses_1").getHeadSeq());
            assertTrue(System.nanoTime() - began >= Duration.ofMillis(400).toNanos());
        }
    }

    @Test
    void patienceEndsWithTheServersOwnReason() throws Exception {
        try (FakeServer server = new FakeServer().on("Status", request -> {
                    throw refusal(Status.Code.UNAVAILABLE, "LOG_UNAVAILABLE");
                });
                Client client = Client.builder(server.address())
                        .patience(Duration.ofMillis(500))
                        .build()) {
            var error = assertThrows(ManagedAgentsException.Unavailable.class, () -> client.status("ses_1"));
            assertEquals("LOG_UNAVAILABLE", error.reason());
            assertTrue(server.asked.size() > 1);
        }
    }

    @Test
    void withoutPatienceNothingIsAskedAgain() throws Exception {
        try (FakeServer server = new FakeServer().on("Status", failingFirst(1, StatusResponse.getDefaultInstance()));
                Client client =
                        Client.builder(server.address()).patience(Duration.ZERO).build()) {
            assertThrows(ManagedAgentsException.NoAnswer.class, () -> client.status("ses_1"));
            assertEquals(0, client.status("ses_1").getHeadSeq());
            assertEquals(2, server.asked.size());
        }
    }

    @Test
    void aServerThatWasNeverThereIsToldSoon() {
        try (Client client = Client.builder("127.0.0.1:1")
                .connectTimeout(Duration.ofMillis(300))
                .build()) {
            var error = assertThrows(ManagedAgentsException.NoAnswer.class, () -> client.status("ses_1"));
            assertTrue(error.getMessage().startsWith("no server at 127.0.0.1:1"), error.getMessage());
            assertEquals(Status.Code.UNAVAILABLE, error.code());
        }
    }

    @Test
    void aCallOutlastsARestartOfTheServer() throws Exception {
        try (FakeServer server = new FakeServer()
                        .on(
                                "Status",
                                failingFirst(
                                        0,
                                        StatusResponse.newBuilder()
                                                .setHeadSeq(3)
                                                .build()))
                        .on("Pause", NEVER);
                Client client = Client.builder(server.address())
                        .connectTimeout(Duration.ofMillis(100))
                        .build()) {
            client.status("ses_1");
            FutureTask<PauseResponse> paused = started(() -> client.pause("ses_1"));
            server.arrived.take();
            server.arrived.take();
            server.stop();
            server.on("Pause", request -> PauseResponse.newBuilder().setSeq(8).build());
            server.start();
            assertEquals(8, paused.get().getSeq());
            List<PauseRequest> asked = server.asked(PauseRequest.class);
            assertEquals(asked.get(0), asked.get(1));
        }
    }

    @Test
    void anotherServiceAtTheAddressIsToldAsSuch() throws Exception {
        Server other = NettyServerBuilder.forPort(0).build().start();
        try (Client client = Client.connect("127.0.0.1:" + other.getPort())) {
            assertThrows(ManagedAgentsException.NotThisService.class, () -> client.status("ses_1"));
        } finally {
            other.shutdownNow();
        }
    }

    @Test
    void anAnswerAboveFourMebibytesIsReceived() throws Exception {
        String large = "x".repeat(5 << 20);
        GetAgentResponse answer = GetAgentResponse.newBuilder()
                .setAgent(Agent.newBuilder()
                        .setDefinition(AgentDefinition.newBuilder().setSystem(large)))
                .build();
        try (FakeServer server = new FakeServer().on("GetAgent", failingFirst(0, answer));
                Client client = Client.connect(server.address())) {
            assertEquals(answer, client.getAgent(GetAgentRequest.getDefaultInstance()));
        }
    }

    @Test
    void aTokenIsSentAsABearerToken() throws Exception {
        try (FakeServer server = new FakeServer()
                        .on("Status", failingFirst(0, StatusResponse.getDefaultInstance()))
                        .streaming((request, to) -> to.onNext(StreamEventsResponse.getDefaultInstance()));
                Client client = Client.builder(server.address()).token("t0k").build()) {
            client.status("ses_1");
            client.stream(StreamEventsRequest.getDefaultInstance()).read();
            Metadata.Key<String> key = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
            assertEquals(
                    List.of("Bearer t0k", "Bearer t0k"),
                    server.headers.stream().map(headers -> headers.get(key)).toList());
        }
    }

    @Test
    void listsGoOnOverThePagesAndAskForNoMoreThanIsRead() throws Exception {
        try (FakeServer server = new FakeServer().on("ListSessions", request -> {
                    String token = ((ListSessionsRequest) request).getPageToken();
                    int page = token.isEmpty() ? 0 : Integer.parseInt(token);
                    return ListSessionsResponse.newBuilder()
                            .addSessions(Session.newBuilder().setSessionId("ses_" + page))
                            .setNextPageToken(page < 2 ? String.valueOf(page + 1) : "")
                            .build();
                });
                Client client = Client.connect(server.address())) {
            var all = ListSessionsRequest.getDefaultInstance();
            assertEquals(
                    List.of("ses_0", "ses_1", "ses_2"),
                    client.sessions(all).map(Session::getSessionId).toList());
            assertEquals("ses_0", client.sessions(all).findFirst().orElseThrow().getSessionId());
            assertEquals(4, server.asked.size());
        }
    }

    private static SendEventResponse seq(long seq) {
        return SendEventResponse.newBuilder().setSeq(seq).build();
    }

    private static List<String> requestIds(FakeServer server) {
        return server.asked(SendEventRequest.class).stream()
                .map(SendEventRequest::getRequestId)
                .toList();
    }

    private static <T> FutureTask<T> started(java.util.concurrent.Callable<T> callable) {
        FutureTask<T> task = new FutureTask<>(callable);
        new Thread(task).start();
        return task;
    }
}
