/** The client: one method for each call, with a request id of its own for each that changes something. */

import type { Message as ProtoMessage } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { Answers } from "./answers.js";
import { Calls, type ClientOptions } from "./calls.js";
import { type Definition, type Environment, type Overrides, parse } from "./definition.js";
import { PromiseBrokenError } from "./errors.js";
import { type Message, userEvent } from "./events.js";
import { Follow, type FollowItem, type FollowOptions } from "./follow.js";
import { type Agent, AgentDefinitionSchema } from "./gen/managedagents/v1/agent_pb.js";
import type { SessionEvent } from "./gen/managedagents/v1/event_pb.js";
import {
  type ListAgentsRequest,
  type ListAgentsResponse,
  type ListEventsRequest,
  type ListEventsResponse,
  type ListSessionsRequest,
  type ListSessionsResponse,
  ManagedAgentRuntime,
  type StreamEventsResponse,
} from "./gen/managedagents/v1/service_pb.js";
import { EnvironmentConfigSchema, type Session, SessionOverridesSchema } from "./gen/managedagents/v1/session_pb.js";
import { Pages } from "./pages.js";
import { Run, type RunOptions, type RunResult } from "./run.js";

const { method } = ManagedAgentRuntime;

/** What every call takes. */
export interface CallOptions {
  /** Ends the call at once, say AbortSignal.timeout(1000): its reason is thrown. A change may have been applied. */
  signal?: AbortSignal;
}

/** What every call that changes something takes. */
export interface ChangeOptions extends CallOptions {
  /** Up to 128 bytes. The same id with the same request happens once; one is made unless given. */
  requestId?: string;
}

/** How a session is started. */
export interface StartOptions extends ChangeOptions {
  /** What the log begins with, after `initial`. */
  message?: Message;
  /** What the log begins with. */
  initial?: readonly Message[];
  /** The agent's version; the newest unless given. */
  version?: bigint;
  /** The model, system prompt and tools that the session has instead of the agent's. */
  overrides?: Overrides;
  /** What its tools at the server find around them, say `{ env: { LANG: "C" }, network: true }`. */
  environment?: Environment;
  /** For filters of `listSessions`. */
  metadata?: Record<string, string>;
}

/** What a list takes: what its request has beside what the list itself sees to. */
export type ListOptions<Request extends ProtoMessage, Given extends keyof Request = never> = CallOptions &
  Partial<Omit<Request, keyof ProtoMessage | "pageToken" | Given>>;

/** Which agents are listed. */
export type ListAgentsOptions = ListOptions<ListAgentsRequest>;

/** Which sessions are listed. */
export type ListSessionsOptions = ListOptions<ListSessionsRequest>;

/** Which events are listed. */
export type ListEventsOptions = ListOptions<ListEventsRequest, "sessionId">;

/**
 * A client of one managed agents server. Where there is Node.js, `connect` of `managedagents/node` makes it; elsewhere
 * give it a transport of Connect, say for gRPC-Web.
 *
 * Every call that changes something has a request id. It is kept over the retries of the call, so that it happens once
 * however often the connection breaks. Give one of your own where the same call may be made again by another process.
 *
 * What fails throws a ManagedAgentsError. A call that may pass is asked again by itself.
 */
export class Client {
  readonly #calls: Calls;
  readonly #answers = new Answers();

  constructor(transport: Transport, options: ClientOptions = {}) {
    this.#calls = new Calls(transport, options);
  }

  /** Aborted by `close`. */
  get closed(): AbortSignal {
    return this.#calls.closing.signal;
  }

  /** End all calls, those under way and those to come. */
  close(): void {
    this.#calls.closing.abort(new DOMException("The client is closed.", "AbortError"));
  }

  // The ten calls of the trait.

  /** Create an agent. The definition may be plain values. */
  async create(definition: Definition, options: ChangeOptions = {}) {
    const request = { ...options, definition: parse(AgentDefinitionSchema, definition) };
    return this.#calls.unary(method.create, request, options.signal);
  }

  /** Start a session. Its log begins with the events of `initial` and then `message`, in the same write. */
  async startSession(agentId: string, options: StartOptions = {}) {
    const { message, initial = [], overrides, environment } = options;
    const request = {
      ...options,
      agentId,
      overrides: parse(SessionOverridesSchema, overrides),
      environment: parse(EnvironmentConfigSchema, environment),
      initialEvents: [...initial, ...(message === undefined ? [] : [message])].map(userEvent),
    };
    return this.#calls.unary(method.startSession, request, options.signal);
  }

