/** What ends a run, and what it answers, against a service that says where a turn stands. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { NotFoundError, textOf } from "managedagents";
import {
  ErrorEventSchema,
  type PendingAction,
  PendingActionKind,
  StreamEndReason,
  ToolConfirmation,
  TurnStopReason,
  type UserEvent,
} from "managedagents/v1";
import { connected, opened, refusal, type StreamMessage } from "./support/fake.js";
import { ends, message, over, requires, session, waits } from "./support/session.js";
import { Bell, forever } from "./support/waiting.js";

for (const stopReason of ["END_TURN", "DROPPED", "OUTCOME_EVALUATED", "COMPLETED", "ARCHIVED"] as const) {
  test(`a run ends with its turn, and gives what the stream says of it: ${stopReason}`, async (t) => {
    const error = create(ErrorEventSchema, { message: "too bad" });
    const more = { text: "so", usage: { requests: 2n }, error };
    const service = session([message(), message(3n), ...over(TurnStopReason[stopReason], more)]);
    const result = await (await connected(t, service)).run("ses_1", "go");
    assert.deepEqual([result.seq, result.stopReason, result.text], [1n, stopReason.toLowerCase(), "so"]);
    assert.deepEqual([result.usage.requests, result.error?.message, result.waitsFor], [2n, "too bad", []]);
    assert.deepEqual(
      result.events.map(({ seq }) => seq),
      [1n, 3n],
    );
  });
}

test("a turn that ended for a reason that is not known here has ended", async (t) => {
  // What a server that is newer than this client may send.
  // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment
  const newer = 99 as TurnStopReason;
  const client = await connected(t, session([message(), ...over(newer, { text: "so" })]));
  const { stopReason, text } = await client.run("ses_1", "go");
  assert.deepEqual([stopReason, text], ["", "so"]);
});

for (const [when, last] of Object.entries({ "in the middle": waits(["asks:use_2"]), "beyond a deadline": undefined })) {
  test(`a run ends with the deletion of its session: ${when}`, async (t) => {
    const at = last ?? requires(["asks:use_2"], "use_2");
    const service = session([message(), at, ends(StreamEndReason.DELETED)]);
    const confirm = (_: PendingAction, { signal }: { signal: AbortSignal }) => forever(signal);
    const result = await (await connected(t, service)).run("ses_1", "go", { confirm });
    assert.deepEqual([result.stopReason, result.waitsFor, result.usage.requests], ["deleted", [], 0n]);
  });
}

test("a run whose session was deleted before it was followed ends with the deletion", async (t) => {
  const streamEvents = () => {
    throw refusal(Code.NotFound, "SESSION_NOT_FOUND");
  };
  const client = await connected(t, { ...session([]), streamEvents });
  assert.equal((await client.run("ses_1", "go")).stopReason, "deleted");
});

test("a run goes on over a cut, with what was said before it", async (t) => {
  const asked: unknown[] = [];
  const client = await connected(t, {
    ...session([]),
    async *streamEvents({ turn, fromSeq, logId }): AsyncGenerator<StreamMessage> {
      asked.push([turn, fromSeq, logId]);
      yield await Promise.resolve(opened());
      if (asked.length > 1) return yield* [message(3n), ...over()];
      yield* [message(), waits(["deploy:use_2"])];
      throw refusal(Code.Unavailable);
    },
  });
  const { events } = await client.run("ses_1", "go");
  assert.equal(events.length, 2);
  assert.deepEqual(asked, [
    [1n, 0n, undefined],
    [1n, 1n, "log_1"],
  ]);
});

for (const [decision, told, why] of [
  [true, ToolConfirmation.ALLOW, ""],
  [false, ToolConfirmation.DENY, ""],
  ["not today", ToolConfirmation.DENY, "not today"],
  [undefined, ToolConfirmation.DENY, ""],
] as const) {
  test(`a use that waits for permission is decided by confirm: ${String(decision)}`, async (t) => {
    const asked: PendingAction[] = [];
    const service = session([message(), waits(["asks:use_2"]), 2, ...over()]);
    const client = await connected(t, service);
    await client.run("ses_1", "go", {
      confirm(action) {
        asked.push(action);
        return decision;
      },
    });
    const said = service.sent[0]?.event;
    assert(said?.case === "userToolConfirmation");
    assert.deepEqual([said.value.toolUseId, said.value.decision, said.value.denyMessage], ["use_2", told, why]);
    assert.deepEqual(
      asked.map(({ name, kind }) => [name, kind]),
      [["bash", PendingActionKind.TOOL_CONFIRMATION]],
    );
  });
}

test("a use that was confirmed is then answered", async (t) => {
  const service = session([message(), waits(["asks:use_2"]), 2, waits(["bash:use_2"]), 3, ...over()]);
  const options = { tools: { bash: () => "made" }, confirm: () => true };
  await (await connected(t, service)).run("ses_1", "go", options);
  assert.deepEqual(
    service.sent.map(({ event }) => event.case),
    ["userToolConfirmation", "userToolResult"],
  );
  assert.equal(toldBy(service.sent[1]), "made");
});

test("a turn that waits for what nobody here can answer is given back, and nothing is sent", async (t) => {
  const uses = ["asks:use_2", "theirs:use_3"];
  const service = session([message(), requires(uses, "use_2", "use_3"), 9]);
  const result = await (await connected(t, service)).run("ses_1", "go", { tools: { ours: () => "ok" } });
  assert.deepEqual([result.stopReason, result.waitsFor], ["requires_action", ["use_2", "use_3"]]);
  assert.deepEqual(service.sent, []);
});

test("a turn that waited for what others have answered since is not given back", async (t) => {
  const service = session([message(), requires([], "use_2"), message(3n), ...over()]);
  const result = await (await connected(t, service)).run("ses_1", "go");
  assert.deepEqual([result.stopReason, result.events.length], ["end_turn", 2]);
});

test("a tool that has the name of what every object has is no handler", async (t) => {
  const service = session([message(), requires(["toString:use_2"], "use_2"), 9]);
  const result = await (await connected(t, service)).run("ses_1", "go", { tools: {} });
  assert.deepEqual([result.stopReason, service.sent], ["requires_action", []]);
});

test("a turn that waits for a handler here is not given back", async (t) => {
  const uses = ["deploy:use_2"];
  const service = session([message(), waits(uses), requires(uses, "use_2"), message(3n), 2, ...over()]);
  const seen = new Bell();
  const result = await (
    await connected(t, service)
  ).run("ses_1", "go", {
    tools: { deploy: () => seen.rung.then(() => "late") },
    onEvent({ seq }) {
      if (seq === 3n) seen.ring();
    },
  });
  assert.deepEqual([result.stopReason, service.sent.map(toldBy)], ["end_turn", ["late"]]);
});

test("a turn that waits for a decision here is not given back", async (t) => {
  const service = session([message(), requires(["asks:use_2"], "use_2"), message(3n), 2, ...over()]);
  const seen = new Bell();
  const result = await (
    await connected(t, service)
  ).run("ses_1", "go", {
    confirm: () => seen.rung.then(() => true),
    onEvent({ seq }) {
      if (seq === 3n) seen.ring();
    },
  });
  assert.equal(result.stopReason, "end_turn");
});

test("a use that is told of again is answered once", async (t) => {
  const service = session([message(), waits(["a:use_2"]), waits(["a:use_2", "a:use_3"]), 3, ...over()]);
  const called: string[] = [];
  const tools = { a: (_: unknown, { toolUseId }: { toolUseId: string }) => called.push(toolUseId) };
  await (await connected(t, service)).run("ses_1", "go", { tools });
  assert.deepEqual([called.sort(), service.sent.length], [["use_2", "use_3"], 2]);
});

test("two runs that meet the same use at once call its handler once", async (t) => {
  let called = 0;
  const client = await connected(t, session([2, message(), waits(["a:use_0"]), 3, ...over()]));
  const tools = { a: () => ++called };
  await Promise.all([client.run("ses_1", "go", { tools }), client.run("ses_1", "go", { tools })]);
  assert.equal(called, 1);
});

test("a use without a handler is left to others", async (t) => {
  const service = session([message(), waits(["theirs:use_0"]), waits(), ...over()]);
  await (await connected(t, service)).run("ses_1", "go", { tools: { ours: () => "ok" } });
  assert.deepEqual(service.sent, []);
});

test("an action of a kind that is not known here is left to others", async (t) => {
  const service = session([message(), waits(["newer:use_0"]), ...over()]);
  await (await connected(t, service)).run("ses_1", "go", { tools: { newer: () => "never" } });
  assert.deepEqual(service.sent, []);
});

for (const [when, after] of Object.entries({
  "somebody else answered": [waits(), message(3n), ...over()],
  "the turn is over": over(TurnStopReason.INTERRUPTED),
})) {
  test(`a handler is stopped when nobody waits for it any more: ${when}`, async (t) => {
    const [begun, stopped] = [new Bell(), new Bell()];
    const client = await connected(t, session([waits(["a:use_0"]), message(2n), ...after]));
    await client.run("ses_1", "go", {
      tools: {
        a(_, { signal }) {
          begun.ring();
          signal.addEventListener("abort", () => {
            stopped.ring();
          });
          return forever(signal);
        },
      },
      onEvent: ({ seq }) => (seq === 2n ? begun : stopped).rung,
    });
    await stopped.rung;
  });
}

test("a handler that was stopped with its run is not called again, and the model is told", async (t) => {
  const stop = new AbortController();
  const service = session([waits(["a:use_0"]), 3, ...over()]);
  const client = await connected(t, service);
  const tools = {
    a(_: unknown, { signal }: { signal: AbortSignal }) {
      assert(!signal.aborted);
      stop.abort(new RangeError("mine"));
      return forever(signal);
    },
  };
  await assert.rejects(client.run("ses_1", "go", { tools, signal: stop.signal }), new RangeError("mine"));
  await client.run("ses_1", "again", { tools });
  assert.deepEqual(service.sent.map(toldBy), ["The tool was stopped before it was done; what it did is not known."]);
});

test("an answer that could not be sent is kept, and the handler is not called again", async (t) => {
  let called = 0;
  const service = session([waits(["a:use_2"]), 4, ...over()], (count) => {
    if (count === 2) throw refusal(Code.Internal, "INTERNAL");
  });
  const client = await connected(t, service);
  const tools = { a: () => `call ${++called}` };
  await assert.rejects(client.run("ses_1", "go", { tools }), { reason: "INTERNAL" });
  assert.equal((await client.run("ses_1", "go", { tools })).stopReason, "end_turn");
  assert.deepEqual(service.sent.map(toldBy), ["call 1"]);
});

test("a result that is refused is told to the model, rather than left out", async (t) => {
  const service = session([waits(["a:use_2"]), 3, ...over()], (count) => {
    if (count === 2) throw refusal(Code.ResourceExhausted, "LIMIT_EXCEEDED");
  });
  await (await connected(t, service)).run("ses_1", "go", { tools: { a: () => "much" } });
  assert.deepEqual(service.sent.map(toldBy), ["The tool ran, but its result was refused: refused"]);
});

test("somebody who was faster is no failure", async (t) => {
  const service = session([waits(["a:use_2"]), 2, ...over()], (count) => {
    if (count > 1) throw refusal(Code.FailedPrecondition, "TOOL_USE_CLOSED");
  });
  const result = await (await connected(t, service)).run("ses_1", "go", { tools: { a: () => "late" } });
  assert.equal(result.stopReason, "end_turn");
});

test("an input that is no JSON is told as an error, and no handler is called", async (t) => {
  const service = session([waits(["a:use_2"], undefined, "{"), 2, ...over()]);
  let called = 0;
  await (await connected(t, service)).run("ses_1", "go", { tools: { a: () => ++called } });
  assert.deepEqual([service.sent.map(toldBy), called], [["The input is no JSON."], 0]);
});

test("what onEvent throws reaches the caller, and so does what its promise does", async (t) => {
  const client = await connected(t, session([message(), 9]));
  const mine = new NotFoundError("mine");
  const throws = () => {
    throw mine;
  };
  await assert.rejects(client.run("ses_1", "go", { onEvent: throws }), mine);
  await assert.rejects(client.run("ses_1", "go", { onEvent: () => Promise.reject(mine) }), mine);
});

test("what confirm throws reaches the caller", async (t) => {
  const client = await connected(t, session([message(), waits(["asks:use_2"]), 9]));
  const confirm = () => Promise.reject(new RangeError("mine"));
  await assert.rejects(client.run("ses_1", "go", { confirm }), new RangeError("mine"));
});

function toldBy(said?: UserEvent): string {
  const event = said?.event;
  return event?.case === "userCustomToolResult" || event?.case === "userToolResult" ? textOf(event.value.content) : "";
}
