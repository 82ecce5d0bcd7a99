/** Small words for events: how they are made and what they are called. */

import { create, isMessage } from "@bufbuild/protobuf";
import { parse } from "./definition.js";
import { type Content, ContentSchema } from "./gen/managedagents/v1/content_pb.js";
import { type SessionEvent, SessionEventSchema } from "./gen/managedagents/v1/event_pb.js";
import { type StatusIdle, StopReasonSchema } from "./gen/managedagents/v1/status_event_pb.js";
import { type UserEvent, type UserEventJson, UserEventSchema } from "./gen/managedagents/v1/user_event_pb.js";

/** What can be said to a session: a text, content blocks, or a whole user event, as a message or as plain values. */
export type Message = string | readonly Content[] | UserEvent | UserEventJson;

/** A content block of plain text. */
export function text(words: string): Content {
  return create(ContentSchema, { block: { case: "text", value: { text: words } } });
}

/** The user event that says it: a `user.message`, or the event itself. */
export function userEvent(said: Message): UserEvent {
  if (typeof said !== "string" && !isBlocks(said)) return parse(UserEventSchema, said);
  const content = typeof said === "string" ? [text(said)] : [...said];
  return create(UserEventSchema, { event: { case: "userMessage", value: { content } } });
}

/** The user event that says what "done" means. `maxIterations`: 1 to 20; 3 unless given. */
export function outcomeEvent(criteria: string, maxIterations?: number): UserEvent {
  const value = { criteria, maxIterations };
  return create(UserEventSchema, { event: { case: "userDefineOutcome", value } });
}

/** The event's kind, say `agent.message`. Empty: one that this version of the client does not know. */
export function kindOf(event: SessionEvent | UserEvent): string {
  return isMessage(event, UserEventSchema)
    ? dotted(event.event.case && UserEventSchema.field[event.event.case].name)
    : dotted(event.payload.case && SessionEventSchema.field[event.payload.case].name);
}

/** The text of the blocks, joined. Pictures and files are left out. */
export function textOf(content: readonly Content[]): string {
  return content.map(({ block }) => (block.case === "text" ? block.value.text : "")).join("");
}

/** Why the session went idle, say `end_turn`. Empty: a reason that this version of the client does not know. */
export function stopReasonOf(idle: StatusIdle): string {
  const which = idle.stopReason?.reason.case;
  return which === undefined ? "" : StopReasonSchema.field[which].name;
}

function dotted(field = ""): string {
  return field.replace("_", ".");
}

// Array.isArray alone would not leave the plain values of an event on the other side.
function isBlocks(said: readonly Content[] | UserEvent | UserEventJson): said is readonly Content[] {
  return Array.isArray(said);
}
