/** Plays a scenario against a server and gives its lines: tests/conformance/README.md says what they mean. */

import { isMessage, type JsonObject } from "@bufbuild/protobuf";
import type { Client } from "managedagents";
import { connect } from "managedagents/node";
import * as v1 from "managedagents/v1";
import { CALLS } from "./calls.js";
import { Keeping } from "./keeping.js";
import { Names } from "./lines.js";
import { ranTo, runOptions } from "./running.js";
import { decided, type Scenario, toolResult, userMessage } from "./scenario.js";
import type { OwnServer } from "./servers.js";
import { Streams } from "./streams.js";

const PATIENCE_MS = 60_000;

/** The lines of a scenario. */
export async function play(scenario: Scenario, server: OwnServer): Promise<string[]> {
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
    await player.close();
  }
}

class Player {
  readonly lines: string[] = [];
  readonly #agent: JsonObject;
  readonly #server: OwnServer;
  readonly #names = new Names();
  readonly #streams = new Streams(this.lines, this.#names);
  readonly #keeping = new Keeping(this.lines, this.#names);
  readonly #current = { agent_id: "", session_id: "" };
  readonly #sessions: string[] = [];
  #client: Client;

  constructor(agent: JsonObject, server: OwnServer) {
    this.#agent = agent;
    this.#server = server;
    this.#client = this.#connect();
  }

  async play(steps: Scenario["steps"]): Promise<void> {
    for (const step of steps) {
      for (const [verb, given] of Object.entries(step)) await this.#step(verb, this.#names.ids(given) as JsonObject);
    }
    for (const sessionId of this.#sessions) await this.#streams.tellLog(this.#client, sessionId);
  }

  async close(): Promise<void> {
    this.#streams.leave();
    await this.#keeping.leave();
    this.#client.close();
  }

  // A scenario expects refusals that a client with patience would ask again about.
  #connect({ token, patience }: JsonObject = {}): Client {
    const patienceMs = 1_000 * ((patience as number | undefined) ?? 0);
    return connect(this.#server.address, {
      patienceMs,
      ...(patienceMs > 0 ? { connectTimeoutMs: patienceMs } : {}),
      ...(typeof token === "string" ? { token } : {}),
    });
  }

  async #connectAnew(given: JsonObject = {}): Promise<void> {
    await this.close();
    this.#client = this.#connect(given);
  }

  async #step(verb: string, given: JsonObject): Promise<void> {
    const { session_id } = this.#current;
    switch (verb) {
      case "connect":
        return this.#connectAnew(given);
      case "follow":
        return this.#streams.follow(this.#client, { session_id, ...given });
      case "reconnect":
        return this.#streams.follow(this.#client, {
          session_id,
          from_seq: this.#streams.lastSeq.toString(),
          ...given,
        });
      case "wait_for":
        return this.#waitFor(given);
      case "replay":
        return this.#streams.replay(this.#client, session_id);
      case "keep_following":
        return this.#keeping.goOn(this.#client, session_id, given);
      case "run":
        return this.#run({ session_id, ...given });
      case "kill":
      case "terminate":
      case "stop":
      case "start_again":
      case "by_hand":
        return this.#toTheServer(verb, given);
      default:
        return this.#call(verb, this.#spelt(verb, given));
    }
  }

  async #waitFor(given: JsonObject): Promise<void> {
    const { session_id } = this.#current;
    if (!this.#streams.isOpen) await this.#streams.follow(this.#client, { session_id });
    await this.#streams.waitFor(given);
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
      if (isMessage(response, v1.StartSessionResponseSchema)) await this.#begin(response.sessionId);
    } catch (error) {
      this.lines.push(`${verb} ${this.#names.failure(error)}`);
    }
  }

  async #begin(sessionId: string): Promise<void> {
    if (this.#sessions.includes(sessionId)) return;
    this.#current.session_id = sessionId;
    this.#sessions.push(sessionId);
    await this.#keeping.leave();
    this.#streams.leave();
    this.#streams.lastSeq = 0n;
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
      this.lines.push(late?.aborted && error === late.reason ? "run gave up" : `run ${this.#names.failure(error)}`);
    }
  }

  // The server.

  async #toTheServer(
    verb: "kill" | "terminate" | "stop" | "start_again" | "by_hand",
    given: JsonObject,
  ): Promise<void> {
    switch (verb) {
      case "by_hand":
        await this.#server.byHand(given);
        this.lines.push(`by_hand ${given["does"] as string}`);
        return;
      case "start_again":
        await this.#server.start();
        this.lines.push("start_again");
        return;
      case "stop":
      case "kill":
        this.#streams.leave();
        await this.#server.kill();
        this.lines.push(verb);
        if (verb === "stop") return;
        break;
      case "terminate": {
        const stopping = this.#server.terminate();
        if (this.#streams.isOpen) await this.#streams.waitFor({ message: "ended" });
        this.lines.push(`terminate ${String(await stopping)}`);
      }
    }
    await this.#server.start();
    await this.#connectAnew();
  }
}
