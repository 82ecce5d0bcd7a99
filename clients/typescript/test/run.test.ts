/** What ends a run, and what it answers, against a service that says what a session would say. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { NotFoundError, text, textOf, type ToolUse } from "managedagents";
import {
  ErrorNext,
  PendingActionKind,
  PermissionDecision,
  type SendEventRequest,
  type SessionEventSchema,
  type StatusResponseSchema,
  ToolConfirmation,
  type UserEvent,
} from "managedagents/v1";
import { connected, opened, refusal, type Service } from "./support/fake.js";
import { Bell, forever } from "./support/waiting.js";

type Event = MessageInitShape<typeof SessionEventSchema>;
type Payload = NonNullable<Event["payload"]>;
type Reason = NonNullable<NonNullable<(Payload & { case: "statusIdle" })["value"]["stopReason"]>["reason"]>;

function event(turn: bigint, payload: Payload): Event {
  return { turn, payload };
}

function idle(turn: bigint, reason: Reason): Event {
  return event(turn, { case: "statusIdle", value: { stopReason: { reason } } });
}

function judged(turn: bigint, met: boolean): Event {
  return event(turn, { case: "outcomeEvaluated", value: { met } });
}

function says(turn: bigint, responseId: string, words: string): Event {
  return { ...event(turn, { case: "agentMessage", value: { content: [text(words)] } }), responseId };
}

function uses(turn: bigint, customToolUseId: string, name: string, inputJson = "{}"): Event {
  return event(turn, { case: "agentCustomToolUse", value: { customToolUseId, name, inputJson } });
}

function asks(turn: bigint, toolUseId: string): Event {
  const value = { toolUseId, name: "bash", permission: PermissionDecision.ASK };
  return event(turn, { case: "agentToolUse", value });
}

function requires(turn: bigint, ...ids: string[]): Event {
  return idle(turn, { case: "requiresAction", value: { ids } });
}

const MESSAGE = event(1n, { case: "userMessage", value: {} });
const END = idle(1n, { case: "endTurn", value: {} });

interface Session extends Service {
  /** What was sent beside messages. */
  sent: UserEvent[];
}

