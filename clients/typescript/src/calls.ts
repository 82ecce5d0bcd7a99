/** One call, asked again until it is answered or the patience is over. */

import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { linked, sleep } from "./abort.js";
import { DeadlineExceededError, type ManagedAgentsError, NoAnswerError } from "./errors.js";
import type { FollowOptions } from "./follow.js";
import { ManagedAgentRuntime, type StreamEventsResponse } from "./gen/managedagents/v1/service_pb.js";
import { Patience } from "./patience.js";
import { errorOf, isPassing } from "./status.js";

/** How a client asks. Times are in milliseconds. */
export interface ClientOptions {
  /** How errors name the server. */
  address?: string;
  /** Sent as a bearer token. */
  token?: string;
  /** How long to try a server that has never answered: 5 s unless given, so that a wrong address is told soon. */
  connectTimeoutMs?: number;
  /**
   * How long to go on with a server that has answered, and how long one call may take: 60 s unless given. 0: a call is
   * made once, and takes as long as it takes.
   */
  patienceMs?: number;
  /**
   * How long a stream may be silent before it counts as cut: 30 s unless given. The server gives a sign of life every
   * 10.
   */
  heartbeatTimeoutMs?: number;
}

/** Asks the server, and knows how long to go on asking one that does not answer. */
export class Calls {
  /** Ends all calls, those under way and those to come. */
  readonly closing = new AbortController();
  readonly #headers: Record<string, string>;
  #answered = false;

  constructor(
    private readonly transport: Transport,
    private readonly options: ClientOptions,
  ) {
    this.#headers = options.token ? { authorization: `Bearer ${options.token}` } : {};
  }

  /** How long the server may be away now. */
  get patienceMs(): number {
    const { patienceMs = 60_000, connectTimeoutMs = 5_000 } = this.options;
    return this.#answered || patienceMs === 0 ? patienceMs : connectTimeoutMs;
  }

  /** Ask, and ask again with the very same request (and so the same request id) while that may help. */
  async unary<Request extends DescMessage, Response extends DescMessage>(
    method: DescMethodUnary<Request, Response>,
    init: MessageInitShape<Request>,
    signal?: AbortSignal,
  ): Promise<MessageShape<Response>> {
    const request = create(method.input, init);
    if ("requestId" in request) request.requestId ||= newId();
    const [patience, link] = [new Patience(performance.now()), linked(this.closing.signal, signal)];
    try {
      for (;;) {
        link.signal.throwIfAborted();
        try {
          // A timeout of 0 is none.
          const timeoutMs = this.options.patienceMs ?? 60_000;
          const response = await this.transport.unary(method, link.signal, timeoutMs, this.#headers, request);
          this.#answered = true;
          return response.message;
        } catch (failure) {
          link.signal.throwIfAborted();
          const error = this.#error(failure);
          if (!isPassing(error)) throw error;
          await sleep(patience.next(error, this.patienceMs), link.signal);
        }
      }
    } finally {
      link.abort();
    }
  }

  /** The messages of one stream, as they come. The call is cancelled when the reader leaves. */
  async *stream(sessionId: string, options: FollowOptions): AsyncGenerator<StreamEventsResponse, void> {
    const { fromSeq = 0n, kinds = [], deltas, logId, turn, signal } = options;
    const place = { fromSeq: fromSeq ?? undefined, kinds: [...kinds], includeDeltas: deltas, logId, turn };
    const { heartbeatTimeoutMs = 30_000 } = this.options;
    const link = linked(this.closing.signal, signal);
    const listen = (): ReturnType<typeof setTimeout> =>
      setTimeout(() => {
        link.abort(this.cut(`nothing came for ${heartbeatTimeoutMs / 1_000} s`));
      }, heartbeatTimeoutMs);
    let silence = listen();
    try {
      link.signal.throwIfAborted();
      const { streamEvents } = createClient(ManagedAgentRuntime, this.transport);
      const how = { headers: this.#headers, signal: link.signal, timeoutMs: 0 };
      for await (const message of streamEvents({ ...place, sessionId }, how)) {
        clearTimeout(silence);
        this.#answered = true;
        yield message;
        silence = listen();
      }
    } catch (failure) {
      link.signal.throwIfAborted();
      throw this.#error(failure);
    } finally {
      clearTimeout(silence);
      link.abort();
    }
  }

  /** The error of a stream that is over while its session is not. */
  cut(why: string): NoAnswerError {
    return new NoAnswerError(`${this.#address}: ${why}`);
  }

  get #address(): string {
    return this.options.address ?? "this address";
  }

  #error(failure: unknown): ManagedAgentsError {
    const error = errorOf(failure, this.#address, this.#answered);
    this.#answered ||= !(error instanceof NoAnswerError || error instanceof DeadlineExceededError);
    return error;
  }
}

function newId(): string {
  // Not randomUUID: a page that came by http has none.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
