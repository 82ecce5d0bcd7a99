/** Calls, against a service that drops, refuses and waits as a real one seldom does. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  DefinitionError,
  type Definition,
  LimitExceededError,
  NoAnswerError,
  UnavailableError,
  VersionConflictError,
} from "managedagents";
import { AgentSchema, type CreateRequest, type SendEventRequest, type UserEventJson } from "managedagents/v1";
import { Bell, forever } from "./support/waiting.js";
import { client, connected, refusal, serving, streaming, ended } from "./support/fake.js";

const DEFINITION: Definition = { name: "n", model: { name: "m" } };

test("a call is asked again with the same request id", async (t) => {
  const asked: SendEventRequest[] = [];
  const calls = await connected(t, {
    sendEvent(request) {
      asked.push(request);
      if (asked.length < 3) throw refusal(Code.Unavailable);
      return { seq: 7n };
    },
  });
  assert.equal(await calls.send("ses_1", "hi"), 7n);
  assert.equal(asked.length, 3);
  assert.deepEqual(new Set(asked.map(({ requestId }) => requestId)).size, 1);
  assert.match(asked[0]?.requestId ?? "", /^[0-9a-f]{32}$/);
});

test("a connection that breaks in the middle of a call is made again", async (t) => {
  const asked: CreateRequest[] = [];
  const fake = await serving(t, {
    create(request, { signal }) {
      asked.push(request);
      if (asked.length > 1) return { agentId: "agt_1", version: 1n };
      fake.cut();
      return forever(signal);
    },
  });
  assert.equal((await client(t, fake.address).create(DEFINITION)).agentId, "agt_1");
  assert.equal(asked[0]?.requestId, asked[1]?.requestId);
});

test("each call has a request id of its own, unless it is given one", async (t) => {
  const ids: string[] = [];
  const calls = await connected(t, {
    pause({ requestId }) {
      ids.push(requestId);
      return {};
    },
  });
  await calls.pause("ses_1");
  await calls.pause("ses_1");
  await calls.pause("ses_1", { requestId: "mine" });
  assert.equal(new Set(ids).size, 3);
  assert.equal(ids[2], "mine");
});

test("a refusal is not asked again", async (t) => {
  let asked = 0;
  const calls = await connected(t, {
    updateAgent() {
      asked++;
      throw refusal(Code.Aborted, "VERSION_CONFLICT", { metadata: { version: "3" } });
    },
  });
  await assert.rejects(calls.updateAgent("agt_1", 1n, DEFINITION), (error) => {
    assert(error instanceof VersionConflictError);
    assert.equal(error.metadata["version"], "3");
    return true;
  });
  assert.equal(asked, 1);
});

test("the delay that the server asks for is kept", async (t) => {
  const times: number[] = [];
  const calls = await connected(t, {
    status() {
      times.push(performance.now());
      if (times.length === 1) throw refusal(Code.ResourceExhausted, "LIMIT_EXCEEDED", { retryAfterMs: 300 });
      return { headSeq: 1n };
    },
  });
  assert.equal((await calls.status("ses_1")).headSeq, 1n);
  // A timer of Node.js may come a millisecond early.
  assert((times[1] ?? 0) - (times[0] ?? 0) >= 298);
});

test("patience ends with the server's own reason", async (t) => {
  const status = () => {
    throw refusal(Code.Unavailable, "LOG_UNAVAILABLE", { retryAfterMs: 100 });
  };
  const calls = await connected(t, { status }, { patienceMs: 250 });
  await assert.rejects(calls.status("ses_1"), (error) => {
    assert(error instanceof UnavailableError);
    assert.equal(error.reason, "LOG_UNAVAILABLE");
    return true;
  });
});

test("without patience a call is made once", async (t) => {
  let asked = 0;
  const status = () => {
    asked++;
    throw refusal(Code.ResourceExhausted, "LIMIT_EXCEEDED", { retryAfterMs: 1 });
  };
  const calls = await connected(t, { status }, { patienceMs: 0 });
  await assert.rejects(calls.status("ses_1"), LimitExceededError);
  assert.equal(asked, 1);
});

test("without patience a server that does not answer is asked once", async (t) => {
  let asked = 0;
  const status = () => {
    asked++;
    throw new ConnectError("away", Code.Unavailable);
  };
  const calls = await connected(t, { status }, { patienceMs: 0 });
  await assert.rejects(calls.status("ses_1"), NoAnswerError);
  assert.equal(asked, 1);
});

test("an answer above four mebibytes is received", async (t) => {
  const system = "x".repeat(5 * 1024 * 1024);
  const calls = await connected(t, { getAgent: () => ({ agent: { definition: { system } } }) });
  assert.equal((await calls.getAgent("agt_1")).definition?.system.length, system.length);
});

test("a token is sent as a bearer token", async (t) => {
  const seen: (string | null)[] = [];
  const service = {
    ...streaming(async function* () {
      yield await Promise.resolve(ended(0n));
    }),
    status(_: unknown, { requestHeader }: { requestHeader: Headers }) {
      seen.push(requestHeader.get("authorization"));
      return {};
    },
  };
  const calls = await connected(t, service, { token: "secret" });
  await calls.status("ses_1");
  assert.deepEqual(seen, ["Bearer secret"]);
});

test("lists go on over the pages, and give one page by itself", async (t) => {
  const calls = await connected(t, {
    listAgents({ pageToken }) {
      const page = Number(pageToken || 0);
      const agents = [create(AgentSchema, { agentId: `agt_${page}` })];
      return { agents, nextPageToken: page < 2 ? String(page + 1) : "" };
    },
  });
  const ids: string[] = [];
  for await (const { agentId } of calls.listAgents()) ids.push(agentId);
  assert.deepEqual(ids, ["agt_0", "agt_1", "agt_2"]);
  assert.equal((await calls.listAgents().page("1")).agents[0]?.agentId, "agt_1");
});

test("a definition or an event that is none is not sent", async (t) => {
  let asked = 0;
  const calls = await connected(t, {
    create() {
      asked++;
      return {};
    },
  });
  await assert.rejects(calls.create({ naem: "n" } as Definition), (error) => {
    assert(error instanceof DefinitionError);
    assert.match(error.message, /naem/);
    return true;
  });
  await assert.rejects(calls.send("ses_1", { userMesage: {} } as UserEventJson), DefinitionError);
  assert.equal(asked, 0);
});

test("a definition may be named as in the protos", async (t) => {
  const asked: CreateRequest[] = [];
  const calls = await connected(t, {
    create(request) {
      asked.push(request);
      return {};
    },
  });
  await calls.create(JSON.parse('{"name": "n", "tool_host": "TOOL_HOST_CLIENT", "token_budget": "5"}') as Definition);
  assert.equal(asked[0]?.definition?.tokenBudget, 5n);
});

test("a signal ends a call at once, and the server is told", async (t) => {
  const [asked, gone] = [new Bell(), new Bell()];
  const calls = await connected(t, {
    status(_, { signal }) {
      asked.ring();
      signal.addEventListener("abort", () => {
        gone.ring();
      });
      return forever(signal);
    },
  });
  const stop = new AbortController();
  const status = calls.status("ses_1", { signal: stop.signal });
  await asked.rung;
  stop.abort(new RangeError("mine"));
  await assert.rejects(status, new RangeError("mine"));
  await gone.rung;
  await assert.rejects(calls.status("ses_1", { signal: stop.signal }), new RangeError("mine"));
});

test("a signal ends the wait between two attempts", async (t) => {
  const asked = new Bell();
  const calls = await connected(t, {
    status() {
      asked.ring();
      throw refusal(Code.Unavailable, "DRAINING", { retryAfterMs: 50_000 });
    },
  });
  const stop = new AbortController();
  const status = calls.status("ses_1", { signal: stop.signal });
  await asked.rung;
  stop.abort();
  await assert.rejects(status, { name: "AbortError" });
});

test("a deadline is a signal, too", async (t) => {
  const calls = await connected(t, { status: (_, { signal }) => forever(signal) });
  await assert.rejects(calls.status("ses_1", { signal: AbortSignal.timeout(100) }), { name: "TimeoutError" });
});

test("closing ends the calls under way, and those to come", async (t) => {
  const asked = new Bell();
  const calls = await connected(t, {
    status(_, { signal }) {
      asked.ring();
      return forever(signal);
    },
  });
  const status = calls.status("ses_1");
  await asked.rung;
  calls.close();
  await assert.rejects(status, { name: "AbortError" });
  await assert.rejects(calls.archive("ses_1"), { name: "AbortError" });
});

test("many calls at once, and one signal for all of them, are nothing that Node.js warns of", async (t) => {
  const warnings: Error[] = [];
  const warned = (warning: Error): void => void warnings.push(warning);
  process.on("warning", warned);
  t.after(() => process.off("warning", warned));
  const calls = await connected(t, { status: () => ({}) });
  const { signal } = new AbortController();
  await Promise.all(Array.from({ length: 20 }, () => calls.status("ses_1", { signal })));
  assert.deepEqual(warnings, []);
});