/** A session whose log is these events; the first is what is sent. `then` follows when something else was sent. */
function session(
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

for (const [stopReason, events] of Object.entries({
  end_turn: [MESSAGE, END],
  refusal: [MESSAGE, idle(9n, { case: "endTurn", value: {} }), idle(1n, { case: "refusal", value: {} })],
  max_tool_rounds: [MESSAGE, idle(1n, { case: "maxToolRounds", value: {} })],
  dropped: [MESSAGE, idle(9n, { case: "interrupted", value: { droppedSeqs: [1n] } })],
  outcome_evaluated: [MESSAGE, judged(1n, false)],
  failed: [MESSAGE, event(0n, { case: "statusFailed", value: {} })],
  archived: [MESSAGE, event(0n, { case: "statusArchived", value: {} })],
})) {
  test(`a run ends with its turn: ${stopReason}`, async (t) => {
    const client = await connected(t, session(events));
    assert.equal((await client.run("ses_1", "go")).stopReason, stopReason);
  });
}

test("a run of an outcome goes on over its iterations", async (t) => {
  const log = [
    event(1n, { case: "userDefineOutcome", value: { criteria: "good" } }),
    judged(1n, false),
    event(2n, { case: "agentMessage", value: {} }),
    judged(2n, true),
    event(0n, { case: "statusCompleted", value: {} }),
  ];
  const client = await connected(t, session(log));
  const result = await client.run("ses_1", { userDefineOutcome: { criteria: "good" } });
  assert.equal(result.stopReason, "completed");
  assert.deepEqual(
    result.events.map(({ seq }) => seq),
    [1n, 2n, 3n, 4n],
  );
});

test("the text is what the agent said last, all of one response", async (t) => {
  const log = [MESSAGE, says(1n, "rsp_1", "First. "), says(1n, "rsp_2", "Last "), says(1n, "rsp_2", "words."), END];
  const client = await connected(t, session(log));
  assert.equal((await client.run("ses_1", "go")).text, "Last words.");
});

for (const [decision, told, why] of [
  [true, ToolConfirmation.ALLOW, ""],
  [false, ToolConfirmation.DENY, ""],
  ["not today", ToolConfirmation.DENY, "not today"],
  [undefined, ToolConfirmation.DENY, ""],
] as const) {
  test(`a use that waits for permission is decided by confirm: ${String(decision)}`, async (t) => {
    const asked: ToolUse[] = [];
    const service = session([MESSAGE, asks(1n, "use_2")], [END]);
    const result = await (
      await connected(t, service)
    ).run("ses_1", "go", {
      confirm(use) {
        asked.push(use);
        return decision;
      },
    });
    assert.equal(result.stopReason, "end_turn");
    const said = service.sent[0]?.event;
    assert(said?.case === "userToolConfirmation");
    assert.deepEqual([said.value.toolUseId, said.value.decision, said.value.denyMessage], ["use_2", told, why]);
    assert.deepEqual(
      asked.map(({ name }) => name),
      ["bash"],
    );
  });
}

test("a turn that waits for what nothing here answers is given back, and nothing is sent", async (t) => {
  const log = [MESSAGE, asks(1n, "use_2"), uses(1n, "use_3", "theirs"), requires(1n, "use_2", "use_3")];
  const service = session(log);
  const result = await (await connected(t, service)).run("ses_1", "go", { tools: { ours: () => "ok" } });
  assert.deepEqual([result.stopReason, result.waitsFor], ["requires_action", ["use_2", "use_3"]]);
  assert.deepEqual(service.sent, []);
});

test("a tool that has the name of what every object has is no handler", async (t) => {
  const service = session([MESSAGE, uses(1n, "use_2", "toString"), requires(1n, "use_2")]);
  const result = await (await connected(t, service)).run("ses_1", "go", { tools: {} });
  assert.deepEqual([result.stopReason, service.sent], ["requires_action", []]);
});

test("an earlier turn's use without a handler is left to others", async (t) => {
  const action = { toolUseId: "use_0", name: "theirs", kind: PendingActionKind.CUSTOM_TOOL_RESULT };
  const service = session([MESSAGE, END], [], undefined, { pendingActions: [action] });
  await (await connected(t, service)).run("ses_1", "go", { tools: { ours: () => "ok" } });
  assert.deepEqual(service.sent, []);
});

test("a use that comes in two runs is given to its handler once", async (t) => {
  let called = 0;
  const service = session([MESSAGE, uses(1n, "use_2", "a")], [END]);
  const client = await connected(t, service);
  const tools = { a: () => ++called };
  await Promise.all([client.run("ses_1", "go", { tools }), client.run("ses_1", "go", { tools })]);
  assert.equal(called, 1);
});

test("an answer that could not be sent is kept, and the handler is not called again", async (t) => {
  let called = 0;
  const service = session([MESSAGE, uses(1n, "use_2", "a")], [END], (_, count) => {
    if (count === 1) throw refusal(Code.Internal, "INTERNAL");
  });
  const client = await connected(t, service);
  const tools = { a: () => `call ${++called}` };
  await assert.rejects(client.run("ses_1", "go", { tools }), { reason: "INTERNAL" });
  assert.equal((await client.run("ses_1", "go", { tools })).stopReason, "end_turn");
  assert.deepEqual(service.sent.map(toldBy), ["call 1"]);
});

test("a handler that was stopped is not called again, and the model is told", async (t) => {
  const [stop, stopped, service] = [
    new AbortController(),
    new Bell(),
    session([MESSAGE, uses(1n, "use_2", "a")], [END]),
  ];
  const client = await connected(t, service);
  const tools = {
    a(_: unknown, { signal }: { signal: AbortSignal }) {
      signal.addEventListener("abort", () => {
        stopped.ring();
      });
      stop.abort(new RangeError("mine"));
      return forever(signal);
    },
  };
  await assert.rejects(client.run("ses_1", "go", { tools, signal: stop.signal }), new RangeError("mine"));
  await stopped.rung;
  await client.run("ses_1", "go", { tools });
  assert.match(service.sent.map(toldBy).join(), /was stopped before it was done/);
});

test("a result that is refused is told to the model, rather than left out", async (t) => {
  const service = session([MESSAGE, uses(1n, "use_2", "a")], [END], (_, count) => {
    if (count === 1) throw refusal(Code.ResourceExhausted, "LIMIT_EXCEEDED");
  });
  const result = await (await connected(t, service)).run("ses_1", "go", { tools: { a: () => "much" } });
  assert.equal(result.stopReason, "end_turn");
  assert.equal(service.sent.map(toldBy).at(-1), "The tool ran, but its result was refused: refused");
});

test("somebody who was faster is no failure", async (t) => {
  const service = session([MESSAGE, uses(1n, "use_2", "a"), END], [], (_, count) => {
    if (count > 0) throw refusal(Code.FailedPrecondition, "TOOL_USE_CLOSED");
  });
  const result = await (await connected(t, service)).run("ses_1", "go", { tools: { a: () => "late" } });
  assert.equal(result.stopReason, "end_turn");
});

test("what onEvent throws reaches the caller, and so does what its promise does", async (t) => {
  const client = await connected(t, session([MESSAGE, END]));
  const mine = new NotFoundError("mine");
  const throws = () => {
    throw mine;
  };
  await assert.rejects(client.run("ses_1", "go", { onEvent: throws }), mine);
  await assert.rejects(client.run("ses_1", "go", { onEvent: () => Promise.reject(mine) }), mine);
});

test("what confirm throws reaches the caller", async (t) => {
  const client = await connected(t, session([MESSAGE, asks(1n, "use_2")], [END]));
  const confirm = () => Promise.reject(new RangeError("mine"));
  await assert.rejects(client.run("ses_1", "go", { confirm }), new RangeError("mine"));
});

for (const [next, isTold] of [
  [ErrorNext.TURN_ENDS, true],
  [ErrorNext.TURN_GOES_ON, false],
] as const) {
  test(`an error is the run's only where its turn did not go on: ${ErrorNext[next]}`, async (t) => {
    const log = [MESSAGE, event(1n, { case: "error", value: { next } }), END];
    const result = await (await connected(t, session(log))).run("ses_1", "go");
    assert.equal(result.error !== undefined, isTold);
    assert.equal(result.events.length, 3);
  });
}

function toldBy({ event: said }: UserEvent): string {
  return said.case === "userCustomToolResult" ? textOf(said.value.content) : "";
}
