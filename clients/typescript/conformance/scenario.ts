/** A scenario as its file has it, and the short ways in which it says things. */

import { readFileSync } from "node:fs";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

export interface Scenario {
  readonly name: string;
  readonly agent: JsonObject;
  readonly server?: { readonly flags?: readonly string[]; readonly limits?: Readonly<Record<string, number>> };
  readonly steps: readonly Readonly<Record<string, JsonObject>>[];
}

export function read(file: string): Scenario {
  return JSON.parse(readFileSync(file, "utf8")) as Scenario;
}

/** How its server is started. */
export function flags({ server }: Scenario): string[] {
  const limits = Object.entries(server?.limits ?? {}).map(([name, value]) => `--limit=${name}=${value}`);
  return [...(server?.flags ?? []), ...limits];
}

const TO_ITS_SERVER: ReadonlySet<string> = new Set(["kill", "terminate", "stop", "start_again", "by_hand"]);

/** It does to its server what others should not feel. */
export function hasItsOwn({ steps }: Scenario): boolean {
  return steps.some((step) => Object.keys(step).some((verb) => TO_ITS_SERVER.has(verb)));
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
