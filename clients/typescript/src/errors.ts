/**
 * What a call throws. The class follows from the reason that the server gave (`ErrorReason`), never from a text.
 *
 * A failed model or tool is no error here: it is an event in the session's log.
 */

import type { Code } from "@connectrpc/connect";
import type { ErrorReason } from "./gen/managedagents/v1/error_pb.js";

/** Why the server refused, or failed at, a call: the names in `ErrorReason`. */
export type Reason = Exclude<keyof typeof ErrorReason, "UNSPECIFIED">;

/** One bad field of a request: its path from the request down, `definition.tools[1].custom.name`, and why. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** What an error carries beside its message. */
export type ErrorDetails = Partial<Omit<ManagedAgentsError, "name" | "message" | "stack">>;

/** A call that failed. Thrown itself only for a reason that this version of the client does not know. */
export class ManagedAgentsError extends Error {
  /** The name in `ErrorReason`, say SESSION_NOT_FOUND. Undefined: the server gave none. */
  // A newer server may give a reason that is not listed here; the intersection keeps the listed ones suggested.
  readonly reason: Reason | (string & {}) | undefined;
  /** The gRPC status. Undefined: found before anything was sent, or after the call. */
  readonly code: Code | undefined;
  /** The bad fields of a refused request. */
  readonly violations: readonly FieldViolation[] = [];
  /** After this time asking again may help. Undefined: the server did not say that waiting helps. */
  readonly retryAfterMs: number | undefined;
  /** What the server says beside the reason, say `limit` and `value`. */
  readonly metadata: Readonly<Record<string, string>> = {};

  constructor(message: string, { cause, ...details }: ErrorDetails = {}) {
    super(message, { cause });
    this.name = new.target.name;
    Object.assign(this, details);
  }
}

/** The request is wrong; `violations` names each bad field. Asking again does not help. */
export class InvalidRequestError extends ManagedAgentsError {}

/** A part that this server does not have yet; `metadata.field` names it. */
export class NotImplementedByServerError extends ManagedAgentsError {}

/** No such agent, session or tool use, or another tenant's. */
export class NotFoundError extends ManagedAgentsError {}

/** The tool use is closed: somebody was faster, or the turn was interrupted. Benign: go on. */
export class ToolUseClosedError extends ManagedAgentsError {}

/** The session is completed, failed or archived (`metadata.status`): only reads and a deletion work. */
export class SessionTerminalError extends ManagedAgentsError {}

/** The agent is archived and takes no new sessions. */
export class AgentArchivedError extends ManagedAgentsError {}

/** The agent was changed since the version that the update names: read it and decide again. */
export class VersionConflictError extends ManagedAgentsError {}

/** The request id was used with another request. */
export class RequestIdReusedError extends ManagedAgentsError {}

/** The seq to go on from is beyond the log's head; `metadata.head_seq` gives the head. */
export class FromSeqBeyondHeadError extends ManagedAgentsError {}

/** A backup was restored: the seqs known here mean nothing any more. Read the session anew from 0. */
export class LogReplacedError extends ManagedAgentsError {}

/** A limit is reached; `metadata.limit` names it, `metadata.value` gives it. */
export class LimitExceededError extends ManagedAgentsError {}

/** The model's provider cannot be used as the definition asks. */
export class ProviderUnusableError extends ManagedAgentsError {}

/** A tool of the definition cannot be used at this server. */
export class ToolUnusableError extends ManagedAgentsError {}

/** The session has an outcome that is not over yet (`metadata.seq`): wait for its end, or interrupt it. */
export class OutcomeActiveError extends ManagedAgentsError {}

/** No token, or one that the server does not know. */
export class UnauthenticatedError extends ManagedAgentsError {}

/** An event of the log cannot be read (`metadata.seq`): go on after it. */
export class EventUnreadableError extends ManagedAgentsError {}

/** A fault of the server; its own log tells more under `metadata.error_id`. */
export class ServerFaultError extends ManagedAgentsError {}

/** The server is there and cannot do it now: it shuts down, or its log cannot be written. */
export class UnavailableError extends ManagedAgentsError {}

/** No server answered in the time that the client has patience for. A changing call may have been applied. */
export class NoAnswerError extends UnavailableError {}

/** The server did not answer in time. A changing call may have been applied. */
export class DeadlineExceededError extends ManagedAgentsError {}

/** Something answers at this address, and it is not this service, or an older version of it. */
export class NotThisServiceError extends ManagedAgentsError {}

/** A stream gave what it never gives, say a hole between two seqs: a fault of the server or of something between. */
export class PromiseBrokenError extends ManagedAgentsError {}

/** Plain values that are no definition, or no event: the message says why. Nothing was sent. */
export class DefinitionError extends ManagedAgentsError {}
