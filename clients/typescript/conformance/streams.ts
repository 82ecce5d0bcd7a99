/** The streams of a scenario, one at a time: each as it is, without a follow that hides where one ends. */

import { create, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { type Client, kindOf, ManagedAgentsError } from "managedagents";
import * as v1 from "managedagents/v1";
import { has, type Names } from "./lines.js";

export class Streams {
  /** Of the event that was read last; 0: none was. */
  lastSeq = 0n;
  readonly #lines: string[];
  readonly #names: Names;
  #stream: AsyncGenerator<v1.StreamEventsResponse, void> | undefined;
  #hangUp = new AbortController();
  #unread: v1.SessionEvent[] = [];

  /** What it tells goes to the lines. */
  constructor(lines: string[], names: Names) {
    this.#lines = lines;
    this.#names = names;
  }

  get isOpen(): boolean {
    return this.#stream !== undefined;
  }

  leave(): void {
    this.#hangUp.abort();
    this.#hangUp = new AbortController();
    this.#stream = undefined;
    this.#unread = [];
  }

  async follow(client: Client, given: JsonObject): Promise<void> {
    this.leave();
    const { session_id, from_seq = 0, include_deltas, kinds, log_id, turn = 0 } = given;
    this.#stream = client.stream(session_id as string, {
      fromSeq: BigInt(from_seq as string),
      deltas: include_deltas === true,
      kinds: (kinds ?? []) as string[],
      logId: log_id as string | undefined,
      turn: BigInt(turn as number),
      signal: this.#hangUp.signal,
    });
    try {
      const first = await this.#stream.next();
      const logId = first.value?.message.case === "opened" ? first.value.message.value.logId : "";
      this.#lines.push(`follow ${this.#names.name(logId, "logId")}`);
    } catch (error) {
      this.#lines.push(`follow ${this.#names.failure(error)}`);
    }
  }

  /** Reads up to what is waited for. */
  async waitFor(given: JsonObject): Promise<void> {
    for (;;) {
      for (let event = this.#unread.shift(); event; event = this.#unread.shift()) {
        this.lastSeq = event.seq;
        this.#lines.push(this.#names.event(event));
        if (kindOf(event) === given["kind"] && has(this.#names.payload(event), given["has"] ?? {})) return;
      }
      const message = await this.#read();
      if (message === undefined) {
        this.#lines.push("cut");
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
    const told: JsonValue = field.name === "delta" ? ({ attempt, responseId } as JsonObject) : said;
    this.#lines.push(`${field.name} ${JSON.stringify(told)}`);
    return true;
  }

  /** From every position what comes is the rest of the log. */
  async replay(client: Client, sessionId: string): Promise<void> {
    const log = await this.#log(client, sessionId);
    for (let start = 0; start <= log.length; start++) {
      const lines: string[] = [];
      for await (const { message } of client.stream(sessionId, { fromSeq: BigInt(start) })) {
        if (message.case === "batch") lines.push(...message.value.events.map((event) => this.#names.event(event)));
        if (message.case === "caughtUp") break;
      }
      if (lines.join("\n") !== log.slice(start).join("\n")) this.#lines.push(`replay differs from ${start}`);
    }
    this.#lines.push(`replay ${log.length} events`);
  }

  /** How many events the session's log has, and those that were not told before. */
  async tellLog(client: Client, sessionId: string): Promise<void> {
    const name = this.#names.name(sessionId);
    try {
      const log = await this.#log(client, sessionId);
      const told = new Set(this.#lines);
      this.#lines.push(`log ${name} ${log.length} events`, ...log.filter((line) => !told.has(line)));
    } catch (error) {
      this.#lines.push(`log ${name} ${this.#names.failure(error)}`);
    }
  }

  async #log(client: Client, sessionId: string): Promise<string[]> {
    const lines: string[] = [];
    for await (const event of client.listEvents(sessionId, { pageSize: 1_000 })) lines.push(this.#names.event(event));
    return lines;
  }
}
