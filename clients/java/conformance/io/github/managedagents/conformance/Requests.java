package io.github.managedagents.conformance;

import com.google.gson.JsonObject;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import io.github.managedagents.Client;
import io.github.managedagents.v1.*;
import java.util.HashMap;
import java.util.Map;

/** The calls of the steps, each through the method of the client that makes it. */
final class Requests {
    /** What a step leaves out is the last agent and the last session. */
    private final Map<String, String> current = new HashMap<>(Map.of("agent_id", "", "session_id", ""));

    private final JsonObject agent;

    Requests(JsonObject agent) {
        this.agent = agent;
    }

    void agentIs(String agentId) {
        current.put("agent_id", agentId);
    }

    void sessionIs(String sessionId) {
        current.put("session_id", sessionId);
    }

    String session() {
        return current.get("session_id");
    }

    StreamEventsRequest stream(JsonObject given) {
        return request(given, StreamEventsRequest.newBuilder()).build();
    }

    Message answer(Client client, String verb, JsonObject given) {
        return switch (verb) {
            case "create" -> {
                if (!given.has("definition")) {
                    given.add("definition", agent);
                }
                yield client.create(request(given, CreateRequest.newBuilder()).build());
            }
            case "start" ->
                client.startSession(
                        request(given, StartSessionRequest.newBuilder()).build());
            case "send", "answer", "confirm", "result" ->
                client.send(request(given, SendEventRequest.newBuilder()).build());
            case "interrupt" ->
                client.interrupt(request(given, InterruptRequest.newBuilder()).build());
            case "pause" ->
                client.pause(request(given, PauseRequest.newBuilder()).build());
            case "resume" ->
                client.resume(request(given, ResumeRequest.newBuilder()).build());
            case "status" ->
                client.status(request(given, StatusRequest.newBuilder()).build());
            case "archive" ->
                client.archive(request(given, ArchiveRequest.newBuilder()).build());
            case "delete" ->
                client.deleteSession(
                        request(given, DeleteSessionRequest.newBuilder()).build());
            case "get_agent" ->
                client.getAgent(request(given, GetAgentRequest.newBuilder()).build());
            case "list_agents" ->
                client.listAgents(request(given, ListAgentsRequest.newBuilder()).build());
            case "update_agent" ->
                client.updateAgent(
                        request(given, UpdateAgentRequest.newBuilder()).build());
            case "archive_agent" ->
                client.archiveAgent(
                        request(given, ArchiveAgentRequest.newBuilder()).build());
            case "get_session" ->
                client.getSession(request(given, GetSessionRequest.newBuilder()).build());
            case "list_sessions" ->
                client.listSessions(
                        request(given, ListSessionsRequest.newBuilder()).build());
            case "list_events" ->
                client.listEvents(request(given, ListEventsRequest.newBuilder()).build());
            default -> throw new IllegalArgumentException("no verb " + verb);
        };
    }

    private <B extends Message.Builder> B request(JsonObject given, B builder) {
        current.forEach((name, id) -> {
            FieldDescriptor field = builder.getDescriptorForType().findFieldByName(name);
            if (field != null && !given.has(name)) {
                builder.setField(field, id);
            }
        });
        try {
            JsonFormat.parser().merge(Lines.dump(given), builder);
        } catch (InvalidProtocolBufferException wrong) {
            throw new IllegalArgumentException(wrong);
        }
        return builder;
    }
}
