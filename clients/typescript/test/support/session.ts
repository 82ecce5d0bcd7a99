/** A service whose one session says where its turn stands, as a test has it. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  PendingActionKind,
  type SendEventRequest,
  StreamEndReason,
  type TurnResultSchema,
  TurnStopReason,
  type UserEvent,
} from "managedagents/v1";
import { opened, type Service, type StreamMessage } from "./fake.js";

type Result = MessageInitShape<typeof TurnResultSchema>;

/** A message of the stream, or a number: of what has to have been sent to the session by then, messages included. */
export type Step = StreamMessage | number;

const KINDS: ReadonlyMap<string, PendingActionKind> = new Map([
  ["bash", PendingActionKind.TOOL_RESULT],
  ["asks", PendingActionKind.TOOL_CONFIRMATION],
  ["newer", PendingActionKind.UNSPECIFIED],
]);

/** The event of a message, in turn 1. */
export function message(seq = 1n): StreamMessage {
  const said = { seq, turn: 1n, payload: { case: "userMessage" as const, value: {} } };
  return { message: { case: "batch", value: { events: [said], throughSeq: seq } } };
}

/** What is waited for, each as NAME:ID. Of the name `asks` it is the permission for bash; of others, but bash, they are custom. */
export function waits(uses: string[] = [], result?: Result, inputJson = "{}"): StreamMessage {
  const pendingActions = uses.map((use) => {
    const [name = "", toolUseId = ""] = use.split(":");
    const kind = KINDS.get(name) ?? PendingActionKind.CUSTOM_TOOL_RESULT;
    return { toolUseId, kind, name: name === "asks" ? "bash" : name, inputJson };
  });
  return { message: { case: "turn", value: { pendingActions, ...(result && { result }) } } };
}

/** The turn waits beyond its deadline for these of them. */
export function requires(uses: string[], ...waitsFor: string[]): StreamMessage {
  return waits(uses, { stopReason: TurnStopReason.REQUIRES_ACTION, waitsFor });
}

export function ends(reason: StreamEndReason): StreamMessage {
  return { message: { case: "ended", value: { reason, lastSeq: 9n, final: true } } };
}

export function over(stopReason = TurnStopReason.END_TURN, more: Result = {}): StreamMessage[] {
  return [waits([], { ...more, stopReason }), ends(StreamEndReason.TURN_OVER)];
}

export interface Session extends Service {
  /** What was sent beside messages, and not refused. */
  sent: UserEvent[];
}

/** A session whose stream is these steps. `answer` may refuse what is sent, of which it is given the number. */
export function session(
  steps: Step[],
  answer: (count: number, request: SendEventRequest) => void = () => undefined,
): Session {
  const sent: UserEvent[] = [];
  const waiting = new Set<() => void>();
  let count = 0;
  return {
    sent,
    sendEvent(request) {
      count++;
      for (const look of waiting) look();
      answer(count, request);
      if (request.event && request.event.event.case !== "userMessage") sent.push(request.event);
      return { seq: 1n };
    },
    async *streamEvents({ turn, fromSeq }) {
      if (turn !== 1n || fromSeq === undefined) throw new Error("no turn was asked for");
      yield opened();
      for (const step of steps) {
        if (typeof step !== "number") yield step;
        else await reached(step);
      }
    },
  };

  async function reached(number: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (count < number) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });
  }
}
