/** What a run answers, against a real server: with handlers and confirmations, in time and too late. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { confirmationEvent, textOf } from "managedagents";
import { client as clientOf } from "./support/fake.js";
import { ASKS, AT_CLIENT, calls, DONE, first, session, shell, started, told } from "./support/real.js";
import { Server } from "./support/server.js";
import { Bell, forever } from "./support/waiting.js";

// One server for the tests that neither stop it nor set its limits.
const shared = new Server();
before(() => shared.start());
after(() => shared.end());

test("a run answers tools at once, and gives the last words", async (t) => {
  const client = clientOf(t, shared.address);
  const sessionId = await session(client, [calls("a", "b"), DONE], ["a", "b"]);
  const [both, seen] = [{ a: new Bell(), b: new Bell() }, [] as bigint[]];
  const result = await client.run(sessionId, "go", {
    tools: {
      async a(given: { of: string }) {
        both.a.ring();
        await both.b.rung;
        return given;
      },
      async b() {
        both.b.ring();
        await both.a.rung;
        return "text stays text";
      },
    },
    onEvent: ({ seq }) => seen.push(seq),
  });
  assert.deepEqual([result.stopReason, result.text, result.usage.requests], ["end_turn", "done", 2n]);
  assert.deepEqual(
    seen,
    result.events.map(({ seq }) => seq),
  );
  assert.deepEqual(told(result).get("a"), { text: '{"of":"a"}', isError: false });
  assert.deepEqual(told(result).get("b"), { text: "text stays text", isError: false });
});

test("what a handler throws, and what is no JSON, is told as an error", async (t) => {
  class Unlucky extends Error {}
  const client = clientOf(t, shared.address);
  const tools = {
    throws() {
      throw new TypeError("at once");
    },
    rejects: () => Promise.reject(new Unlucky("later")),
    circle() {
      const circle: Record<string, unknown> = {};
      circle["self"] = circle;
      return circle;
    },
    code: () => () => 1,
    big: () => ({ big: 1n }),
    nan: () => [NaN],
    nothing: () => undefined,
    foreign: () => ({ å: ["<b>", 1] }),
    number: () => 19,
  };
  const names = Object.keys(tools);
  const sessionId = await session(client, [calls(...names), DONE], names);
  const result = await client.run(sessionId, "go", { tools });
  const answers = told(result);
  assert.deepEqual(answers.get("throws"), { text: "The tool failed: at once", isError: true });
  assert.deepEqual(answers.get("rejects"), { text: "The tool failed: later", isError: true });
  for (const name of ["circle", "code", "big", "nan"]) {
    assert.deepEqual(answers.get(name), { text: "The tool's answer is no JSON.", isError: true });
  }
  assert.deepEqual(answers.get("nothing"), { text: "", isError: false });
  assert.deepEqual(answers.get("foreign"), { text: '{"å":["<b>",1]}', isError: false });
  assert.deepEqual(answers.get("number"), { text: "19", isError: false });
  assert.equal(result.text, "done");
});

test("a use that an earlier process left open is answered first", async (t) => {
  const client = clientOf(t, shared.address);
  const sessionId = await session(client, [calls("a"), { text: "first" }, { text: "second" }], ["a"]);
  await client.send(sessionId, "one");
  await first(client.follow(sessionId, { kinds: ["agent.custom_tool_use"] }));
  assert.equal((await client.run(sessionId, "two", { tools: { a: () => "ok" } })).text, "second");
});

test("a handler goes on after the deadline of its use", async (t) => {
  const { client } = await started(t, "--limit", "deadline_grace=0");
  const sessionId = await session(client, [calls("late"), DONE], ["late"], { customToolTimeout: "0.2s" });
  const waited = new Bell();
  const result = await client.run(sessionId, "go", {
    tools: { late: () => waited.rung },
    onEvent({ payload }) {
      if (payload.case === "statusIdle" && payload.value.stopReason?.reason.case === "requiresAction") waited.ring();
    },
  });
  assert.deepEqual([result.stopReason, result.text], ["end_turn", "done"]);
});

test("a use without a handler is left open, and the turn is given back with those that were answered", async (t) => {
  const { client } = await started(t, "--limit", "deadline_grace=0");
  const quick = { customToolTimeout: "0.2s" };
  const sessionId = await session(client, [calls("ours", "theirs"), DONE], ["ours", "theirs"], quick);
  const result = await client.run(sessionId, "go", { tools: { ours: () => "ok" } });
  assert.deepEqual([result.stopReason, result.waitsFor.length], ["requires_action", 1]);
  assert.deepEqual([...told(result).keys()], ["ours"]);
  assert.equal((await client.status(sessionId)).pendingActions[0]?.name, "theirs");
});

test("without confirm the use is given back", async (t) => {
  const { client } = await started(t, "--limit", "deadline_grace=0");
  const more = { ...AT_CLIENT, ...ASKS, customToolTimeout: "0.2s" };
  const sessionId = await session(client, [shell("pwd"), DONE], [], more);
  const result = await client.run(sessionId, "go", { tools: { bash: () => "never" } });
  assert.deepEqual([result.stopReason, result.waitsFor.length], ["requires_action", 1]);
});

test("a tool at the client is confirmed and then answered, and what is denied is told", async (t) => {
  const client = clientOf(t, shared.address);
  const sessionId = await session(client, [shell("yes", "no"), DONE], [], { ...AT_CLIENT, ...ASKS });
  const result = await client.run(sessionId, "go", {
    tools: { bash: ({ command }: { command: string }) => `ran ${command} here` },
    confirm: ({ inputJson }) => inputJson.includes("yes") || "Not this one.",
  });
  assert.deepEqual([result.stopReason, result.text], ["end_turn", "done"]);
  const answers = result.events.flatMap(({ payload }) =>
    payload.case === "userToolResult" || payload.case === "agentToolResult" ? [textOf(payload.value.content)] : [],
  );
  assert.deepEqual(answers.sort(), ["Not this one.", "ran yes here"]);
});

test("what an earlier process left to be confirmed is confirmed and answered first", async (t) => {
  const { server, client } = await started(t);
  const responses = [shell("pwd"), { text: "first" }, { text: "second" }];
  const sessionId = await session(client, responses, [], { ...AT_CLIENT, ...ASKS });
  await client.send(sessionId, "one");
  await first(client.follow(sessionId, { kinds: ["agent.tool_use"] }));
  await server.kill();
  await server.start();
  const result = await client.run(sessionId, "two", { tools: { bash: () => "ok" }, confirm: () => true });
  assert.equal(result.text, "second");
});

test("a confirm that somebody else was faster than holds nothing up", async (t) => {
  const client = clientOf(t, shared.address);
  const sessionId = await session(client, [shell("pwd"), DONE], [], { ...AT_CLIENT, ...ASKS });
  const stopped = new Bell();
  const result = await client.run(sessionId, "go", {
    tools: { bash: () => "ok" },
    async confirm({ toolUseId }, { signal }) {
      signal.addEventListener("abort", () => {
        stopped.ring();
      });
      await client.send(sessionId, confirmationEvent(toolUseId, true));
      await forever(signal);
    },
  });
  await stopped.rung;
  assert.equal(result.text, "done");
});

test("an interrupt stops the handler and ends the run, also where the handler does not listen", async (t) => {
  const client = clientOf(t, shared.address);
  const sessionId = await session(client, [calls("a", "deaf"), DONE], ["a", "deaf"]);
  const [stopped, never] = [new Bell(), new Bell()];
  const result = await client.run(sessionId, "go", {
    tools: {
      async a(_, { signal }) {
        signal.addEventListener("abort", () => {
          stopped.ring();
        });
        await client.interrupt(sessionId);
        await forever(signal);
      },
      deaf: () => never.rung,
    },
  });
  await stopped.rung;
  assert.equal(result.stopReason, "interrupted");
});
