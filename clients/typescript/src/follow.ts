/** Following a session: one unbroken run of events, over as many streams as it takes. */

import { create } from "@bufbuild/protobuf";
import { Linked, sleep } from "./abort.js";
import { Backoff } from "./backoff.js";
import type { Calls } from "./calls.js";
import { DeadlineExceededError, ManagedAgentsError, NoAnswerError, PromiseBrokenError } from "./errors.js";
import type { SessionEvent } from "./gen/managedagents/v1/event_pb.js";
import type { StreamEventsResponse } from "./gen/managedagents/v1/service_pb.js";
import {
  type StreamDelta,
  type StreamDeltaDiscarded,
  StreamDeltaDiscardedSchema,
  type StreamEnded,
  StreamEndedSchema,
  StreamEndReason,
} from "./gen/managedagents/v1/stream_pb.js";
import { isPassing } from "./status.js";

/** What a follow with deltas yields; `$typeName` tells which it is. */
export type FollowItem = SessionEvent | StreamDelta | StreamDeltaDiscarded;

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
 */
export class Follow<Item extends FollowItem = SessionEvent> implements AsyncIterableIterator<Item, undefined> {
  readonly #calls: Calls;
  readonly #options: FollowOptions;
  readonly #heartbeatTimeoutMs: number;
  readonly #stop: Linked;
  readonly #backoff = new Backoff();
  readonly #items: AsyncGenerator<FollowItem, undefined>;
  #throughSeq: bigint | undefined;
  #logId: string | undefined;
  #caughtUp = false;
  #ended: StreamEnded | undefined;
  #left = false;
  #lostAt: number | undefined;
  #halfTold: StreamDeltaDiscarded | undefined;

  /** Made by `Client.follow`. */
  constructor(
    calls: Calls,
    readonly sessionId: string,
    options: FollowOptions,
    heartbeatTimeoutMs: number,
  ) {
    this.#calls = calls;
    this.#options = options;
    this.#heartbeatTimeoutMs = heartbeatTimeoutMs;
    this.#stop = new Linked(options.signal);
    this.#throughSeq = options.fromSeq === null ? undefined : (options.fromSeq ?? 0n);
    this.#logId = options.logId;
    this.#items = this.#run();
  }

  /** Everything up to this seq was yielded or filtered: where to go on. Undefined: live only, and not connected yet. */
  get throughSeq(): bigint | undefined {
    return this.#throughSeq;
  }

  /** The history that the seqs belong to. Undefined: not known yet. */
  get logId(): string | undefined {
    return this.#logId;
  }

  /** The head of the log was reached once. */
  get caughtUp(): boolean {
    return this.#caughtUp;
  }

  /** How the session's events ended for good. Undefined: they did not, as far as is known. */
  get ended(): StreamEnded | undefined {
    return this.#ended;
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
    this.#stop.release();
    await this.#items.return(undefined);
    return { done: true, value: undefined };
  }

  async *#run(): AsyncGenerator<FollowItem, undefined> {
    try {
      while (this.#ended === undefined) {
        const link = new Linked(this.#stop.signal);
        const place = { ...this.#options, fromSeq: this.#throughSeq ?? null, logId: this.#logId };
        const stream = this.#calls.stream(streamRequest(this.sessionId, place), link.signal);
        let delay: number;
        try {
          while (this.#isGoingOn()) yield* this.#take(await this.#read(stream, link));
          return;
        } catch (failure) {
          if (this.#left) return;
          this.#stop.signal.throwIfAborted();
          if (this.#isDeleted(failure)) return;
          delay = this.#delayAfter(failure);
        } finally {
          link.abort();
          link.release();
          await stream.return();
        }
        if (this.#halfTold) yield this.#halfTold;
        this.#halfTold = undefined;
        await sleep(delay, this.#stop.signal);
      }
    } finally {
      this.#stop.release();
    }
  }

  // A method, because the compiler does not see that #take may set it.
  #isGoingOn(): boolean {
    return this.#ended === undefined;
  }

  /** Whether the session, which was there, was deleted while no stream was open to say so. */
  #isDeleted(failure: unknown): boolean {
    if (!(failure instanceof ManagedAgentsError) || failure.reason !== "SESSION_NOT_FOUND") return false;
    if (this.#logId === undefined || this.#throughSeq === undefined) return false;
    const ended = { reason: StreamEndReason.DELETED, lastSeq: this.#throughSeq, final: true };
    this.#ended = create(StreamEndedSchema, ended);
    return true;
  }

  /** Milliseconds to wait before the next stream. Throws what another stream would not mend. */
  #delayAfter(failure: unknown): number {
    if (!(failure instanceof ManagedAgentsError)) throw failure;
    const now = performance.now();
    this.#lostAt ??= now;
    const delay = this.#backoff.next(failure.retryAfterMs);
    // Nobody gave this call a deadline here: one that passed was a proxy's, and ends a stream like any cut.
    const passing = failure instanceof DeadlineExceededError || isPassing(failure);
    if (!passing || now - this.#lostAt + delay > this.#calls.patienceMs) throw failure;
    return delay;
  }

  async #read(stream: AsyncIterator<StreamEventsResponse, void>, link: Linked): Promise<StreamEventsResponse> {
    const silent = setTimeout(() => {
      link.abort(this.#cut(`nothing came for ${this.#heartbeatTimeoutMs / 1_000} s`));
    }, this.#heartbeatTimeoutMs);
    try {
      const { done, value } = await stream.next();
      if (done) throw this.#cut("the stream closed without saying why");
      return value;
    } finally {
      clearTimeout(silent);
    }
  }

  /** The stream is over and the session is not: go on with another one. */
  #cut(why: string): NoAnswerError {
    return new NoAnswerError(`${this.#calls.address}: ${why}`);
  }

  /** What a message has for the caller. A kind of message that is not known here has nothing. */
  *#take({ message }: StreamEventsResponse): Generator<FollowItem> {
    if (message.case !== "opened") {
      // A stream that only ever opens is no better than none.
      this.#backoff.reset();
      this.#lostAt = undefined;
    }
    switch (message.case) {
      case "opened":
        this.#logId = message.value.logId;
        this.#throughSeq ??= message.value.headSeq;
        break;
      case "batch":
        for (const event of message.value.events) {
          if (this.#advance(event) && event.payload.case !== undefined) yield event;
        }
        this.#move(message.value.throughSeq);
        break;
      case "caughtUp":
        this.#caughtUp = true;
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
      case "ended":
        if (!message.value.final) throw this.#cut("the server is shutting down");
        this.#ended = message.value;
    }
  }

  #move(throughSeq: bigint): void {
    if (throughSeq > (this.#throughSeq ?? 0n)) this.#throughSeq = throughSeq;
  }

  /** Whether the event is new. The seq moves before the caller gets the event. */
  #advance(event: SessionEvent): boolean {
    const after = this.#throughSeq ?? 0n;
    if (event.seq <= after) return false;
    if (!this.#options.kinds?.length && event.seq !== after + 1n) {
      throw new PromiseBrokenError(`seq ${event.seq} came after ${after} in ${this.sessionId}`);
    }
    if (event.responseId === this.#halfTold?.responseId) this.#halfTold = undefined;
    this.#throughSeq = event.seq;
    return true;
  }
}

/** The request of one stream. */
export function streamRequest(sessionId: string, options: FollowOptions) {
  const { fromSeq = 0n, kinds = [], deltas = false, logId } = options;
  return { sessionId, fromSeq: fromSeq ?? undefined, includeDeltas: deltas, kinds: [...kinds], logId };
}
