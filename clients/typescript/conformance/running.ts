/** The verb `run`: a step as what the client's run takes, and what came of it as a line. */

import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Handler, RunOptions, RunResult } from "managedagents";
import { ErrorCodeSchema } from "managedagents/v1";
import { forever } from "../test/support/waiting.js";

/** The handlers and the decision that a step is short for. */
export function runOptions({ tools = {}, confirm }: JsonObject): RunOptions {
  const handlers = Object.entries(tools as JsonObject).map(([name, told]) => [name, handler(told as JsonObject)]);
  return {
    tools: Object.fromEntries(handlers) as Record<string, Handler>,
    ...(confirm === undefined ? {} : { confirm: () => confirm }),
  };
}

function handler(told: JsonObject): Handler {
  return (_, { signal }) => {
    if (typeof told["fails"] === "string") throw new Error(told["fails"]);
    if (told["hangs"] === true) return forever(signal);
    return told["returns_no_json"] === true ? () => undefined : told["returns"];
  };
}

/** What its line says, as JSON. */
export function ranTo({ stopReason, text, waitsFor, error }: RunResult): JsonValue {
  return {
    stopReason,
    text,
    ...(waitsFor.length > 0 ? { waitsFor } : {}),
    ...(error === undefined ? {} : { error: ErrorCodeSchema.value[error.code].name }),
  };
}
