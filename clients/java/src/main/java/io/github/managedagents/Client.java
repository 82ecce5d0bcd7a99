package io.github.managedagents;

import com.google.protobuf.Message;
import io.github.managedagents.v1.*;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * A client of one managed agents server; {@code try (Client client = Client.connect("127.0.0.1:50051"))}. It may be used
 * by any number of threads.
 *
 * <p>A call takes its request message; those that are made often also have a short form. Every call that changes something
 * carries a {@code request_id}: where the request has none, the client makes one. It is kept over the retries of the call,
 * so that it happens once however often the connection breaks. Give one of your own (up to 128 bytes) where the same call
 * may be made again by another process.
 *
 * <p>What fails throws a {@link ManagedAgentsException}. A call that may pass is made again by itself. A call ends at once,
 * with a {@link java.util.concurrent.CancellationException}, when its thread is interrupted, its gRPC {@link
 * io.grpc.Context} is cancelled or the client is closed; a deadline of the context is kept, too.
 */
public final class Client implements AutoCloseable {
    private static final int REMEMBERED = 100_000;

    private final Calls calls;
    /**
     * Sees to it that a handler is called at most once for a use, however many runs of this client meet it: a use that is
     * {@link Answer#IN_HAND} is left alone, and an answer that could not be sent is kept for the next run.
     */
    final Map<Answer.Use, Answer> answers = Collections.synchronizedMap(new LinkedHashMap<>() {
        private static final long serialVersionUID = 1;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Answer.Use, Answer> eldest) {
            return size() > REMEMBERED;
        }
    });

    final ExecutorService threads = Executors.newCachedThreadPool(job -> {
        Thread thread = new Thread(job, "managedagents");
        thread.setDaemon(true);
        return thread;
    });

    Client(Calls calls) {
        this.calls = calls;
    }

    /** A client of the server at the address (host and port), in plain text. The connection is made by the first call. */
    public static Client connect(String address) {
        return builder(address).build();
    }

    /** The same, with more to say about the connection. */
    public static ClientBuilder builder(String address) {
        return new ClientBuilder(address);
    }

    /** Close the connection; calls that are under way are cancelled, and handlers interrupted. */
    @Override
    public void close() {
        calls.close();
        threads.shutdownNow();
    }

    // The ten calls of the trait.

    /** Create an agent. */
    public CreateResponse create(CreateRequest request) {
        return calls.unary(ManagedAgentRuntimeGrpc.getCreateMethod(), request);
    }

    /** Create an agent; {@link Definitions#parse} makes a definition of JSON. */
    public CreateResponse create(AgentDefinition definition) {
        return create(CreateRequest.newBuilder().setDefinition(definition).build());
    }

    /** Start a session. Its initial events are logged in the same write. */
    public StartSessionResponse startSession(StartSessionRequest request) {
        return calls.unary(ManagedAgentRuntimeGrpc.getStartSessionMethod(), request);
    }

    /** Start a session of the agent's newest version, whose log begins with these events. */
    public StartSessionResponse startSession(String agentId, UserEvent... initialEvents) {
        return startSession(StartSessionRequest.newBuilder()
                .setAgentId(agentId)
                .addAllInitialEvents(List.of(initialEvents))
                .build());
    }

    /** Send an event. When this returns, it is in the log. */
    public SendEventResponse send(SendEventRequest request) {
        return calls.unary(ManagedAgentRuntimeGrpc.getSendEventMethod(), request);
    }

    /** Send an event, and return its seq: it is in the log. */
    public long send(String sessionId, UserEvent event) {
        return send(SendEventRequest.newBuilder()
                        .setSessionId(sessionId)
                        .setEvent(event)
                        .build())
                .getSeq();
    }

    /** Send a text as a {@code user.message}, and return its seq. */
    public long send(String sessionId, String message) {
        return send(sessionId, Events.message(message));
    }

    /**
     * Follow a session: all events after {@code fromSeq}, then what comes, across cuts and restarts of the server. 0 is the
     * whole log.
     */
    public Follow<SessionEvent> follow(String sessionId, long fromSeq) {
        return follow(StreamEventsRequest.newBuilder()
                .setSessionId(sessionId)
                .setFromSeq(fromSeq)
                .build());
    }

    /**
     * The same with what else the request says: without {@code from_seq} only what comes from now on; {@code kinds}
     * filters; {@code log_id} is the history that {@code from_seq} belongs to, from an earlier follow; {@code turn} is the
     * seq of a message or outcome, whose turn alone is followed, to its end.
     */
    public Follow<SessionEvent> follow(StreamEventsRequest request) {
        return new Follow<>(calls, request, SessionEvent.class);
    }

    /**
     * The same with all that is no event: where {@code include_deltas} asks for it what a model is in the middle of saying
     * ({@code StreamDelta}, {@code StreamDeltaDiscarded}), and of a {@code turn} where it stands ({@code StreamTurn}).
     */
    public Follow<Message> followItems(StreamEventsRequest request) {
        return new Follow<>(calls, request, Message.class);
    }

    /** One stream as the server sends it, which ends where it is cut. */
    public EventStream stream(StreamEventsRequest request) {
        return new EventStream(calls, request);
    }

    /** Stop the turn that runs; with {@code drop_queued} also drop the messages that wait. The session lives on. */
    public InterruptResponse interrupt(InterruptRequest request) {
        return calls.unary(ManagedAgentRuntimeGrpc.getInterruptMethod(), request);
    }

    /** Stop the turn that runs; with {@code drop_queued} also drop the messages that wait. The session lives on. */
    public InterruptResponse interrupt(String sessionId) {
        return interrupt(InterruptRequest.newBuilder().setSessionId(sessionId).build());
    }

    /** Let nothing new start. Holds until {@code resume}, also across a restart of the server. */
    public PauseResponse pause(PauseRequest request) {
        return calls.unary(ManagedAgentRuntimeGrpc.getPauseMethod(), request);
    }

    /** Let nothing new start. Holds until {@code resume}, also across a restart of the server. */
    public PauseResponse pause(String sessionId) {
        return pause(PauseRequest.newBuilder().setSessionId(sessionId).build());
    }

    /** End a pause. */
    public ResumeResponse resume(ResumeRequest request) {
        return calls.unary(ManagedAgentRuntimeGrpc.getResumeMethod(), request);
    }

    /** End a pause. */
    public ResumeResponse resume(String sessionId) {
        return resume(ResumeRequest.newBuilder().setSessionId(sessionId).build());
    }

    /** Where a session stands, and what it waits for. */
    public StatusResponse status(StatusRequest request) {
        return calls.unary(ManagedAgentRuntimeGrpc.getStatusMethod(), request);
    }

    /** Where a session stands, and what it waits for. */
    public StatusResponse status(String sessionId) {
        return status(StatusRequest.newBuilder().setSessionId(sessionId).build());
    }

    /** End a session for good; its log stays readable. */
    public ArchiveResponse archive(ArchiveRequest request) {
        return calls.unary(ManagedAgentRuntimeGrpc.getArchiveMethod(), request);
    }

    /** End a session for good; its log stays readable. */
    public ArchiveResponse archive(String sessionId) {
        return archive(ArchiveRequest.newBuilder().setSessionId(sessionId).build());
    }

    /** Delete a session and all its data. */
    public DeleteSessionResponse deleteSession(DeleteSessionRequest request) {
        return calls.unary(ManagedAgentRuntimeGrpc.getDeleteSessionMethod(), request);
    }

    /** Delete a session and all its data. */
    public DeleteSessionResponse deleteSession(String sessionId) {
        return deleteSession(
                DeleteSessionRequest.newBuilder().setSessionId(sessionId).build());
    }

    // The rest.

    /** Send a message, and return when its turn is over; nothing here answers what it asks for. */
    public RunResult run(String sessionId, String message) {
        return run(sessionId, message, new RunOptions());
    }

    /** Send a message, answer what its turn asks for, and return when the turn is over. */
    public RunResult run(String sessionId, String message, RunOptions options) {
        return run(sessionId, Events.message(message), options);
    }

    /** The same with any user event, say {@code user.define_outcome}. */
    public RunResult run(String sessionId, UserEvent event, RunOptions options) {
        SendEventRequest request = SendEventRequest.newBuilder()
                .setSessionId(sessionId)
                .setEvent(event)
                .setRequestId(options.requestId)
                .build();
        return new Run(this, sessionId, send(request).getSeq(), options).result();
    }

    /** One agent; its newest version, unless the request names one. */
    public GetAgentResponse getAgent(GetAgentRequest request) {
        return calls.unary(ManagedAgentRuntimeGrpc.getGetAgentMethod(), request);
    }

    /** A page of the agents, newest first. */
    public ListAgentsResponse listAgents(ListAgentsRequest request) {
        return calls.unary(ManagedAgentRuntimeGrpc.getListAgentsMethod(), request);
    }

    /** The agents, newest first. The pages are asked for as they are needed. */
    public Stream<Agent> agents(ListAgentsRequest request) {
        return pages(request, this::listAgents, ListAgentsResponse::getAgentsList);
    }

    /** Replace the newest version, which the request names, by a new one. Sessions keep the version they have. */
    public UpdateAgentResponse updateAgent(UpdateAgentRequest request) {
        return calls.unary(ManagedAgentRuntimeGrpc.getUpdateAgentMethod(), request);
    }

    /** Let an agent take no new sessions. */
    public ArchiveAgentResponse archiveAgent(ArchiveAgentRequest request) {
        return calls.unary(ManagedAgentRuntimeGrpc.getArchiveAgentMethod(), request);
    }

    /** One session. */
    public GetSessionResponse getSession(GetSessionRequest request) {
        return calls.unary(ManagedAgentRuntimeGrpc.getGetSessionMethod(), request);
    }

    /** A page of the sessions, newest first. */
    public ListSessionsResponse listSessions(ListSessionsRequest request) {
        return calls.unary(ManagedAgentRuntimeGrpc.getListSessionsMethod(), request);
    }

    /** The sessions, newest first. The pages are asked for as they are needed. */
    public Stream<Session> sessions(ListSessionsRequest request) {
        return pages(request, this::listSessions, ListSessionsResponse::getSessionsList);
    }

    /** A page of the events that are in a session's log now. */
    public ListEventsResponse listEvents(ListEventsRequest request) {
        return calls.unary(ManagedAgentRuntimeGrpc.getListEventsMethod(), request);
    }

    /** The events that are in a session's log now. The pages are asked for as they are needed. */
    public Stream<SessionEvent> events(ListEventsRequest request) {
        return pages(request, this::listEvents, ListEventsResponse::getEventsList);
    }

    private static <Q extends Message, P extends Message, T> Stream<T> pages(
            Q first, Function<Q, P> ask, Function<P, List<T>> items) {
        return Stream.iterate(ask.apply(first), Objects::nonNull, page -> {
                    Object token = page.getField(page.getDescriptorForType().findFieldByName("next_page_token"));
                    return token.equals("") ? null : ask.apply(Calls.with(first, "page_token", token));
                })
                .flatMap(page -> items.apply(page).stream());
    }
}
