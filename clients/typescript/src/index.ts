/**
 * A client of the managed agents service. `connect` of `managedagents/node` makes one; the messages are in
 * `managedagents/v1`. Nothing here asks for Node.js.
 */

export { Code } from "@connectrpc/connect";
export type { Handler, HandlerContext, Tools } from "./answers.js";
export type { ClientOptions } from "./calls.js";
export * from "./client.js";
export type { Definition, Environment, Overrides } from "./definition.js";
export * from "./errors.js";
export * from "./events.js";
export type { Follow, FollowItem, FollowOptions } from "./follow.js";
export type { Pages } from "./pages.js";
export type { Confirm, OnEvent, RunOptions, RunResult } from "./run.js";