  /** Send an event, or a text as a user.message. Returns its seq: it is in the log. */
  async send(sessionId: string, event: Message, options: ChangeOptions = {}): Promise<bigint> {
    const request = { ...options, sessionId, event: userEvent(event) };
    return (await this.#calls.unary(method.sendEvent, request, options.signal)).seq;
  }

  /** Follow a session: all events after `fromSeq`, then what comes, across cuts and restarts of the server. */
  follow(sessionId: string, options?: FollowOptions & { deltas?: false; turn?: undefined }): Follow;
  follow(sessionId: string, options: FollowOptions): Follow<FollowItem>;
  follow(sessionId: string, options: FollowOptions = {}): Follow<FollowItem> {
    return new Follow(this.#calls, sessionId, options);
  }

  /** One stream of a session, message by message, as the server sends it: until it ends or is cut. */
  stream(sessionId: string, options: FollowOptions = {}): AsyncGenerator<StreamEventsResponse, void> {
    return this.#calls.stream(sessionId, options);
  }

  /** Stop the turn that runs; with `dropQueued` also drop the messages that wait. The session lives on. */
  async interrupt(sessionId: string, options: ChangeOptions & { dropQueued?: boolean } = {}) {
    return this.#calls.unary(method.interrupt, { ...options, sessionId }, options.signal);
  }

  /** Let nothing new start. Holds until `resume`, also across a restart of the server. */
  async pause(sessionId: string, options: ChangeOptions = {}) {
    return this.#calls.unary(method.pause, { ...options, sessionId }, options.signal);
  }

  /** End a pause. */
  async resume(sessionId: string, options: ChangeOptions = {}) {
    return this.#calls.unary(method.resume, { ...options, sessionId }, options.signal);
  }

  /** Where a session stands, and what it waits for. */
  async status(sessionId: string, options: CallOptions = {}) {
    return this.#calls.unary(method.status, { sessionId }, options.signal);
  }

  /** End a session for good; its log stays readable. Returns the seq of status.archived. */
  async archive(sessionId: string, options: ChangeOptions = {}): Promise<bigint> {
    return (await this.#calls.unary(method.archive, { ...options, sessionId }, options.signal)).seq;
  }

  /** Delete a session and all its data. */
  async deleteSession(sessionId: string, options: ChangeOptions = {}): Promise<void> {
    await this.#calls.unary(method.deleteSession, { ...options, sessionId }, options.signal);
  }

  // The rest.

  /**
   * Send a message, answer what its turn asks for, and return when the turn is over. With an `outcomeEvent` instead of a
   * message: when the outcome is.
   */
  async run(sessionId: string, message: Message, options: RunOptions = {}): Promise<RunResult> {
    const seq = await this.send(sessionId, message, options);
    return new Run(this, this.#answers, sessionId, seq, options).result();
  }

  /** One agent, in its newest version unless another is named. */
  async getAgent(agentId: string, options: CallOptions & { version?: bigint } = {}): Promise<Agent> {
    return there((await this.#calls.unary(method.getAgent, { ...options, agentId }, options.signal)).agent);
  }

  /** The agents, newest first. */
  listAgents(options: ListAgentsOptions = {}): Pages<Agent, ListAgentsResponse> {
    const page = (pageToken?: string) =>
      this.#calls.unary(method.listAgents, { ...options, pageToken }, options.signal);
    return new Pages(page, ({ agents }) => agents);
  }

  /** Replace `version`, the newest, by a new one, and return its number. Sessions keep the version they have. */
  async updateAgent(
    agentId: string,
    version: bigint,
    definition: Definition,
    options: ChangeOptions = {},
  ): Promise<bigint> {
    const request = { ...options, agentId, version, definition: parse(AgentDefinitionSchema, definition) };
    return (await this.#calls.unary(method.updateAgent, request, options.signal)).version;
  }

  /** Let an agent take no new sessions. */
  async archiveAgent(agentId: string, options: ChangeOptions = {}): Promise<void> {
    await this.#calls.unary(method.archiveAgent, { ...options, agentId }, options.signal);
  }

  /** One session. */
  async getSession(sessionId: string, options: CallOptions = {}): Promise<Session> {
    return there((await this.#calls.unary(method.getSession, { sessionId }, options.signal)).session);
  }

  /** The sessions, newest first. */
  listSessions(options: ListSessionsOptions = {}): Pages<Session, ListSessionsResponse> {
    const page = (pageToken?: string) =>
      this.#calls.unary(method.listSessions, { ...options, pageToken }, options.signal);
    return new Pages(page, ({ sessions }) => sessions);
  }

  /** The events that are in a session's log now, in order of seq. */
  listEvents(sessionId: string, options: ListEventsOptions = {}): Pages<SessionEvent, ListEventsResponse> {
    const page = (pageToken?: string) =>
      this.#calls.unary(method.listEvents, { ...options, sessionId, pageToken }, options.signal);
    return new Pages(page, ({ events }) => events);
  }
}

/** What an answer always holds. */
function there<Part>(part: Part | undefined): Part {
  if (part === undefined) throw new PromiseBrokenError("an answer lacks what was asked for");
  return part;
}
