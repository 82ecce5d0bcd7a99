/** Sessions of a real server, and what is told in them. */

import type { TestContext } from "node:test";
import { type Client, type RunResult, textOf } from "managedagents";
import type { AgentDefinitionJson, ScriptedResponseJson, SessionEvent } from "managedagents/v1";
import { client as clientOf } from "./fake.js";
import { Server } from "./server.js";

export async function started(t: TestContext, ...flags: string[]): Promise<{ server: Server; client: Client }> {
  const server = new Server(...flags);
  t.after(() => server.end());
  await server.start();
  return { server, client: clientOf(t, server.address) };
}

export async function session(
  client: Client,
  responses: ScriptedResponseJson[],
  names: string[] = [],
  more: Partial<AgentDefinitionJson> = {},
): Promise<string> {
  const tools = names.map((name) => ({ custom: { name } }));
  const { agentId } = await client.create({ name: "test", model: { scripted: { responses } }, tools, ...more });
  return (await client.startSession(agentId)).sessionId;
}

export function calls(...names: string[]): ScriptedResponseJson {
  return { text: "wait", toolCalls: names.map((name) => ({ name, inputJson: `{"of": "${name}"}` })) };
}

export function shell(...commands: string[]): ScriptedResponseJson {
  return { toolCalls: commands.map((command) => ({ name: "bash", inputJson: JSON.stringify({ command }) })) };
}

/** An agent whose bash runs here, and not at the server. */
export const AT_CLIENT: Partial<AgentDefinitionJson> = { tools: [{ bash: {} }], toolHost: "TOOL_HOST_CLIENT" };
export const ASKS: Partial<AgentDefinitionJson> = { permissionPolicy: { default: "PERMISSION_MODE_PROMPT" } };
export const DONE: ScriptedResponseJson = { text: "done" };

/** What the model was told, by the name of the tool. */
export function told({ events }: RunResult): Map<string, { text: string; isError: boolean }> {
  const names = new Map<string, string>();
  const answers = new Map<string, { text: string; isError: boolean }>();
  for (const { payload } of events) {
    if (payload.case === "agentCustomToolUse") names.set(payload.value.customToolUseId, payload.value.name);
    if (payload.case !== "userCustomToolResult") continue;
    const { customToolUseId, content, isError } = payload.value;
    answers.set(names.get(customToolUseId) ?? "", { text: textOf(content), isError });
  }
  return answers;
}

export async function first(events: AsyncIterable<SessionEvent>): Promise<SessionEvent> {
  for await (const event of events) return event;
  throw new Error("there was none");
}
