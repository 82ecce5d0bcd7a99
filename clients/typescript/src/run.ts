/** Running one message: answer what its turn asks for, return when the turn is over. */

import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { Tasks, unlessAborted } from "./abort.js";
import type { Answers, Tools } from "./answers.js";
import type { Client } from "./client.js";
import { ManagedAgentsError, NotFoundError } from "./errors.js";
import { stopReasonOf, text, textOf } from "./events.js";
import type { Follow } from "./follow.js";
import type { SessionEvent } from "./gen/managedagents/v1/event_pb.js";
import { type Usage, UsageSchema } from "./gen/managedagents/v1/model_pb.js";
import { type ErrorEvent, ErrorNext, type StatusIdle } from "./gen/managedagents/v1/status_event_pb.js";
import { StreamEndReason } from "./gen/managedagents/v1/stream_pb.js";
import { ToolConfirmation, type UserEvent, type UserToolConfirmation } from "./gen/managedagents/v1/user_event_pb.js";
import { addUsage } from "./usage.js";
import { confirmationEvent, resultEvent, type ToolUse, useOf, useThatWaits } from "./uses.js";

/**
 * Decides on a use that waits for permission: true (or a promise of it) allows it; anything else denies it, and a text is
 * told to the model. The signal is aborted when nobody waits for the decision any more.
 */
export type Confirm = (use: ToolUse, context: { readonly signal: AbortSignal }) => unknown;

/** Is given each event of the turn; a promise that it returns is awaited before the next event. */
export type OnEvent = (event: SessionEvent) => unknown;

/** How a run answers what its turn asks for. */
export interface RunOptions {
  /** What answers a custom tool use, or a built-in one that runs at the client, by the tool's name. */
  tools?: Tools;
  /** Decides a use that waits for permission. */
  confirm?: Confirm;
  /** Is given each event of the turn. */
  onEvent?: OnEvent;
  /** Of the message that is sent; one is made unless given. */
  requestId?: string;
  /** Ends the run, and its handlers, and leaves the session as it is: the signal's reason is thrown. */
  signal?: AbortSignal;
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
  /** What the turn cost, zero where it did not end with status.idle; of an outcome, what its turns cost. */
  usage: Usage;
  /** The last error of the turn that it did not go on from. Undefined: there was none. */
  error: ErrorEvent | undefined;
  /** With requires_action, the ids of the tool uses that the turn waits for. */
  waitsFor: string[];
}

// What answers to a use that nobody waits for any more. The stream says how the turn goes on, or that it is over.
const TOO_LATE: ReadonlySet<string | undefined> = new Set(["TOOL_USE_CLOSED", "SESSION_TERMINAL", "SESSION_NOT_FOUND"]);
const REFUSED: ReadonlySet<Code | undefined> = new Set([Code.InvalidArgument, Code.ResourceExhausted]);

/** One message's turn (or an outcome's turns), from its seq to its end. */
export class Run {
  readonly #client: Client;
  readonly #answers: Answers;
  readonly #sessionId: string;
  readonly #options: RunOptions;
  readonly #tasks: Tasks;
  readonly #result: RunResult;
  readonly #turns: Set<bigint>;
  readonly #toConfirm = new Map<string, ToolUse>();
  readonly #atWork = new Map<string, AbortController>();
  #isOutcome = false;
  /** The outcome's first turn has begun. */
  #isTowards = false;
  #saidIn = "";

  constructor(client: Client, answers: Answers, sessionId: string, seq: bigint, options: RunOptions) {
    this.#client = client;
    this.#answers = answers;
    this.#sessionId = sessionId;
    this.#options = options;
    this.#tasks = new Tasks(options.signal);
    this.#turns = new Set([seq]);
    const usage = create(UsageSchema);
    this.#result = { seq, stopReason: "", text: "", events: [], usage, error: undefined, waitsFor: [] };
  }

  /** Follow the turn to its end. */
  async result(): Promise<RunResult> {
    try {
      await this.#answerEarlier();
      await this.#follow();
      return this.#result;
    } finally {
      // What is still at work answers a use that the end of the turn has closed.
      await this.#tasks.end();
    }
  }

  /** An earlier turn that waits keeps ours from beginning. Uses of our own are met again in the stream. */
  async #answerEarlier(): Promise<void> {
    try {
      const status = await this.#client.status(this.#sessionId, { signal: this.#tasks.signal });
      for (const action of status.pendingActions) {
        if (action.seq < this.#result.seq) this.#look(useThatWaits(action));
      }
    } catch (error) {
      // Deleted after it took our message: following it tells the same.
      if (!(error instanceof NotFoundError)) throw error;
    }
  }

  async #follow(): Promise<void> {
    const options = { fromSeq: this.#result.seq - 1n, signal: this.#tasks.signal };
    const events = this.#client.follow(this.#sessionId, options);
    try {
      for (let event = await this.#next(events); event; event = await this.#next(events)) {
        // What a message's turn within the outcome led to is judged for the outcome.
        const isOurs = this.#turns.has(event.turn) || (this.#isTowards && event.payload.case === "outcomeEvaluated");
        this.#settle(event);
        const use = useOf(event);
        if (use) this.#look(use);
        if (isOurs) await this.#keep(event);
        if (this.#isOver(event, isOurs)) return;
      }
    } finally {
      await events.return();
    }
    if (events.ended) this.#result.stopReason = StreamEndReason[events.ended.reason].toLowerCase();
  }

  /** Undefined: the session is over. */
  async #next(events: Follow): Promise<SessionEvent | undefined> {
    try {
      return (await events.next()).value;
    } catch (error) {
      this.#tasks.signal.throwIfAborted();
      if (!(error instanceof NotFoundError)) throw error;
      // It took our message, so it was deleted.
      this.#result.stopReason = "deleted";
      return undefined;
    }
  }

