/** A scenario as its file has it, and the short ways in which it says things. */

import { readFileSync } from "node:fs";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

export interface Scenario {
  readonly name: string;
  readonly agent: JsonObject;
  readonly server?: { readonly limits: Readonly<Record<string, number>> };
  readonly steps: readonly Readonly<Record<string, JsonObject>>[];
}

export function read(file: string): Scenario {
  return JSON.parse(readFileSync(file, "utf8")) as Scenario;
}

/** How its server is started. */
export function flags({ server }: Scenario): string[] {
  return Object.entries(server?.limits ?? {}).map(([name, value]) => `--limit=${name}=${value}`);
}

/** It kills or terminates its server, which is then its own. */
export function stopsItsServer({ steps }: Scenario): boolean {
  return steps.some((step) => "kill" in step || "terminate" in step);
}

export function userMessage(text: JsonValue): JsonObject {
  return { user_message: { content: content(text) } };
}

/** A tool result with one block of text; `id` is the name of the field that says which use is meant. */
export function toolResult(id: string, use: JsonValue = "", text: JsonValue = "", isError?: JsonValue): JsonObject {
  return { [id]: use, content: content(text), ...(isError === undefined ? {} : { is_error: isError }) };
}

/** A tool confirmation. */
export function decided(use: JsonValue = "", allow: JsonValue = false, message?: JsonValue): JsonObject {
  const decision = allow === true ? "TOOL_CONFIRMATION_ALLOW" : "TOOL_CONFIRMATION_DENY";
  return { tool_use_id: use, decision, ...(message === undefined ? {} : { deny_message: message }) };
}

function content(text: JsonValue): JsonValue {
  return [{ text: { text } }];
}
