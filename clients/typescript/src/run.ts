/** Running one message: answer what its turn asks for, return when the turn is over. */

import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { linked, unlessAborted } from "./abort.js";
import { type Answers, ask, type Handler, STOPPED, type Tools } from "./answers.js";
import type { ChangeOptions, Client } from "./client.js";
import { ManagedAgentsError, NotFoundError } from "./errors.js";
import { confirmationEvent, resultEvent, stopReasonOf, text } from "./events.js";
import type { SessionEvent } from "./gen/managedagents/v1/event_pb.js";
import { type Usage, UsageSchema } from "./gen/managedagents/v1/model_pb.js";
import { type PendingAction, PendingActionKind } from "./gen/managedagents/v1/session_pb.js";
import type { ErrorEvent } from "./gen/managedagents/v1/status_event_pb.js";
import {
  type StreamTurn,
  type TurnResult,
  TurnResultSchema,
  TurnStopReason,
} from "./gen/managedagents/v1/stream_pb.js";
import type { UserEvent } from "./gen/managedagents/v1/user_event_pb.js";

/**
 * Decides on a use that waits for permission: true (or a promise of it) allows it; anything else denies it, and a text is
 * told to the model. The signal is aborted when nobody waits for the decision any more.
 */
export type Confirm = (action: PendingAction, context: { readonly signal: AbortSignal }) => unknown;

/** Is given each event of the turn; a promise that it returns is awaited before the next event. */
export type OnEvent = (event: SessionEvent) => unknown;

/**
 * How a run answers what its turn asks for. The request id is the message's; the signal ends the run, and its handlers,
 * and leaves the session as it is.
 */
export interface RunOptions extends ChangeOptions {
  /** What answers a custom tool use, or a built-in one that runs at the client, by the tool's name. */
  tools?: Tools;
  /** Decides a use that waits for permission. */
  confirm?: Confirm;
  /** Is given each event of the turn. */
  onEvent?: OnEvent;
}

/** How the turn of a message ended, or an outcome. */
export interface RunResult {
  /** The seq of the message, which numbers its turn; or of the outcome. */
  seq: bigint;
  /**
   * As in status.idle: end_turn, max_tokens, interrupted, refusal, max_tool_rounds, retries_exhausted, error, …;
   * requires_action where nothing here can answer what the turn waits for; dropped where the message was dropped from
   * the queue; outcome_evaluated where the turn of a message was judged; completed, failed, archived or deleted where
   * the session ended. An outcome that is met ends in completed, one that is not in max_outcome_iterations.
   */
  stopReason: string;
  /** What the agent said last in the turn, or for the outcome. Empty: nothing. */
  text: string;
  /** The events of the turn, or of the outcome's turns, in order of seq. */
  events: SessionEvent[];
  /** What the turn cost, or the outcome's turns. */
  usage: Usage;
  /** The last error of the turn that it did not go on from. Undefined: there was none. */
  error: ErrorEvent | undefined;
  /** With requires_action, the ids of the tool uses that the turn waits for. */
  waitsFor: string[];
}

// What answers to a use that nobody waits for any more. The stream says how the turn goes on, or that it is over.
const TOO_LATE: ReadonlySet<string | undefined> = new Set(["TOOL_USE_CLOSED", "SESSION_TERMINAL", "SESSION_NOT_FOUND"]);
const REFUSED: ReadonlySet<Code | undefined> = new Set([Code.InvalidArgument, Code.ResourceExhausted]);
// A kind of action that is not known here is nothing that a handler answers.
const RESULTS: ReadonlySet<unknown> = new Set([PendingActionKind.CUSTOM_TOOL_RESULT, PendingActionKind.TOOL_RESULT]);

type Work = (signal: AbortSignal) => Promise<unknown>;

/** One message's turn (or an outcome's turns), from its seq to its end. */
export class Run {
  readonly #stop: AbortController;
  readonly #events: SessionEvent[] = [];
  /** By the id of the use, and what it waits for. */
  readonly #atWork = new Map<string, AbortController>();
  readonly #begun: Promise<void>[] = [];

  constructor(
    private readonly client: Client,
    private readonly answers: Answers,
    private readonly sessionId: string,
    private readonly seq: bigint,
    private readonly options: RunOptions,
  ) {
    this.#stop = linked(options.signal);
  }

