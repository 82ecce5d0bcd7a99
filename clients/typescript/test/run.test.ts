/** What ends a run, and what it answers, against a service that says what a session would say. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "@connectrpc/connect";
import { NotFoundError, textOf, type ToolUse } from "managedagents";
import { ErrorNext, PendingActionKind, ToolConfirmation, type UserEvent } from "managedagents/v1";
import { connected, refusal } from "./support/fake.js";
import { asks, END, event, idle, judged, MESSAGE, requires, says, session, uses } from "./support/session.js";
import { Bell, forever } from "./support/waiting.js";

const { ALLOW } = ToolConfirmation;

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

test("a use of an MCP server that status tells of is decided under its whole name, and not answered here", async (t) => {
  const action = { toolUseId: "use_0", name: "list", serverName: "files", kind: PendingActionKind.TOOL_CONFIRMATION };
  const confirmed = event(0n, { case: "userToolConfirmation", value: { toolUseId: "use_0", decision: ALLOW } });
  const service = session([MESSAGE], [confirmed, END], undefined, { pendingActions: [action] });
  const asked: ToolUse[] = [];
  await (
    await connected(t, service)
  ).run("ses_1", "go", {
    tools: { list: () => "never", "files/list": () => "never" },
    confirm: (use) => asked.push(use),
  });
  assert.deepEqual([asked[0]?.name, asked[0]?.kind, asked[0]?.atClient], ["files/list", "mcp", false]);
  assert.deepEqual(
    service.sent.map(({ event: said }) => said.case),
    ["userToolConfirmation"],
  );
});

test("a use that status tells of, to be confirmed and run here, is answered after the confirmation", async (t) => {
  const kind = PendingActionKind.TOOL_CONFIRMATION;
  const action = { toolUseId: "use_0", name: "bash", kind, runsAtClient: true };
  const confirmed = event(0n, { case: "userToolConfirmation", value: { toolUseId: "use_0", decision: ALLOW } });
  const service = session([MESSAGE, confirmed], [END], undefined, { pendingActions: [action] });
  await (await connected(t, service)).run("ses_1", "go", { tools: { bash: () => "made" } });
  assert.deepEqual(service.sent.map(toldBy), ["made"]);
});

test("a confirmation that status had told of stops no handler", async (t) => {
  const kind = PendingActionKind.TOOL_RESULT;
  const action = { toolUseId: "use_0", name: "bash", kind, runsAtClient: true };
  const confirmed = event(1n, { case: "userToolConfirmation", value: { toolUseId: "use_0", decision: ALLOW } });
  const running = event(1n, { case: "statusRunning", value: {} });
  const service = session([MESSAGE, confirmed, running], [END], undefined, { pendingActions: [action] });
  // The handler is at work when the stream tells of the confirmation.
  const seen = new Bell();
  await (
    await connected(t, service)
  ).run("ses_1", "go", {
    tools: { bash: () => seen.rung.then(() => "made") },
    onEvent({ payload }) {
      if (payload.case === "statusRunning") seen.ring();
    },
  });
  assert.deepEqual(service.sent.map(toldBy), ["made"]);
});

test("an input that is no JSON is told as an error, and no handler is called", async (t) => {
  const service = session([MESSAGE, uses(1n, "use_2", "a", "{")], [END]);
  let called = 0;
  await (await connected(t, service)).run("ses_1", "go", { tools: { a: () => ++called } });
  assert.deepEqual([service.sent.map(toldBy), called], [["The input is no JSON."], 0]);
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
  return said.case === "userCustomToolResult" || said.case === "userToolResult" ? textOf(said.value.content) : "";
}
