/** Plays a scenario against a server and gives its lines: tests/conformance/README.md says what they mean. */

import { create, isMessage, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { type Client, kindOf, ManagedAgentsError } from "managedagents";
import { connect } from "managedagents/node";
import * as v1 from "managedagents/v1";
import type { Server } from "../test/support/server.js";
import { CALLS } from "./calls.js";
import { has, Names } from "./lines.js";
import { ranTo, runOptions } from "./running.js";
import { decided, type Scenario, toolResult, userMessage } from "./scenario.js";

const PATIENCE_MS = 20_000;

/** The lines of a scenario. The server is up afterwards. */
export async function play(scenario: Scenario, server: Server): Promise<string[]> {
  const player = new Player(scenario.agent, server);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS, "late");
  });
  try {
    const ended = await Promise.race([player.play(scenario.steps), late]);
    return ended === "late" ? [...player.lines, "timeout"] : player.lines;
  } finally {
    clearTimeout(timer);
    player.close();
  }
}

class Player {
  readonly lines: string[] = [];
  readonly #agent: JsonObject;
  readonly #server: Server;
  readonly #names = new Names();
  readonly #current = { agent_id: "", session_id: "" };
  readonly #sessions: string[] = [];
  #client: Client;
  #stream: AsyncGenerator<v1.StreamEventsResponse, void> | undefined;
  #hangUp = new AbortController();
  #lastSeq = 0n;
  #unread: v1.SessionEvent[] = [];

  constructor(agent: JsonObject, server: Server) {
    this.#agent = agent;
    this.#server = server;
    this.#client = this.#connect();
  }

  async play(steps: Scenario["steps"]): Promise<void> {
    for (const step of steps) {
      for (const [verb, given] of Object.entries(step)) await this.#step(verb, this.#names.ids(given) as JsonObject);
    }
    await this.#tellLogs();
  }

  close(): void {
    this.#client.close();
  }

  // A scenario expects refusals that a client with patience would ask again about.
  #connect(): Client {
    return connect(this.#server.address, { patienceMs: 0 });
  }

