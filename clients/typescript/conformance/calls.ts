/** The verbs of a scenario that are calls, and what the client does for each. */

import { create, type DescMessage, fromJson, type JsonObject, type MessageShape } from "@bufbuild/protobuf";
import type { Client } from "managedagents";
import * as v1 from "managedagents/v1";

/** A call of the client, made of a request and answered by a response as the service has them. */
export interface Call {
  readonly request: DescMessage;
  readonly response: DescMessage;
  readonly ask: (client: Client, given: JsonObject) => Promise<MessageShape<DescMessage>>;
}

function call<Request extends DescMessage, Response extends DescMessage>(
  request: Request,
  response: Response,
  ask: (client: Client, request: MessageShape<Request>) => Promise<MessageShape<Response>>,
): Call {
  return { request, response, ask: (client, given) => ask(client, fromJson(request, given)) };
}

/** A request id that a step gives; where there is none the client makes one. */
function change({ requestId }: { requestId: string }) {
  return requestId === "" ? {} : { requestId };
}

const send = call(v1.SendEventRequestSchema, v1.SendEventResponseSchema, async (client, request) => {
  const event = request.event ?? create(v1.UserEventSchema);
  return create(v1.SendEventResponseSchema, { seq: await client.send(request.sessionId, event, change(request)) });
});

export const CALLS: Readonly<Record<string, Call>> = {
  create: call(v1.CreateRequestSchema, v1.CreateResponseSchema, (client, request) =>
    client.create(request.definition as v1.AgentDefinition, change(request)),
  ),
  start: call(v1.StartSessionRequestSchema, v1.StartSessionResponseSchema, (client, request) => {
    const { version, overrides, environment, metadata, initialEvents: initial } = request;
    const options = { version, overrides, environment, metadata, initial, ...change(request) };
    return client.startSession(request.agentId, options);
  }),
  send,
  answer: send,
  confirm: send,
  result: send,
  interrupt: call(v1.InterruptRequestSchema, v1.InterruptResponseSchema, (client, request) =>
    client.interrupt(request.sessionId, { dropQueued: request.dropQueued, ...change(request) }),
  ),
  pause: call(v1.PauseRequestSchema, v1.PauseResponseSchema, (client, request) =>
    client.pause(request.sessionId, change(request)),
  ),
  resume: call(v1.ResumeRequestSchema, v1.ResumeResponseSchema, (client, request) =>
    client.resume(request.sessionId, change(request)),
  ),
  status: call(v1.StatusRequestSchema, v1.StatusResponseSchema, (client, request) => client.status(request.sessionId)),
  archive: call(v1.ArchiveRequestSchema, v1.ArchiveResponseSchema, async (client, request) =>
    create(v1.ArchiveResponseSchema, { seq: await client.archive(request.sessionId, change(request)) }),
  ),
  delete: call(v1.DeleteSessionRequestSchema, v1.DeleteSessionResponseSchema, async (client, request) => {
    await client.deleteSession(request.sessionId, change(request));
    return create(v1.DeleteSessionResponseSchema);
  }),
  get_agent: call(v1.GetAgentRequestSchema, v1.GetAgentResponseSchema, async (client, { agentId, version }) =>
    create(v1.GetAgentResponseSchema, { agent: await client.getAgent(agentId, { version }) }),
  ),
  list_agents: call(v1.ListAgentsRequestSchema, v1.ListAgentsResponseSchema, (client, request) => {
    const { metadata, includeArchived, pageSize, pageToken } = request;
    return client.listAgents({ metadata, includeArchived, pageSize }).page(pageToken);
  }),
  update_agent: call(v1.UpdateAgentRequestSchema, v1.UpdateAgentResponseSchema, async (client, request) => {
    const { agentId } = request;
    // What is left out is the server's to refuse.
    const definition = request.definition as v1.AgentDefinition;
    const version = await client.updateAgent(agentId, request.version, definition, change(request));
    return create(v1.UpdateAgentResponseSchema, { version });
  }),
  archive_agent: call(v1.ArchiveAgentRequestSchema, v1.ArchiveAgentResponseSchema, async (client, request) => {
    await client.archiveAgent(request.agentId, change(request));
    return create(v1.ArchiveAgentResponseSchema);
  }),
  get_session: call(v1.GetSessionRequestSchema, v1.GetSessionResponseSchema, async (client, { sessionId }) =>
    create(v1.GetSessionResponseSchema, { session: await client.getSession(sessionId) }),
  ),
  list_sessions: call(v1.ListSessionsRequestSchema, v1.ListSessionsResponseSchema, (client, request) => {
    const { agentId, statuses, metadata, pageSize, pageToken } = request;
    return client.listSessions({ agentId, statuses, metadata, pageSize }).page(pageToken);
  }),
  list_events: call(v1.ListEventsRequestSchema, v1.ListEventsResponseSchema, (client, request) => {
    const { sessionId, fromSeq, kinds, pageSize, pageToken } = request;
    return client.listEvents(sessionId, { fromSeq, kinds, pageSize }).page(pageToken);
  }),
};
