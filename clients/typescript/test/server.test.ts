/** The client against a real server process, which is killed in the middle. */

import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import {
  type Client,
  confirmationEvent,
  InvalidRequestError,
  kindOf,
  NotFoundError,
  type RunResult,
  SessionTerminalError,
  textOf,
} from "managedagents";
import {
  type AgentDefinitionJson,
  type ScriptedResponseJson,
  type SessionEvent,
  SessionStatus,
  StreamEndReason,
} from "managedagents/v1";
import { client as clientOf } from "./support/fake.js";
import { relay } from "./support/relay.js";
import { Server } from "./support/server.js";
import { all, Bell, forever } from "./support/waiting.js";

// One server for the tests that neither stop it nor set its limits.
const shared = new Server();
before(() => shared.start());
after(() => shared.end());

async function started(t: TestContext, ...flags: string[]): Promise<{ server: Server; client: Client }> {
  const server = new Server(...flags);
  t.after(() => server.end());
  await server.start();
  return { server, client: clientOf(t, server.address) };
}

async function session(
  client: Client,
  responses: ScriptedResponseJson[],
  names: string[] = [],
  more: Partial<AgentDefinitionJson> = {},
): Promise<string> {
  const tools = names.map((name) => ({ custom: { name } }));
  const { agentId } = await client.create({ name: "test", model: { scripted: { responses } }, tools, ...more });
  return (await client.startSession(agentId)).sessionId;
}

function calls(...names: string[]): ScriptedResponseJson {
  return { text: "wait", toolCalls: names.map((name) => ({ name, inputJson: `{"of": "${name}"}` })) };
}

function shell(...commands: string[]): ScriptedResponseJson {
  return { toolCalls: commands.map((command) => ({ name: "bash", inputJson: JSON.stringify({ command }) })) };
}

/** An agent whose bash runs here, and not at the server. */
const AT_CLIENT: Partial<AgentDefinitionJson> = { tools: [{ bash: {} }], toolHost: "TOOL_HOST_CLIENT" };
const ASKS: Partial<AgentDefinitionJson> = { permissionPolicy: { default: "PERMISSION_MODE_PROMPT" } };
const DONE: ScriptedResponseJson = { text: "done" };

/** What the model was told, by the name of the tool. */
function told({ events }: RunResult): Map<string, { text: string; isError: boolean }> {
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

async function first(events: AsyncIterable<SessionEvent>): Promise<SessionEvent> {
  for await (const event of events) return event;
  throw new Error("there was none");
}

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
  for (const name of ["circle", "code", "big"]) {
    assert.deepEqual(answers.get(name), { text: "The tool's answer is no JSON.", isError: true });
  }
  assert.deepEqual(answers.get("nothing"), { text: "", isError: false });
  assert.deepEqual(answers.get("foreign"), { text: '{"å":["<b>",1]}', isError: false });
  assert.deepEqual(answers.get("number"), { text: "19", isError: false });
  assert.equal(result.text, "done");
});

test("an answer that was dropped on its way is asked for again, and the message is logged once", async (t) => {
  const client = clientOf(t, shared.address);
  const between = await relay(t, shared.address);
  const away = clientOf(t, between.address);
  const sessionId = await session(client, [DONE]);
  await away.status(sessionId);
  const arrived = first(client.follow(sessionId, { kinds: ["user.message"] }));
  between.losesAnswers();
  const sent = away.send(sessionId, "hi");
  const { seq } = await arrived;
  between.cut();
  assert.equal(await sent, seq);
  const messages = await all(client.listEvents(sessionId, { kinds: ["user.message"] }));
  assert.equal(messages.length, 1);
});

test("a run and a follow go on over a server that is killed, and one that is stopped, and a handler is called once", async (t) => {
  const { server, client } = await started(t);
  const sessionId = await session(client, [calls("slow"), { text: "done", delay: "0.5s" }], ["slow"]);
  const [atWork, goOn, uses] = [new Bell(), new Bell(), [] as string[]];
  const following = all(client.follow(sessionId));
  const run = client.run(sessionId, "go", {
    tools: {
      async slow(_, { toolUseId }) {
        uses.push(toolUseId);
        atWork.ring();
        await goOn.rung;
        return "ok";
      },
    },
  });
  await atWork.rung;
  await server.kill();
  goOn.ring();
  await server.start();
  await first(client.follow(sessionId, { kinds: ["user.custom_tool_result"] }));
  assert.equal(await server.terminate(), 0);
  await server.start();
  const result = await run;
  assert.deepEqual([result.stopReason, result.text, uses.length], ["end_turn", "done", 1]);
  const last = await client.archive(sessionId);
  const seqs = (await following).map(({ seq }) => seq);
  assert.deepEqual(
    seqs,
    seqs.map((_, index) => BigInt(index + 1)),
  );
  assert.equal(seqs.at(-1), last);
});

