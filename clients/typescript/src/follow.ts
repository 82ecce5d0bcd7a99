/** Following a session: one unbroken run of events, over as many streams as it takes. */

import { create } from "@bufbuild/protobuf";
import { linked, sleep } from "./abort.js";
import type { Calls } from "./calls.js";
import { DeadlineExceededError, ManagedAgentsError, PromiseBrokenError } from "./errors.js";
import type { SessionEvent } from "./gen/managedagents/v1/event_pb.js";
import type { StreamEventsResponse } from "./gen/managedagents/v1/service_pb.js";
import {
  type StreamDelta,
  type StreamDeltaDiscarded,
  StreamDeltaDiscardedSchema,
  type StreamEnded,
  StreamEndedSchema,
  StreamEndReason,
  type StreamTurn,
} from "./gen/managedagents/v1/stream_pb.js";
import { Patience } from "./patience.js";
import { isPassing } from "./status.js";

/** What a follow with deltas, or of a turn, yields; `$typeName` tells which it is. */
export type FollowItem = SessionEvent | StreamDelta | StreamDeltaDiscarded | StreamTurn;

/** How a session is followed. */
export interface FollowOptions {
  /** The last seq that you have: 0n, unless given, is the whole log; null is only what comes from now on. */
  fromSeq?: bigint | null;
  /** Only these kinds, say `agent.message`. Empty: all. */
  kinds?: readonly string[];
  /** The history that `fromSeq` belongs to, from an earlier follow. */
  logId?: string;
  /** Also what a model is in the middle of saying. */
  deltas?: boolean;
  /**
   * The seq of a message or an outcome: only the events of its turn, and where it stands as `StreamTurn`, until it is
   * over. Unless given, the whole session.
   */
  turn?: bigint;
  /** Ends the follow: its reason is thrown. */
  signal?: AbortSignal;
}

/**
 * An async iterator over a session's events: none twice, none left out, until the session is over.
 *
 * A stream that is cut is opened again after the last event; a server that is away is waited for as long as the client
 * has patience. To stop before the end, leave the loop, or call `return`; the call is cancelled at once. An event of a
 * kind that this version of the client does not know is left out, and counted.
 *
 * With deltas the items are also `StreamDelta` and `StreamDeltaDiscarded`. When a stream is cut in the middle of a
 * response, a `StreamDeltaDiscarded` for it comes out here: what the next stream tells of it starts over.
 *
 * Of a turn the items are also `StreamTurn`, and it is over with the turn.
 */
export class Follow<Item extends FollowItem = SessionEvent> implements AsyncIterableIterator<Item, undefined> {
  /** Everything up to this seq was yielded or filtered: where to go on. Undefined: live only, and not connected yet. */
  throughSeq: bigint | undefined;
  /** The history that the seqs belong to. Undefined: not known yet. */
  logId: string | undefined;
  /** The head of the log was reached once. */
  caughtUp = false;
  /** How the session's events ended for good. Undefined: they did not, as far as is known. */
  ended: StreamEnded | undefined;
  readonly #stop: AbortController;
  readonly #patience = new Patience();
  readonly #items = this.#run();
  #left = false;
  #halfTold: StreamDeltaDiscarded | undefined;

  /** Made by `Client.follow`. */
  constructor(
    private readonly calls: Calls,
    readonly sessionId: string,
    private readonly options: FollowOptions,
  ) {
    this.#stop = linked(options.signal);
    this.throughSeq = options.fromSeq === null ? undefined : (options.fromSeq ?? 0n);
    this.logId = options.logId;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next item; `done` when the session is over. */
  next(): Promise<IteratorResult<Item, undefined>> {
    return this.#items.next() as Promise<IteratorResult<Item, undefined>>;
  }

  /** Stop following, and cancel the call. */
  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#left = true;
    // A generator takes notice of its end only between two items; the signal ends its wait for the next one.
    this.#stop.abort();
    await this.#items.return(undefined);
    return { done: true, value: undefined };
  }

  async *#run(): AsyncGenerator<FollowItem, undefined> {
    const { signal } = this.#stop;
    let delay: number | undefined = 0;
    try {
      for (;;) {
        const place = { ...this.options, fromSeq: this.throughSeq ?? null, logId: this.logId, signal };
        try {
          if (delay > 0) await sleep(delay, signal);
          for await (const { message } of this.calls.stream(this.sessionId, place)) {
            yield* this.#take(message);
            if (message.case === "ended") return;
          }
          throw this.calls.cut("the stream closed without saying why");
        } catch (failure) {
          if (this.#left) return;
          signal.throwIfAborted();
          delay = this.#delayAfter(failure);
          if (delay === undefined) return;
        }
        if (this.#halfTold) yield this.#halfTold;
        this.#halfTold = undefined;
      }
    } finally {
      this.#stop.abort();
    }
  }

  /** Milliseconds to wait before the next stream; undefined: the session was deleted while none was open to say so. */
  #delayAfter(failure: unknown): number | undefined {
    if (!(failure instanceof ManagedAgentsError)) throw failure;
    const wasThere = this.logId !== undefined && this.throughSeq !== undefined;
    if (wasThere && failure.reason === "SESSION_NOT_FOUND") {
      const ended = { reason: StreamEndReason.DELETED, lastSeq: this.throughSeq, final: true };
      this.ended = create(StreamEndedSchema, ended);
      return undefined;
    }
    // Nobody gave this call a deadline here: one that passed was a proxy's, and ends a stream like any cut.
    if (!(failure instanceof DeadlineExceededError) && !isPassing(failure)) throw failure;
    return this.#patience.next(failure, this.calls.patienceMs);
  }

  /** What a message has for the caller. A kind of message that is not known here has nothing. */
  *#take(message: StreamEventsResponse["message"]): Generator<FollowItem> {
    // A stream that only ever opens is no better than none.
    if (message.case !== "opened") this.#patience.reset();
    switch (message.case) {
      case "opened":
        this.logId = message.value.logId;
        this.throughSeq ??= message.value.headSeq;
        break;
      case "batch":
        for (const event of message.value.events) {
          if (this.#advance(event) && event.payload.case !== undefined) yield event;
        }
        this.#move(message.value.throughSeq);
        break;
      case "caughtUp":
        this.caughtUp = true;
        break;
      case "delta": {
        const { responseId, attempt } = message.value;
        this.#halfTold = create(StreamDeltaDiscardedSchema, { responseId, attempt });
        yield message.value;
        break;
      }
      case "deltaDiscarded":
        this.#halfTold = undefined;
        yield message.value;
        break;
      case "progress":
        this.#move(message.value.throughSeq);
        break;
      case "turn":
        yield message.value;
        break;
      case "ended":
        if (!message.value.final) throw this.calls.cut("the server is shutting down");
        this.ended = message.value;
    }
  }

  #move(throughSeq: bigint): void {
    if (throughSeq > (this.throughSeq ?? 0n)) this.throughSeq = throughSeq;
  }

  /** Whether the event is new. The seq moves before the caller gets the event. */
  #advance({ seq, responseId }: SessionEvent): boolean {
    const after = this.throughSeq ?? 0n;
    if (seq <= after) return false;
    if (!this.options.kinds?.length && !this.options.turn && seq !== after + 1n) {
      throw new PromiseBrokenError(`seq ${seq} came after ${after} in ${this.sessionId}`);
    }
    if (responseId === this.#halfTold?.responseId) this.#halfTold = undefined;
    this.throughSeq = seq;
    return true;
  }
}
