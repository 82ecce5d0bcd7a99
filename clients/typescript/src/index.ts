/**
 * A client of the managed agents service. `connect` of `managedagents/node` makes one; the messages are in
 * `managedagents/v1`. Nothing here asks for Node.js.
 */

export { Code } from "@connectrpc/connect";
export type { Handler, HandlerContext, Tools } from "./answers.js";
export type { ClientOptions } from "./calls.js";
export {
  type CallOptions,
  type ChangeOptions,
  Client,
  type ListAgentsOptions,
  type ListEventsOptions,
  type ListOptions,
  type ListSessionsOptions,
  type StartOptions,
} from "./client.js";
export type { Definition, Environment, Overrides } from "./definition.js";
export {
  AgentArchivedError,
  DeadlineExceededError,
  DefinitionError,
  type ErrorDetails,
  EventUnreadableError,
  type FieldViolation,
  FromSeqBeyondHeadError,
  InvalidRequestError,
  LimitExceededError,
  LogReplacedError,
  ManagedAgentsError,
  NoAnswerError,
  NotFoundError,
  NotImplementedByServerError,
  NotThisServiceError,
  OutcomeActiveError,
  PromiseBrokenError,
  ProviderUnusableError,
  type Reason,
  RequestIdReusedError,
  ServerFaultError,
  SessionTerminalError,
  ToolUnusableError,
  ToolUseClosedError,
  UnauthenticatedError,
  UnavailableError,
  VersionConflictError,
} from "./errors.js";
export { kindOf, type Message, outcomeEvent, stopReasonOf, text, textOf, userEvent } from "./events.js";
export type { Follow, FollowItem, FollowOptions } from "./follow.js";
export type { Pages } from "./pages.js";
export type { Confirm, OnEvent, RunOptions, RunResult } from "./run.js";
export { confirmationEvent, resultEvent, type ToolUse, useOf, useThatWaits } from "./uses.js";
