/** From a failed call to an error: by the reason in its details, and by its code where there is none. */

import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import * as errors from "./errors.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";

/** The class of each reason. */
const BY_REASON: Readonly<Record<errors.Reason, typeof errors.ManagedAgentsError>> = {
  INVALID_REQUEST: errors.InvalidRequestError,
  MALFORMED_REQUEST: errors.InvalidRequestError,
  INVALID_PAGE_TOKEN: errors.InvalidRequestError,
  NOT_IMPLEMENTED: errors.NotImplementedByServerError,
  AGENT_NOT_FOUND: errors.NotFoundError,
  SESSION_NOT_FOUND: errors.NotFoundError,
  TOOL_USE_NOT_FOUND: errors.NotFoundError,
  TOOL_USE_CLOSED: errors.ToolUseClosedError,
  SESSION_TERMINAL: errors.SessionTerminalError,
  AGENT_ARCHIVED: errors.AgentArchivedError,
  VERSION_CONFLICT: errors.VersionConflictError,
  REQUEST_ID_REUSED: errors.RequestIdReusedError,
  FROM_SEQ_BEYOND_HEAD: errors.FromSeqBeyondHeadError,
  LOG_REPLACED: errors.LogReplacedError,
  LIMIT_EXCEEDED: errors.LimitExceededError,
  PROVIDER_UNUSABLE: errors.ProviderUnusableError,
  TOOL_UNUSABLE: errors.ToolUnusableError,
  OUTCOME_ACTIVE: errors.OutcomeActiveError,
  UNAUTHENTICATED: errors.UnauthenticatedError,
  EVENT_UNREADABLE: errors.EventUnreadableError,
  INTERNAL: errors.ServerFaultError,
  LOG_UNAVAILABLE: errors.UnavailableError,
  DRAINING: errors.UnavailableError,
  DEADLINE_EXCEEDED: errors.DeadlineExceededError,
};

// The server chose the name: what every object has is no reason.
const CLASSES = new Map(Object.entries(BY_REASON));

const DOMAIN = "managedagents";

// What a cut connection looks like. A server that stops, or a proxy, ends a call with CANCELLED, a proxy that resets a
// stream in its middle, with INTERNAL, and Connect calls a connection that was reset ABORTED; a cancellation of our own
// never comes here.
const CUT: ReadonlySet<Code> = new Set([Code.Unavailable, Code.Canceled, Code.Aborted, Code.Internal]);

/** The error that a failed call throws. `answered`: this client has heard from the server before. */
export function errorOf(cause: unknown, address: string, answered: boolean): errors.ManagedAgentsError {
  const failure = ConnectError.from(cause);
  const details = detailsOf(failure);
  if (details.reason !== undefined) {
    return new (CLASSES.get(details.reason) ?? errors.ManagedAgentsError)(failure.rawMessage, details);
  }
  if (isCut(failure)) {
    const said = answered ? `no answer from the server at ${address}` : `no server at ${address}`;
    return new errors.NoAnswerError(failure.rawMessage ? `${said} (${failure.rawMessage})` : said, details);
  }
  if (failure.code === Code.Unimplemented || (failure.code === Code.Unknown && !isStatus(failure))) {
    const said = `${address} is no managed agents server, or an older one`;
    return new errors.NotThisServiceError(`${said} (${failure.rawMessage})`, details);
  }
  if (failure.code === Code.DeadlineExceeded) {
    const said = `${address} did not answer in time; the call may have been applied`;
    return new errors.DeadlineExceededError(said, details);
  }
  return new errors.ManagedAgentsError(failure.message, details);
}

/** Whether asking again, with the same request id, may help. */
export function isPassing(error: errors.ManagedAgentsError): boolean {
  return error.retryAfterMs !== undefined || error.code === Code.Unavailable || error instanceof errors.NoAnswerError;
}

function isCut(failure: ConnectError): boolean {
  if (CUT.has(failure.code)) return true;
  if (isStatus(failure)) return false;
  // fetch says no more than TypeError when it reaches nobody, and Connect wraps it as UNKNOWN.
  // What else Connect calls it when a connection broke before the server could give a status is DATA_LOSS.
  return failure.code === Code.DataLoss || (failure.code === Code.Unknown && failure.cause instanceof TypeError);
}

/** Whether somebody at the other end said it, and not the transport here. */
function isStatus(failure: ConnectError): boolean {
  return failure.metadata.has("grpc-status");
}

function detailsOf(failure: ConnectError): errors.ErrorDetails {
  const info = failure.findDetails(ErrorInfoSchema).find(({ domain }) => domain === DOMAIN);
  const violations = failure.findDetails(BadRequestSchema).flatMap((bad) => bad.fieldViolations);
  const delay = failure.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return {
    code: failure.code,
    reason: info?.reason,
    violations: violations.map(({ field, description }) => ({ field, description })),
    retryAfterMs: delay && durationMs(delay),
    metadata: info?.metadata ?? {},
    cause: failure,
  };
}
