/** Answering tool uses: from a handler of the caller to what the model is told. */

import { isMessage } from "@bufbuild/protobuf";
import { unlessAborted } from "./abort.js";
import { text } from "./events.js";
import { type Content, ContentSchema } from "./gen/managedagents/v1/content_pb.js";
import type { PendingAction } from "./gen/managedagents/v1/session_pb.js";

/** What a handler may want to know beside its input. */
export interface HandlerContext {
  /** The id of the tool use. The same use may come again to another process: keep effects apart by it. */
  readonly toolUseId: string;
  /** Aborted when nobody waits for the answer any more. The run does not wait for a handler that goes on. */
  readonly signal: AbortSignal;
}

/**
 * Answers a tool use: a function of the input that the model gave, as values. What it returns (or its promise gives) is
 * told to the model: a text, content blocks, or anything that JSON can hold. What it throws is told as an error.
 */
// Each handler declares the input that its tool's schema describes; `unknown` would forbid that.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Handler = (input: any, context: HandlerContext) => unknown;

/** Handlers by the tool's name. */
export type Tools = Readonly<Record<string, Handler>>;

/** What the model is told. */
export interface Answer {
  readonly content: readonly Content[];
  readonly isError: boolean;
}

const REMEMBERED = 100_000;

export const STOPPED = failed("The tool was stopped before it was done; what it did is not known.");

/** Sees to it that a handler is called at most once for a use, however many runs of this client meet it. */
export class Answers {
  // "in hand": a handler is at work, or its answer was sent.
  readonly #known = new Map<string, Answer | "in hand">();

  isInHand(use: string): boolean {
    return this.#known.get(use) === "in hand";
  }

  /** Take a use in hand that is not; gives the answer that was kept of it. */
  take(use: string): Answer | undefined {
    const known = this.#known.get(use);
    this.#known.set(use, "in hand");
    // A Map's keys come in the order in which they were added.
    const [oldest] = this.#known.keys();
    if (this.#known.size > REMEMBERED && oldest !== undefined) this.#known.delete(oldest);
    return known === "in hand" ? undefined : known;
  }

  /** Give a use out of hand, with the answer that could not be sent. */
  keep(use: string, answer: Answer): void {
    this.#known.set(use, answer);
  }
}

/**
 * What the handler answers to a use. The words are the same in every language: the model reads them, and the log keeps
 * them.
 */
export async function ask(handler: Handler, action: PendingAction, signal: AbortSignal): Promise<Answer> {
  let given: unknown;
  try {
    given = action.inputJson ? JSON.parse(action.inputJson) : {};
  } catch {
    return failed("The input is no JSON.");
  }
  let result: unknown;
  try {
    result = await unlessAborted(() => handler(given, { toolUseId: action.toolUseId, signal }), signal);
  } catch (error) {
    signal.throwIfAborted();
    return failed(`The tool failed: ${error instanceof Error ? error.message : String(error)}`);
  }
  try {
    return { content: contentOf(result), isError: false };
  } catch {
    return failed("The tool's answer is no JSON.");
  }
}

function contentOf(result: unknown): readonly Content[] {
  if (isMessage(result, ContentSchema)) return [result];
  if (result === undefined || result === null || result === "") return [];
  if (typeof result === "string") return [text(result)];
  if (Array.isArray(result) && result.length > 0 && result.every((item) => isMessage(item, ContentSchema))) {
    return result;
  }
  const json = JSON.stringify(result, finite) as string | undefined;
  if (json === undefined) throw new TypeError(`JSON has no ${typeof result}`);
  return [text(json)];
}

/** JSON.stringify would write null for a number that JSON has not. */
function finite(_: string, value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) throw new TypeError(`JSON has no ${value}`);
  return value;
}

function failed(words: string): Answer {
  return { content: [text(words)], isError: true };
}
