/** A tool use that the session's client is asked about, and the events that answer it. */

import { create } from "@bufbuild/protobuf";
import { PermissionDecision } from "./gen/managedagents/v1/agent_event_pb.js";
import type { Content } from "./gen/managedagents/v1/content_pb.js";
import type { SessionEvent } from "./gen/managedagents/v1/event_pb.js";
import { type PendingAction, PendingActionKind } from "./gen/managedagents/v1/session_pb.js";
import { ToolConfirmation, type UserEvent, UserEventSchema } from "./gen/managedagents/v1/user_event_pb.js";

/** A tool use as its event says it; nothing is guessed from a name. */
export interface ToolUse {
  readonly id: string;
  readonly name: string;
  /** As the model wrote it; may be no JSON at all. */
  readonly inputJson: string;
  readonly kind: "custom" | "built-in" | "mcp";
  /** It waits for user.tool_confirmation. */
  readonly needsConfirmation: boolean;
  /** The client answers it with its result (after the confirmation, where it needs one). */
  readonly atClient: boolean;
}

/** The tool use that the event logs. Undefined: it logs something else. */
export function useOf({ payload }: SessionEvent): ToolUse | undefined {
  switch (payload.case) {
    case "agentCustomToolUse": {
      const { customToolUseId: id, name, inputJson } = payload.value;
      return { id, name, inputJson, kind: "custom", needsConfirmation: false, atClient: true };
    }
    case "agentToolUse": {
      const { toolUseId: id, name, inputJson, permission, runsAtClient } = payload.value;
      const atClient = runsAtClient && permission !== PermissionDecision.DENY;
      return { id, name, inputJson, kind: "built-in", needsConfirmation: asks(permission), atClient };
    }
    case "agentMcpToolUse": {
      const { toolUseId: id, serverName, inputJson, permission } = payload.value;
      const name = `${serverName}/${payload.value.name}`;
      return { id, name, inputJson, kind: "mcp", needsConfirmation: asks(permission), atClient: false };
    }
    default:
      return undefined;
  }
}

/** The tool use that a session waits for, as `status` tells it. */
export function useThatWaits(action: PendingAction): ToolUse {
  const { toolUseId: id, serverName, inputJson } = action;
  const isCustom = action.kind === PendingActionKind.CUSTOM_TOOL_RESULT;
  const needsConfirmation = action.kind === PendingActionKind.TOOL_CONFIRMATION;
  const use = { id, inputJson, needsConfirmation, atClient: isCustom || action.runsAtClient };
  if (serverName) return { ...use, name: `${serverName}/${action.name}`, kind: "mcp" };
  return { ...use, name: action.name, kind: isCustom ? "custom" : "built-in" };
}

/** The event that answers the use with its result. */
export function resultEvent(use: ToolUse, content: readonly Content[], isError = false): UserEvent {
  const said = { content: [...content], isError };
  return create(UserEventSchema, {
    event:
      use.kind === "custom"
        ? { case: "userCustomToolResult", value: { customToolUseId: use.id, ...said } }
        : { case: "userToolResult", value: { toolUseId: use.id, ...said } },
  });
}

/** The event that allows the use (true), or denies it: false, or a text that the model is told. */
export function confirmationEvent(useId: string, decision: boolean | string): UserEvent {
  const value = {
    toolUseId: useId,
    decision: decision === true ? ToolConfirmation.ALLOW : ToolConfirmation.DENY,
    denyMessage: typeof decision === "string" ? decision : "",
  };
  return create(UserEventSchema, { event: { case: "userToolConfirmation", value } });
}

function asks(permission: PermissionDecision): boolean {
  return permission === PermissionDecision.ASK;
}