  /** Follow the turn to its end. */
  async result(): Promise<RunResult> {
    try {
      const result = (await this.#follow()) ?? create(TurnResultSchema);
      const { text, usage = create(UsageSchema), error, waitsFor } = result;
      const stopReason = result.stopReason ? stopReasonOf(result) : "deleted";
      return { seq: this.seq, stopReason, text, events: this.#events, usage, error, waitsFor };
    } finally {
      // What is still at work answers a use that the end of the turn has closed.
      this.#stop.abort();
      await Promise.all(this.#begun);
    }
  }

  /** How the turn ended, or that it waits for others. Undefined: its session was deleted. */
  async #follow(): Promise<TurnResult | undefined> {
    const { signal } = this.#stop;
    let result: TurnResult | undefined;
    try {
      const place = { fromSeq: this.seq - 1n, turn: this.seq, signal };
      for await (const item of this.client.follow(this.sessionId, place)) {
        if (item.$typeName === "managedagents.v1.SessionEvent") await this.#keep(item);
        if (item.$typeName !== "managedagents.v1.StreamTurn") continue;
        this.#answer(item.pendingActions);
        result = item.result;
        if (this.#isGivenBack(item)) return result;
      }
    } catch (error) {
      signal.throwIfAborted();
      // It took our message, so it was deleted.
      if (!(error instanceof NotFoundError)) throw error;
    }
    return result?.stopReason === TurnStopReason.REQUIRES_ACTION ? undefined : result;
  }

  /** Whether the turn waits beyond its deadline for what is not answered here, nor was answered by others since. */
  #isGivenBack({ pendingActions, result }: StreamTurn): boolean {
    const waits = pendingActions.filter(({ toolUseId }) => result?.waitsFor.includes(toolUseId));
    return waits.length > 0 && !waits.some(({ toolUseId }) => this.#isAnsweredHere(toolUseId));
  }

  async #keep(event: SessionEvent): Promise<void> {
    const { onEvent } = this.options;
    this.#events.push(event);
    if (onEvent) await this.#do((signal) => unlessAborted(() => onEvent(event), signal));
    this.#stop.signal.throwIfAborted();
  }

  /** Work on what is waited for, and on nothing else. What nobody here can answer is left to others. */
  #answer(pending: readonly PendingAction[]): void {
    const wanted = new Map(pending.map((action) => [keyOf(action.toolUseId, action.kind), action]));
    for (const [key, own] of this.#atWork) {
      if (wanted.has(key)) continue;
      // Decided, answered or closed, be it by us.
      own.abort();
      this.#atWork.delete(key);
    }
    for (const [key, action] of wanted) {
      const work = this.#atWork.has(key) ? undefined : this.#workOn(action);
      if (!work) continue;
      const own = linked(this.#stop.signal);
      this.#atWork.set(key, own);
      this.#begun.push(this.#do(work, own));
    }
  }

  /** Work that can be stopped alone; what it throws ends the run. */
  async #do(work: Work, own = linked(this.#stop.signal)): Promise<void> {
    try {
      await work(own.signal);
    } catch (error) {
      if (!own.signal.aborted) this.#stop.abort(error);
    } finally {
      own.abort();
    }
  }

  #workOn(action: PendingAction): Work | undefined {
    const { tools = {}, confirm } = this.options;
    if (action.kind === PendingActionKind.TOOL_CONFIRMATION) {
      return confirm && ((signal) => this.#decide(action, confirm, signal));
    }
    // The model chose the name: what every object has is no handler.
    const handler = Object.hasOwn(tools, action.name) ? tools[action.name] : undefined;
    if (!handler || !RESULTS.has(action.kind) || this.answers.isInHand(this.#useOf(action.toolUseId))) return undefined;
    return (signal) => this.#call(action, handler, signal);
  }

  #isAnsweredHere(useId: string): boolean {
    const deciding = keyOf(useId, PendingActionKind.TOOL_CONFIRMATION);
    return this.#atWork.has(deciding) || this.answers.isInHand(this.#useOf(useId));
  }

  #useOf(useId: string): string {
    return `${this.sessionId} ${useId}`;
  }

  async #decide(action: PendingAction, confirm: Confirm, signal: AbortSignal): Promise<void> {
    const decision = await unlessAborted(() => confirm(action, { signal }), signal);
    const told = typeof decision === "string" ? decision : decision === true;
    await this.#send(confirmationEvent(action.toolUseId, told), signal);
  }

  async #call(action: PendingAction, handler: Handler, signal: AbortSignal): Promise<void> {
    const use = this.#useOf(action.toolUseId);
    // Before anything is waited for: another run may meet the use, too.
    let answer = this.answers.take(use);
    try {
      answer ??= await ask(handler, action, signal);
      await this.#send(resultEvent(action, answer.content, answer.isError), signal, (why) => {
        // The handler's result is too large, say. The model is told, rather than left waiting.
        return resultEvent(action, [text(`The tool ran, but its result was refused: ${why}`)], true);
      });
    } catch (error) {
      this.answers.keep(use, answer ?? STOPPED);
      throw error;
    }
  }

  /** `otherwise`: what is sent instead of an answer that the server refuses. */
  async #send(event: UserEvent, signal: AbortSignal, otherwise?: (why: string) => UserEvent): Promise<void> {
    try {
      await this.client.send(this.sessionId, event, { signal });
    } catch (error) {
      if (!(error instanceof ManagedAgentsError)) throw error;
      if (TOO_LATE.has(error.reason)) return;
      if (!otherwise || !REFUSED.has(error.code)) throw error;
      await this.#send(otherwise(error.message), signal);
    }
  }
}

function keyOf(useId: string, kind: PendingActionKind): string {
  return `${useId} ${kind}`;
}