  /** Begin to answer a use, if there is something here that answers it; what there is not is left to others. */
  #look(use: ToolUse): void {
    const { confirm } = this.#options;
    if (use.needsConfirmation) {
      this.#toConfirm.set(use.id, use);
      if (confirm) this.#start(use, (signal) => this.#decide(use, confirm, signal));
    } else if (use.atClient) {
      this.#begin(use);
    }
  }

  #begin(use: ToolUse): void {
    const { tools = {} } = this.#options;
    // The model chose the name: what every object has is no handler.
    const handler = Object.hasOwn(tools, use.name) ? tools[use.name] : undefined;
    if (!handler || this.#answers.inHand(this.#sessionId, use.id)) return;
    this.#start(use, async (signal) => {
      const answer = await this.#answers.answer(this.#sessionId, use, handler, signal);
      await this.#tell(resultEvent(use, answer.content, answer.isError), use, signal);
      this.#answers.sent(this.#sessionId, use.id);
    });
  }

  #start(use: ToolUse, work: (signal: AbortSignal) => Promise<void>): void {
    this.#atWork.set(use.id, this.#tasks.start(work));
  }

  /** A use was confirmed, and its result is wanted now; or it was closed, and its handler works for nothing. */
  #settle({ payload }: SessionEvent): void {
    if (payload.case === "userToolConfirmation") this.#settleConfirmation(payload.value);
    if (payload.case === "agentToolResult" || payload.case === "agentMcpToolResult") {
      this.#atWork.get(payload.value.toolUseId)?.abort();
    }
  }

  #settleConfirmation({ toolUseId, decision }: UserToolConfirmation): void {
    const use = this.#toConfirm.get(toolUseId);
    // It was decided before Status told of it: what is at work is its handler.
    if (!use) return;
    this.#toConfirm.delete(toolUseId);
    // Somebody else was faster, and nobody need be asked any more; or it is our own decision that came back.
    this.#atWork.get(toolUseId)?.abort();
    this.#atWork.delete(toolUseId);
    if (use.atClient && decision === ToolConfirmation.ALLOW) this.#begin(use);
  }

  async #keep(event: SessionEvent): Promise<void> {
    const { payload, responseId, response } = event;
    this.#result.events.push(event);
    if (this.#isOutcome && response?.usage) addUsage(this.#result.usage, response.usage);
    if (payload.case === "agentMessage") {
      const words = textOf(payload.value.content);
      if (words) {
        const goesOn = responseId !== "" && responseId === this.#saidIn;
        this.#result.text = goesOn ? this.#result.text + words : words;
        this.#saidIn = responseId;
      }
    } else if (payload.case === "error" && payload.value.next !== ErrorNext.TURN_GOES_ON) {
      this.#result.error = payload.value;
    }
    await unlessAborted(() => this.#options.onEvent?.(event), this.#tasks.signal);
  }

  #isOver({ payload, seq }: SessionEvent, isOurs: boolean): boolean {
    switch (payload.case) {
      case "statusIdle":
        return this.#isOverAt(payload.value, isOurs);
      case "statusCompleted":
      case "statusFailed":
      case "statusArchived":
        this.#result.stopReason = payload.case.replace("status", "").toLowerCase();
        return true;
      case "userDefineOutcome":
        this.#isOutcome ||= seq === this.#result.seq;
        return false;
      case "statusRunning":
        this.#isTowards ||= isOurs && this.#isOutcome;
        return false;
      case "outcomeEvaluated":
        if (isOurs && this.#isOutcome) this.#turns.add(seq);
        else if (isOurs) this.#result.stopReason = "outcome_evaluated";
        return isOurs && !this.#isOutcome;
      default:
        return false;
    }
  }

  #isOverAt(idle: StatusIdle, isOurs: boolean): boolean {
    const reason = idle.stopReason?.reason;
    if (reason?.case === "interrupted" && reason.value.droppedSeqs.includes(this.#result.seq)) {
      this.#result.stopReason = "dropped";
      return true;
    }
    // A message's turn comes next, and it is judged after that one.
    if (this.#isTowards && reason?.case === "endTurn") return false;
    if (!isOurs && (!this.#isTowards || reason?.case === "requiresAction")) return false;
    const waitsFor = reason?.case === "requiresAction" ? reason.value.ids : [];
    if (waitsFor.some((id) => this.#atWork.has(id) || this.#answers.inHand(this.#sessionId, id))) return false;
    Object.assign(this.#result, { stopReason: stopReasonOf(idle), waitsFor });
    if (!this.#isOutcome && idle.usage) this.#result.usage = idle.usage;
    return true;
  }

  async #decide(use: ToolUse, confirm: Confirm, signal: AbortSignal): Promise<void> {
    const decision = await unlessAborted(() => confirm(use, { signal }), signal);
    const isAnswer = decision === true || typeof decision === "string";
    await this.#send(confirmationEvent(use.id, isAnswer && decision), signal);
  }

  async #tell(answer: UserEvent, use: ToolUse, signal: AbortSignal): Promise<void> {
    try {
      await this.#send(answer, signal);
    } catch (error) {
      if (!(error instanceof ManagedAgentsError) || !REFUSED.has(error.code)) throw error;
      // The handler's result is too large, say. The model is told, rather than left waiting.
      const told = text(`The tool ran, but its result was refused: ${error.message}`);
      await this.#send(resultEvent(use, [told], true), signal);
    }
  }

  async #send(event: UserEvent, signal: AbortSignal): Promise<void> {
    try {
      await this.#client.send(this.#sessionId, event, { signal });
    } catch (error) {
      if (!(error instanceof ManagedAgentsError) || !TOO_LATE.has(error.reason)) throw error;
    }
  }
}
