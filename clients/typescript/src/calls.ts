/** One call, asked again until it is answered or the patience is over. */

import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { Linked, sleep } from "./abort.js";
import { Backoff } from "./backoff.js";
import { DeadlineExceededError, type ManagedAgentsError, NoAnswerError } from "./errors.js";
import {
  ManagedAgentRuntime,
  type StreamEventsRequestSchema,
  type StreamEventsResponse,
} from "./gen/managedagents/v1/service_pb.js";
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
   * How long a followed session may be silent before its stream counts as cut: 30 s unless given. The server gives a
   * sign of life every 10.
   */
  heartbeatTimeoutMs?: number;
}

/** Asks the server, and knows how long to go on asking one that does not answer. */
export class Calls {
  readonly address: string;
  readonly #transport: Transport;
  readonly #headers: Record<string, string>;
  readonly #connectTimeoutMs: number;
  readonly #patienceMs: number;
  readonly #closing = new AbortController();
  #answered = false;

  constructor(transport: Transport, options: ClientOptions) {
    this.#transport = transport;
    this.address = options.address ?? "this address";
    this.#headers = options.token ? { authorization: `Bearer ${options.token}` } : {};
    this.#connectTimeoutMs = options.connectTimeoutMs ?? 5_000;
    this.#patienceMs = options.patienceMs ?? 60_000;
  }

  /** How long the server may be away now. */
  get patienceMs(): number {
    return this.#answered || this.#patienceMs === 0 ? this.#patienceMs : this.#connectTimeoutMs;
  }

  /** Aborted by `close`. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  /** End all calls, those under way and those to come. */
  close(): void {
    this.#closing.abort(new DOMException("The client is closed.", "AbortError"));
  }

  /** Ask, and ask again with the very same request (and so the same request id) while that may help. */
  async unary<Request extends DescMessage, Response extends DescMessage>(
    method: DescMethodUnary<Request, Response>,
    request: MessageInitShape<Request>,
    signal?: AbortSignal,
  ): Promise<MessageShape<Response>> {
    const [began, backoff, link] = [performance.now(), new Backoff(), new Linked(this.closed, signal)];
    try {
      for (;;) {
        link.signal.throwIfAborted();
        try {
          // A timeout of 0 is none.
          const timeoutMs = this.#patienceMs;
          const response = await this.#transport.unary(method, link.signal, timeoutMs, this.#headers, request);
          this.#answered = true;
          return response.message;
        } catch (failure) {
          link.signal.throwIfAborted();
          const error = this.#error(failure);
          const delay = backoff.next(error.retryAfterMs);
          if (!isPassing(error) || performance.now() - began + delay > this.patienceMs) throw error;
          await sleep(delay, link.signal);
        }
      }
    } finally {
      link.release();
    }
  }

  /** The messages of one stream, as they come. The call is cancelled when the reader leaves. */
  async *stream(
    request: MessageInitShape<typeof StreamEventsRequestSchema>,
    signal?: AbortSignal,
  ): AsyncGenerator<StreamEventsResponse, void> {
    const link = new Linked(this.closed, signal);
    try {
      link.signal.throwIfAborted();
      const options = { headers: this.#headers, signal: link.signal, timeoutMs: 0 };
      for await (const message of createClient(ManagedAgentRuntime, this.#transport).streamEvents(request, options)) {
        this.#answered = true;
        yield message;
      }
    } catch (failure) {
      link.signal.throwIfAborted();
      throw this.#error(failure);
    } finally {
      link.abort();
      link.release();
    }
  }

  #error(failure: unknown): ManagedAgentsError {
    const error = errorOf(failure, this.address, this.#answered);
    this.#answered ||= !(error instanceof NoAnswerError || error instanceof DeadlineExceededError);
    return error;
  }
}
