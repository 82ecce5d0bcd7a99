/** Events, and a service whose one session says them. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { text } from "managedagents";
import {
  PermissionDecision,
  type SendEventRequest,
  type SessionEventSchema,
  type StatusResponseSchema,
  type UserEvent,
} from "managedagents/v1";
import { opened, type Service } from "./fake.js";
import { Bell } from "./waiting.js";

export type Event = MessageInitShape<typeof SessionEventSchema>;
type Payload = NonNullable<Event["payload"]>;
type Reason = NonNullable<NonNullable<(Payload & { case: "statusIdle" })["value"]["stopReason"]>["reason"]>;

export function event(turn: bigint, payload: Payload): Event {
  return { turn, payload };
}

export function idle(turn: bigint, reason: Reason): Event {
  return event(turn, { case: "statusIdle", value: { stopReason: { reason } } });
}

export function judged(turn: bigint, met: boolean): Event {
  return event(turn, { case: "outcomeEvaluated", value: { met } });
}

export function says(turn: bigint, responseId: string, words: string): Event {
  return { ...event(turn, { case: "agentMessage", value: { content: [text(words)] } }), responseId };
}

export function uses(turn: bigint, customToolUseId: string, name: string, inputJson = "{}"): Event {
  return event(turn, { case: "agentCustomToolUse", value: { customToolUseId, name, inputJson } });
}

export function asks(turn: bigint, toolUseId: string): Event {
  const value = { toolUseId, name: "bash", permission: PermissionDecision.ASK };
  return event(turn, { case: "agentToolUse", value });
}

export function requires(turn: bigint, ...ids: string[]): Event {
  return idle(turn, { case: "requiresAction", value: { ids } });
}

export const MESSAGE = event(1n, { case: "userMessage", value: {} });
export const END = idle(1n, { case: "endTurn", value: {} });

export interface Session extends Service {
  /** What was sent beside messages. */
  sent: UserEvent[];
}

/** A session whose log is these events; the first is what is sent. `then` follows when something else was sent. */
export function session(
  events: Event[],
  then: Event[] = [],
  answer: (request: SendEventRequest, count: number) => void = () => undefined,
  status: MessageInitShape<typeof StatusResponseSchema> = {},
): Session {
  const [answered, sent] = [new Bell(), [] as UserEvent[]];
  let count = 0;
  return {
    sent,
    status: () => status,
    sendEvent(request) {
      answer(request, count++);
      if (request.event?.event.case !== "userMessage" && request.event) {
        sent.push(request.event);
        answered.ring();
      }
      return { seq: 1n };
    },
    async *streamEvents() {
      yield opened();
      let seq = 0n;
      for (const [index, said] of [...events, ...then].entries()) {
        if (index === events.length) await answered.rung;
        seq++;
        yield { message: { case: "batch", value: { events: [{ ...said, seq }], throughSeq: seq } } };
      }
      yield { message: { case: "ended", value: { final: true } } };
    },
  };
}
