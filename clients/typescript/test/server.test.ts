/** The client against a real server process, which is killed in the middle. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  InvalidRequestError,
  kindOf,
  NotFoundError,
  OutcomeActiveError,
  outcomeEvent,
  SessionTerminalError,
  textOf,
} from "managedagents";
import { SessionStatus, StreamEndReason } from "managedagents/v1";
import { client as clientOf } from "./support/fake.js";
import { calls, DONE, first, session, started } from "./support/real.js";
import { relay } from "./support/relay.js";
import { Server } from "./support/server.js";
import { all, Bell } from "./support/waiting.js";

// One server for the tests that neither stop it nor set its limits.
const shared = new Server();
before(() => shared.start());
after(() => shared.end());

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

test("a session works until its outcome is met, towards one at a time", async (t) => {
  const client = clientOf(t, shared.address);
  const responses = [{ text: "draft", delay: "0.2s" }, { text: "story" }];
  const grader = [{ reason: "it has no end" }, { met: true }];
  const { agentId } = await client.create({ name: "test", model: { scripted: { responses, grader } } });
  const { sessionId } = await client.startSession(agentId);
  const result = await client.run(sessionId, outcomeEvent("a story with an end", 5), {
    async onEvent({ seq, payload }) {
      if (payload.case !== "userDefineOutcome") return;
      assert.deepEqual([seq, payload.value.maxIterations], [1n, 5]);
      await assert.rejects(client.send(sessionId, outcomeEvent("another one")), OutcomeActiveError);
    },
  });
  assert.deepEqual([result.stopReason, result.text, result.usage.requests], ["completed", "story", 4n]);
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
