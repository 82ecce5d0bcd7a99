/** The client where there is Node.js: gRPC over a connection of its own. */

import { AsyncLocalStorage } from "node:async_hooks";
import { type ClientHttp2Stream, constants } from "node:http2";
import { connect as connectPlain, isIP, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import type { Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import type { ClientOptions } from "./calls.js";
import { Client } from "./client.js";

/** How a server is reached. Times are in milliseconds. */
export interface ConnectOptions extends Omit<ClientOptions, "address"> {
  /** True, or whom to trust and who we are (`ca`, `cert`, `key`, `servername`). Plain text unless given. */
  tls?: boolean | ConnectionOptions;
}

// A machine that vanished closes no connection. A follower hears from its server every 10 s, so that a ping goes out
// only when that is overdue.
const KEEPALIVE = { pingIntervalMs: 20_000, pingTimeoutMs: 10_000 };

/**
 * A client of the server at `address` (host and port). The connection is made by the first call, and made again where it
 * broke; it keeps no process alive that waits for nothing.
 */
export function connect(address: string, options: ConnectOptions = {}): Client {
  const { tls = false, ...rest } = options;
  const baseUrl = `${tls === false ? "http" : "https"}://${address}`;
  let socket: Socket | undefined;
  const createConnection = (url: URL): Socket => (socket = socketTo(url, tls, options.connectTimeoutMs ?? 5_000));
  const sessionManager = new Connection(baseUrl, KEEPALIVE, { createConnection });
  const interceptors = [sessionManager.interceptor];
  const client = new Client(createGrpcTransport({ baseUrl, sessionManager, interceptors }), { address, ...rest });
  client.closed.addEventListener("abort", () => {
    sessionManager.abort();
    // One that is not connected yet is not HTTP/2's to end.
    socket?.destroy();
  });
  return client;
}

/** Connections, one at a time, and the streams of their calls, with two things mended that Connect leaves to Node.js. */
class Connection extends Http2SessionManager {
  readonly #signals = new AsyncLocalStorage<AbortSignal>();

  /** Calls by way of this get to know the signal that their end aborts. */
  readonly interceptor: Interceptor = (next) => (request) => this.#signals.run(request.signal, () => next(request));

  override async request(...given: Parameters<Http2SessionManager["request"]>): Promise<ClientHttp2Stream> {
    const stream = await super.request(...given);
    // Connect stops listening to a connection that it replaces, and Node.js may tell of its error only then; an error
    // that nobody listens to would end the process.
    if (!stream.session?.listeners("error").includes(ignore)) stream.session?.on("error", ignore);
    // Connect leaves what a cancelled or refused call has not read, and Node.js keeps a stream that has something left to
    // read, and with it the process.
    const leave = (): void => {
      if (stream.readableEnded) return;
      stream.close(constants.NGHTTP2_CANCEL);
      stream.destroy();
    };
    const signal = this.#signals.getStore();
    if (signal?.aborted) leave();
    signal?.addEventListener("abort", leave);
    return stream;
  }
}

function ignore(): void {
  // What it ends is told to the calls under way.
}

/** A socket that gives up when it is not connected in time: an address that swallows what is sent holds one for minutes. */
function socketTo({ hostname, port }: URL, tls: boolean | ConnectionOptions, ms: number): Socket {
  const host = hostname.replace(/^\[|\]$/g, "");
  const servername = isIP(host) ? {} : { servername: host };
  const socket =
    tls === false
      ? connectPlain(Number(port || 80), host)
      : connectTls(Number(port || 443), host, { ALPNProtocols: ["h2"], ...servername, ...(tls === true ? {} : tls) });
  socket.setTimeout(ms, () => {
    socket.destroy(Object.assign(new Error(`no connection after ${ms / 1_000} s`), { code: "ETIMEDOUT" }));
  });
  socket.once(tls === false ? "connect" : "secureConnect", () => socket.setTimeout(0));
  return socket;
}
