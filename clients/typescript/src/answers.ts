/** Answering tool uses: from a handler of the caller to what the model is told. */

import { isMessage } from "@bufbuild/protobuf";
import { unlessAborted } from "./abort.js";
import { text } from "./events.js";
import { type Content, ContentSchema } from "./gen/managedagents/v1/content_pb.js";
import type { ToolUse } from "./uses.js";

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
const BROKEN_OFF = failed("The tool was stopped before it was done; what it did is not known.");

/** Calls each handler at most once for a use, however many runs of this client see it. */
export class Answers {
  // "in hand": a handler is at work, or its answer was sent.
  readonly #known = new Map<string, Answer | "in hand">();

  /** The answer to a use that is not yet in hand. It is kept until `sent`, in case sending fails. */
  async answer(sessionId: string, use: ToolUse, handler: Handler, signal: AbortSignal): Promise<Answer> {
    const known = this.#known.get(key(sessionId, use.id));
    if (known !== undefined && known !== "in hand") return known;
    this.sent(sessionId, use.id);
    let answer = BROKEN_OFF;
    try {
      answer = await ask(use, handler, signal);
    } finally {
      this.#known.set(key(sessionId, use.id), answer);
    }
    return answer;
  }

  /** A handler is at work on the use, or its answer was sent. */
  inHand(sessionId: string, useId: string): boolean {
    return this.#known.get(key(sessionId, useId)) === "in hand";
  }

  /** The answer is in the log, or the use is closed: it need not be kept. */
  sent(sessionId: string, useId: string): void {
    this.#known.set(key(sessionId, useId), "in hand");
    // A Map's keys come in the order in which they were added.
    const [oldest] = this.#known.keys();
    if (this.#known.size > REMEMBERED && oldest !== undefined) this.#known.delete(oldest);
  }
}

function key(sessionId: string, useId: string): string {
  return `${sessionId} ${useId}`;
}

// The words are the same in every language: they are what the model reads, and what the log keeps.
async function ask(use: ToolUse, handler: Handler, signal: AbortSignal): Promise<Answer> {
  let given: unknown;
  try {
    given = use.inputJson ? JSON.parse(use.inputJson) : {};
  } catch {
    return failed("The input is no JSON.");
  }
  let result: unknown;
  try {
    result = await unlessAborted(() => handler(given, { toolUseId: use.id, signal }), signal);
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
  const json = JSON.stringify(result) as string | undefined;
  if (json === undefined) throw new TypeError(`JSON has no ${typeof result}`);
  return [text(json)];
}

function failed(words: string): Answer {
  return { content: [text(words)], isError: true };
}