test("a call outlasts a restart", async (t) => {
  const { server, client } = await started(t);
  const sessionId = await session(client, [DONE]);
  await server.kill();
  const status = client.status(sessionId);
  await server.start();
  assert.equal((await status).status, SessionStatus.QUEUED);
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
    async confirm({ id }, { signal }) {
      signal.addEventListener("abort", () => {
        stopped.ring();
      });
      await client.send(sessionId, confirmationEvent(id, true));
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

test("a dropped message ends its run", async (t) => {
  const client = clientOf(t, shared.address);
  const sessionId = await session(client, [{ text: "slow", delay: "60s" }]);
  await client.send(sessionId, "one");
  const run = client.run(sessionId, "two");
  for await (const { payload } of client.follow(sessionId, { kinds: ["user.message"] })) {
    if (payload.case === "userMessage" && textOf(payload.value.content) === "two") break;
  }
  await client.interrupt(sessionId, { dropQueued: true });
  assert.equal((await run).stopReason, "dropped");
});

test("a session that ends ends its runs and follows", async (t) => {
  const client = clientOf(t, shared.address);
  const sessionId = await session(client, [{ text: "slow", delay: "60s" }]);
  const events = client.follow(sessionId);
  const run = client.run(sessionId, "one");
  await events.next();
  await client.deleteSession(sessionId);
  assert.equal((await run).stopReason, "deleted");
  await all(events);
  assert.equal(events.ended?.reason, StreamEndReason.DELETED);
  await assert.rejects(client.status(sessionId), NotFoundError);
});

test("every call of the client works", async (t) => {
  const client = clientOf(t, shared.address);
  const definition = { name: "n", model: { scripted: { responses: [{ text: "hi" }] } }, metadata: { k: "v" } };
  const { agentId } = await client.create(definition);
  assert.equal((await client.getAgent(agentId, { version: 1n })).definition?.name, "n");
  assert.equal(await client.updateAgent(agentId, 1n, { ...definition, name: "m" }), 2n);
  assert.deepEqual(
    (await all(client.listAgents({ metadata: { k: "v" } }))).map(({ version }) => version),
    [2n],
  );
  const overrides = { system: "Be brief." };
  const metadata = { s: "1" };
  const { sessionId, headSeq } = await client.startSession(agentId, {
    initial: [{ userMessage: { content: [{ text: { text: "first" } }] } }],
    message: "hello",
    version: 1n,
    overrides,
    metadata,
  });
  assert(headSeq >= 2n);
  assert((await client.pause(sessionId)).seq > 0n);
  assert.equal((await client.status(sessionId)).paused, true);
  assert((await client.resume(sessionId)).seq > 0n);
  assert.equal((await client.run(sessionId, "again")).text, "hi");
  const found = await client.getSession(sessionId);
  assert.deepEqual([found.metadata, found.agentVersion, found.overrides?.system], [metadata, 1n, "Be brief."]);
  assert.deepEqual(
    (await all(client.listSessions({ metadata }))).map((row) => row.sessionId),
    [sessionId],
  );
  const head = (await client.status(sessionId)).headSeq;
  const rest = await all(client.listEvents(sessionId, { fromSeq: 1n, pageSize: 2 }));
  assert.deepEqual(
    rest.map(({ seq }) => seq),
    Array.from({ length: Number(head) - 1 }, (_, index) => BigInt(index + 2)),
  );
  assert.equal(await client.archive(sessionId), head + 1n);
  await assert.rejects(client.send(sessionId, "too late"), SessionTerminalError);
  await client.archiveAgent(agentId);
  assert.deepEqual(await all(client.listAgents({ metadata: { k: "v" } })), []);
  await assert.rejects(client.create({ name: "x" }), (error) => {
    assert(error instanceof InvalidRequestError);
    assert.deepEqual(
      error.violations.map(({ field }) => field),
      ["definition.model"],
    );
    return true;
  });
});

test("deltas join to the text that follows", async (t) => {
  const client = clientOf(t, shared.address);
  const words = "one two three four five six seven";
  const sessionId = await session(client, [{ text: words, delay: "0.5s" }]);
  const items = client.follow(sessionId, { deltas: true });
  await client.send(sessionId, "go");
  let joined = "";
  for await (const item of items) {
    if (item.$typeName === "managedagents.v1.StreamDelta" && item.piece.case === "text") joined += item.piece.value;
    if (item.$typeName === "managedagents.v1.SessionEvent" && kindOf(item) === "agent.message") break;
  }
  assert.notEqual(joined, "");
  assert(words.startsWith(joined));
});
