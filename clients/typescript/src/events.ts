/** Small words for events: how they are made and what they are called. */

import { create, isMessage } from "@bufbuild/protobuf";
import { parse } from "./definition.js";
import { type Content, ContentSchema } from "./gen/managedagents/v1/content_pb.js";
import { type SessionEvent, SessionEventSchema } from "./gen/managedagents/v1/event_pb.js";
import { type PendingAction, PendingActionKind } from "./gen/managedagents/v1/session_pb.js";
import { type StatusIdle, StopReasonSchema } from "./gen/managedagents/v1/status_event_pb.js";
import { type TurnResult, TurnResultSchema, TurnStopReasonSchema } from "./gen/managedagents/v1/stream_pb.js";
import {
  ToolConfirmation,
  type UserEvent,
  type UserEventJson,
  UserEventSchema,
} from "./gen/managedagents/v1/user_event_pb.js";

/** What can be said to a session: a text, content blocks, or a whole user event, as a message or as plain values. */
export type Message = string | readonly Content[] | UserEvent | UserEventJson;

/** A content block of plain text. */
export function text(words: string): Content {
  return create(ContentSchema, { block: { case: "text", value: { text: words } } });
}

/** The user event that says it: a `user.message`, or the event itself. */
export function userEvent(said: Message): UserEvent {
  const content = typeof said === "string" ? [text(said)] : said;
  if (!Array.isArray(content)) return parse(UserEventSchema, content);
  return create(UserEventSchema, { event: { case: "userMessage", value: { content } } });
}

/** The user event that says what "done" means. `maxIterations`: 1 to 20; 3 unless given. */
export function outcomeEvent(criteria: string, maxIterations?: number): UserEvent {
  return create(UserEventSchema, { event: { case: "userDefineOutcome", value: { criteria, maxIterations } } });
}

/** The user event that answers a tool use with its result. */
export function resultEvent(action: PendingAction, content: readonly Content[], isError = false): UserEvent {
  const { toolUseId, kind } = action;
  const said = { content: [...content], isError };
  return create(UserEventSchema, {
    event:
      kind === PendingActionKind.CUSTOM_TOOL_RESULT
        ? { case: "userCustomToolResult", value: { customToolUseId: toolUseId, ...said } }
        : { case: "userToolResult", value: { toolUseId, ...said } },
  });
}

/** The user event that allows a tool use (true), or denies it: false, or a text that the model is told. */
export function confirmationEvent(useId: string, decision: boolean | string): UserEvent {
  const value = {
    toolUseId: useId,
    decision: decision === true ? ToolConfirmation.ALLOW : ToolConfirmation.DENY,
    denyMessage: typeof decision === "string" ? decision : "",
  };
  return create(UserEventSchema, { event: { case: "userToolConfirmation", value } });
}

/** The event's kind, say `agent.message`. Empty: one that this version of the client does not know. */
export function kindOf(event: SessionEvent | UserEvent): string {
  const field = isMessage(event, UserEventSchema)
    ? event.event.case && UserEventSchema.field[event.event.case]
    : event.payload.case && SessionEventSchema.field[event.payload.case];
  return field ? field.name.replace("_", ".") : "";
}

/** The text of the blocks, joined. Pictures and files are left out. */
export function textOf(content: readonly Content[]): string {
  return content.map(({ block }) => (block.case === "text" ? block.value.text : "")).join("");
}

/**
 * Why the session went idle, or a turn ended, say `end_turn`. Empty: not said, or a reason that this version of the
 * client does not know.
 */
export function stopReasonOf(ended: StatusIdle | TurnResult): string {
  if (isMessage(ended, TurnResultSchema)) {
    const known = ended.stopReason ? TurnStopReasonSchema.value[ended.stopReason] : undefined;
    return known?.localName.toLowerCase() ?? "";
  }
  const which = ended.stopReason?.reason.case;
  return which === undefined ? "" : StopReasonSchema.field[which].name;
}
