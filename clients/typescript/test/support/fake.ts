/** A service that does what a test says, behind a real HTTP/2 server: for what the real one does not do. */

import { createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { Client } from "managedagents";
import { connect, type ConnectOptions } from "managedagents/node";
import {
  ManagedAgentRuntime,
  StreamEndReason,
  type StreamEventsRequest,
  type StreamEventsResponseSchema,
} from "managedagents/v1";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "#dist/gen/google/rpc/error_details_pb.js";

export type Service = Partial<ServiceImpl<typeof ManagedAgentRuntime>>;
export type StreamMessage = MessageInitShape<typeof StreamEventsResponseSchema>;

/** A server that serves until the test is over. */
export interface Fake {
  address: string;
  /** Break all its connections, without a word. */
  cut: () => void;
  /** Be gone. */
  end: () => void;
}

export async function serving(t: TestContext, service: Service): Promise<Fake> {
  const sessions = new Set<ServerHttp2Session>();
  const handler = connectNodeAdapter({ routes: (router) => router.service(ManagedAgentRuntime, service) });
  const server = createServer(handler);
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  const cut = (): void => {
    for (const session of sessions) session.destroy();
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const end = (): void => {
    server.close();
    cut();
  };
  t.after(end);
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, cut, end };
}

/** A client of it, until the test is over. */
export async function connected(t: TestContext, service: Service, options?: ConnectOptions): Promise<Client> {
  const { address } = await serving(t, service);
  return client(t, address, options);
}

export function client(t: TestContext, address: string, options?: ConnectOptions): Client {
  const made = connect(address, options);
  t.after(() => {
    made.close();
  });
  return made;
}

/** A service that has only streams; what was asked is kept in `asked`. */
export function streaming(
  stream: (request: StreamEventsRequest, signal: AbortSignal) => AsyncIterable<StreamMessage>,
): Service & { asked: StreamEventsRequest[] } {
  const asked: StreamEventsRequest[] = [];
  return {
    asked,
    streamEvents(request, { signal }) {
      asked.push(request);
      return stream(request, signal);
    },
  };
}

export interface Refusal {
  domain?: string;
  fields?: Record<string, string>;
  retryAfterMs?: number;
  metadata?: Record<string, string>;
}

/** The error that a server throws to refuse a call. */
export function refusal(code: Code, reason = "", more: Refusal = {}): ConnectError {
  const { domain = "managedagents", fields = {}, retryAfterMs, metadata = {} } = more;
  const details: NonNullable<ConstructorParameters<typeof ConnectError>[3]> = [];
  if (reason) details.push({ desc: ErrorInfoSchema, value: { reason, domain, metadata } });
  const fieldViolations = Object.entries(fields).map(([field, description]) => ({ field, description }));
  if (fieldViolations.length > 0) details.push({ desc: BadRequestSchema, value: { fieldViolations } });
  if (retryAfterMs !== undefined) {
    details.push({ desc: RetryInfoSchema, value: { retryDelay: durationFromMs(retryAfterMs) } });
  }
  return new ConnectError("refused", code, undefined, details);
}

// Messages of a stream, as a service sends them.

export function opened(headSeq = 9n): StreamMessage {
  return { message: { case: "opened", value: { headSeq, logId: "log_1" } } };
}

/** Events of a kind that is known, from one seq to another. */
export function batch(first: bigint, last: bigint, responseId = ""): StreamMessage {
  const seqs = Array.from({ length: Number(last - first) + 1 }, (_, index) => first + BigInt(index));
  const events = seqs.map((seq) => ({ seq, responseId, payload: { case: "agentMessage" as const, value: {} } }));
  return { message: { case: "batch", value: { events, throughSeq: last } } };
}

export function progress(throughSeq: bigint): StreamMessage {
  return { message: { case: "progress", value: { throughSeq } } };
}

export function delta(text: string, offset = 0n): StreamMessage {
  const piece = { case: "text" as const, value: text };
  return { message: { case: "delta", value: { responseId: "rsp_1", attempt: 1, offset, piece } } };
}

export function ended(lastSeq: bigint, final = true): StreamMessage {
  const reason = final ? StreamEndReason.ARCHIVED : StreamEndReason.DRAINING;
  return { message: { case: "ended", value: { reason, lastSeq, final } } };
}
