/** The words of the lines: JSON with sorted keys, names for ids, stars for what changes from run to run. */

import { type DescMessage, type JsonValue, type MessageShape, toJson } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import {
  DeadlineExceededError,
  kindOf,
  ManagedAgentsError,
  NoAnswerError,
  NotThisServiceError,
  PromiseBrokenError,
} from "managedagents";
import { type SessionEvent, SessionEventSchema } from "managedagents/v1";

const NAMED: Readonly<Record<string, string>> = {
  agentId: "agt",
  sessionId: "ses",
  customToolUseId: "use",
  toolUseId: "use",
  responseId: "rsp",
  logId: "log",
  log_id: "log",
  nextPageToken: "tok",
};
const STARRED: ReadonlySet<string> = new Set([
  "createTime",
  "updateTime",
  "archiveTime",
  "deadline",
  "wakeTime",
  "delay",
  "pausedFor",
  "message",
  "error_id",
]);
/** What the client finds by itself, where no server gave a reason. */
const FAILURES = [
  [NoAnswerError, "no_answer"],
  [DeadlineExceededError, "deadline_exceeded"],
  [NotThisServiceError, "not_this_service"],
  [PromiseBrokenError, "promise_broken"],
] as const;
const OF_THE_ENVELOPE: ReadonlySet<string> = new Set(["seq", "turn", "createTime"]);

/** Ids by their names, in the order in which they were first seen. */
export class Names {
  readonly #nameOf = new Map<string, string>();
  readonly #idOf = new Map<string, string>();

  /** With names for ids, and stars; objects are walked in the order of their sorted keys, which is that of the result. */
  stable(value: JsonValue, key = ""): JsonValue {
    if (Array.isArray(value)) return value.map((item) => this.stable(item, key));
    if (isObject(value)) {
      const keys = Object.keys(value).sort();
      return Object.fromEntries(keys.map((name) => [name, this.stable(value[name] ?? null, name)]));
    }
    return typeof value === "string" ? this.name(value, key) : value;
  }

  /** The same of one string. */
  name(value: string, key = ""): string {
    if (STARRED.has(key)) return "*";
    const prefix = NAMED[key];
    if (prefix !== undefined && !this.#nameOf.has(value)) {
      const name = `${prefix}#${1 + [...this.#idOf.keys()].filter((known) => known.startsWith(prefix)).length}`;
      this.#nameOf.set(value, name);
      this.#idOf.set(name, value);
    }
    return this.#nameOf.get(value) ?? value;
  }

  /** The other way: what a step says, with ids for names. */
  ids(value: JsonValue): JsonValue {
    if (Array.isArray(value)) return value.map((item) => this.ids(item));
    if (isObject(value)) {
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, this.ids(item)]));
    }
    return typeof value === "string" ? (this.#idOf.get(value) ?? value) : value;
  }

  message<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): JsonValue {
    return this.stable(toJson(schema, message));
  }

  event(event: SessionEvent): string {
    const said = Object.entries(this.message(SessionEventSchema, event) as object);
    const rest = Object.fromEntries(said.filter(([name]) => !OF_THE_ENVELOPE.has(name)));
    return `event ${event.seq} ${kindOf(event)} turn=${event.turn} ${JSON.stringify(rest)}`;
  }

  /** What the event's kind holds. */
  payload(event: SessionEvent): JsonValue {
    const said = this.message(SessionEventSchema, event) as Record<string, JsonValue>;
    return said[event.payload.case ?? ""] ?? {};
  }

  /** What stands behind the verb. An error that is no failed call is thrown on. */
  failure(error: unknown): string {
    if (!(error instanceof ManagedAgentsError)) throw error;
    if (error.reason === undefined) {
      const kind = FAILURES.find(([type]) => error instanceof type);
      if (kind === undefined) throw error;
      return `failed ${kind[1]}`;
    }
    const fields = error.violations.map(({ field }) => field);
    const said = { fields, metadata: { ...error.metadata }, retry: error.retryAfterMs !== undefined };
    return `refused ${codeName(error.code)} ${error.reason} ${JSON.stringify(this.stable(said))}`;
  }
}

/** Every field that is wanted is there; others may be, too. */
export function has(said: JsonValue, wanted: JsonValue): boolean {
  if (isObject(said) && isObject(wanted)) {
    return Object.entries(wanted).every(([name, value]) => has(said[name] ?? null, value));
  }
  return JSON.stringify(said) === JSON.stringify(wanted);
}

/** The gRPC status as gRPC writes it. */
function codeName(code: Code | undefined): string {
  if (code === Code.Canceled) return "CANCELLED";
  return code === undefined ? "" : Code[code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}

function isObject(value: JsonValue): value is Record<string, JsonValue> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