  async #step(verb: string, given: JsonObject): Promise<void> {
    switch (verb) {
      case "follow":
        return this.#follow({ from_seq: 0, ...given });
      case "reconnect":
        return this.#follow({ from_seq: this.#lastSeq.toString(), ...given });
      case "wait_for":
        return this.#waitFor(given);
      case "replay":
        return this.#replay();
      case "kill":
        this.#leave();
        await this.#server.kill();
        this.lines.push("kill");
        return this.#startAgain();
      case "terminate":
        return this.#terminate();
      case "run":
        return this.#run({ session_id: this.#current.session_id, ...given });
      default:
        return this.#call(verb, this.#spelt(verb, given));
    }
  }

  // Calls.

  /** The request, as JSON, of what a step says in short. */
  #spelt(verb: string, { texts, text, use, is_error, allow, message, ...given }: JsonObject): JsonObject {
    if (verb === "create") return { definition: this.#agent, ...given };
    if (Array.isArray(texts)) return { ...given, initial_events: texts.map(userMessage) };
    if (verb === "answer") {
      return { ...given, event: { user_custom_tool_result: toolResult("custom_tool_use_id", use, text, is_error) } };
    }
    if (verb === "result") {
      return { ...given, event: { user_tool_result: toolResult("tool_use_id", use, text, is_error) } };
    }
    if (verb === "confirm") return { ...given, event: { user_tool_confirmation: decided(use, allow, message) } };
    return text === undefined ? given : { ...given, event: userMessage(text) };
  }

  async #call(verb: string, given: JsonObject): Promise<void> {
    const call = CALLS[verb];
    if (call === undefined) throw new Error(`no such verb: ${verb}`);
    const names = new Set(call.request.fields.map((field) => field.name));
    const left = Object.fromEntries(Object.entries(this.#current).filter(([name]) => names.has(name)));
    try {
      const response = await call.ask(this.#client, { ...left, ...given });
      if (isMessage(response, v1.ListEventsResponseSchema)) {
        this.lines.push(...response.events.splice(0).map((event) => this.#names.event(event)));
      }
      this.lines.push(`${verb} ${JSON.stringify(this.#names.message(call.response, response))}`);
      if (isMessage(response, v1.CreateResponseSchema)) this.#current.agent_id = response.agentId;
      if (isMessage(response, v1.StartSessionResponseSchema)) this.#begin(response.sessionId);
    } catch (error) {
      this.lines.push(`${verb} ${this.#refusal(error)}`);
    }
  }

  #begin(sessionId: string): void {
    if (this.#sessions.includes(sessionId)) return;
    this.#current.session_id = sessionId;
    this.#sessions.push(sessionId);
    this.#leave();
    this.#lastSeq = 0n;
  }

  #refusal(error: unknown): string {
    if (!(error instanceof ManagedAgentsError)) throw error;
    return this.#names.refusal(error);
  }

  // Following.

  async #follow(given: JsonObject): Promise<void> {
    this.#leave();
    const { session_id = this.#current.session_id, from_seq, include_deltas, kinds, log_id } = given;
    this.#stream = this.#client.stream(session_id as string, {
      fromSeq: BigInt(from_seq as string),
      deltas: include_deltas === true,
      kinds: (kinds ?? []) as string[],
      logId: log_id as string | undefined,
      signal: this.#hangUp.signal,
    });
    try {
      const first = await this.#stream.next();
      const logId = first.value?.message.case === "opened" ? first.value.message.value.logId : "";
      this.lines.push(`follow ${this.#names.name(logId, "logId")}`);
    } catch (error) {
      this.lines.push(`follow ${this.#refusal(error)}`);
    }
  }

  #leave(): void {
    this.#hangUp.abort();
    this.#hangUp = new AbortController();
    this.#stream = undefined;
    this.#unread = [];
  }

  async #waitFor(given: JsonObject): Promise<void> {
    if (this.#stream === undefined) await this.#follow({ from_seq: 0 });
    for (;;) {
      for (let event = this.#unread.shift(); event; event = this.#unread.shift()) {
        this.#lastSeq = event.seq;
        this.lines.push(this.#names.event(event));
        if (kindOf(event) === given["kind"] && has(this.#payload(event), given["has"] ?? {})) return;
      }
      const message = await this.#read();
      if (message === undefined) {
        this.lines.push("cut");
        return;
      }
      if (message.case === "batch") this.#unread.push(...message.value.events);
      else if (this.#isWaitedFor(message, given)) return;
    }
  }

  /** The next message; undefined when the stream is over. */
  async #read(): Promise<v1.StreamEventsResponse["message"] | undefined> {
    try {
      return (await this.#stream?.next())?.value?.message;
    } catch (error) {
      if (error instanceof ManagedAgentsError) return undefined;
      throw error;
    }
  }

  /** Says a message that is waited for, or that ends the stream. Of others it is a matter of chance whether they came. */
  #isWaitedFor(message: v1.StreamEventsResponse["message"], given: JsonObject): boolean {
    const field = v1.StreamEventsResponseSchema.fields.find(({ localName }) => localName === message.case);
    if (field === undefined || (field.name !== "ended" && field.name !== given["message"])) return false;
    const whole = create(v1.StreamEventsResponseSchema, { message });
    const said = (this.#names.message(v1.StreamEventsResponseSchema, whole) as JsonObject)[
      field.jsonName
    ] as JsonObject;
    if (field.name !== "ended" && !has(said, given["has"] ?? {})) return false;
    // How much of the answer is in a delta is a matter of chance.
    const { attempt, responseId } = said;
    this.lines.push(`${field.name} ${JSON.stringify(field.name === "delta" ? { attempt, responseId } : said)}`);
    return true;
  }

  #payload(event: v1.SessionEvent): JsonValue {
    const said = this.#names.message(v1.SessionEventSchema, event) as JsonObject;
    return said[event.payload.case ?? ""] ?? {};
  }

  /** From every position what comes is the rest of the log. */
  async #replay(): Promise<void> {
    const log = await this.#log(this.#current.session_id);
    for (let start = 0; start <= log.length; start++) {
      const lines: string[] = [];
      for await (const { message } of this.#client.stream(this.#current.session_id, { fromSeq: BigInt(start) })) {
        if (message.case === "batch") lines.push(...message.value.events.map((event) => this.#names.event(event)));
        if (message.case === "caughtUp") break;
      }
      if (lines.join("\n") !== log.slice(start).join("\n")) this.lines.push(`replay differs from ${start}`);
    }
    this.lines.push(`replay ${log.length} events`);
  }

  async #log(sessionId: string): Promise<string[]> {
    const lines: string[] = [];
    for await (const event of this.#client.listEvents(sessionId, { pageSize: 1_000 })) {
      lines.push(this.#names.event(event));
    }
    return lines;
  }

  /** How many events each session's log has in the end, and those that were not told before. */
  async #tellLogs(): Promise<void> {
    for (const sessionId of this.#sessions) {
      const name = this.#names.name(sessionId);
      try {
        const log = await this.#log(sessionId);
        const told = new Set(this.lines);
        this.lines.push(`log ${name} ${log.length} events`, ...log.filter((line) => !told.has(line)));
      } catch (error) {
        this.lines.push(`log ${name} ${this.#refusal(error)}`);
      }
    }
  }

  // Running.

  async #run(given: JsonObject): Promise<void> {
    const { session_id, text, within } = given;
    const late = within === undefined ? undefined : AbortSignal.timeout(1_000 * (within as number));
    try {
      const options = { ...runOptions(given), ...(late && { signal: late }) };
      const result = await this.#client.run(session_id as string, text as string, options);
      this.lines.push(...result.events.map((event) => this.#names.event(event)));
      this.lines.push(`run ${JSON.stringify(this.#names.stable(ranTo(result)))}`);
    } catch (error) {
      this.lines.push(late?.aborted && error === late.reason ? "run gave up" : `run ${this.#refusal(error)}`);
    }
  }

  // The server.

  async #terminate(): Promise<void> {
    const stopping = this.#server.terminate();
    if (this.#stream !== undefined) await this.#waitFor({ message: "ended" });
    this.lines.push(`terminate ${String(await stopping)}`);
    this.#leave();
    await this.#startAgain();
  }

  async #startAgain(): Promise<void> {
    this.#client.close();
    await this.#server.start();
    this.#client = this.#connect();
  }
}
