/** The end of a follow that comes from here: the reader leaves, a signal, or no more patience. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { setTimeout as passed } from "node:timers/promises";
import { promisify } from "node:util";
import { Code, ConnectError } from "@connectrpc/connect";
import { NoAnswerError } from "managedagents";
import { batch, client, connected, delta, ended, opened, refusal, serving, streaming } from "./support/fake.js";
import { Bell, forever } from "./support/waiting.js";

/** One event, and then nothing; `gone` rings when the server sees that the call is over. */
function quiet() {
  const [asked, gone] = [new Bell(), new Bell()];
  const service = streaming(async function* (_, signal) {
    signal.addEventListener("abort", () => {
      gone.ring();
    });
    yield* [opened(), batch(1n, 1n)];
    asked.ring();
    await forever(signal);
  });
  return { service, asked, gone };
}

test("leaving the loop cancels the call at once", async (t) => {
  const { service, gone } = quiet();
  for await (const event of (await connected(t, service)).follow("ses_1")) {
    assert.equal(event.seq, 1n);
    break;
  }
  await gone.rung;
});

test("a loop that throws cancels the call at once", async (t) => {
  const { service, gone } = quiet();
  const events = (await connected(t, service)).follow("ses_1");
  await assert.rejects(async () => {
    for await (const { seq } of events) throw new RangeError(String(seq));
  }, RangeError);
  await gone.rung;
});

test("return ends a wait for the next event", async (t) => {
  const { service, gone } = quiet();
  const events = (await connected(t, service)).follow("ses_1");
  await events.next();
  const next = events.next();
  await events.return();
  assert.deepEqual(await next, { done: true, value: undefined });
  await gone.rung;
});

test("return ends a wait for the next attempt", async (t) => {
  const service = streaming(async function* () {
    yield* await Promise.resolve([opened(), delta("Hel")]);
    throw refusal(Code.Unavailable, "DRAINING", { retryAfterMs: 50_000 });
  });
  const items = (await connected(t, service)).follow("ses_1", { deltas: true });
  await items.next();
  // What was half said is discarded once its stream is over.
  assert.equal((await items.next()).value?.$typeName, "managedagents.v1.StreamDeltaDiscarded");
  const next = items.next();
  await items.return();
  assert.deepEqual(await next, { done: true, value: undefined });
});

test("a follow that is left with events unread keeps no process alive", async (t) => {
  const service = streaming(async function* () {
    yield await Promise.resolve(opened());
    for (let seq = 1n; seq <= 20n; seq++) yield batch(seq, seq, "x".repeat(10_000));
  });
  const { address } = await serving(t, service);
  const program = `
    import { connect } from "managedagents/node";
    const events = connect("${address}").follow("ses_1");
    console.log(String((await events.next()).value.seq));
    setTimeout(() => events.return(), 300); // until all of it has come`;
  const options = { cwd: import.meta.dirname, timeout: 10_000 };
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], options);
  assert.equal(stdout, "1\n");
});

test("a signal ends a follow at once, with its reason", async (t) => {
  const { service, gone } = quiet();
  const stop = new AbortController();
  const events = (await connected(t, service)).follow("ses_1", { signal: stop.signal });
  await events.next();
  const next = events.next();
  stop.abort(new RangeError("mine"));
  await assert.rejects(next, new RangeError("mine"));
  await gone.rung;
  await assert.rejects(
    (await connected(t, service)).follow("ses_1", { signal: stop.signal }).next(),
    new RangeError("mine"),
  );
});

test("patience with a server that is gone ends", async (t) => {
  const { service } = quiet();
  const fake = await serving(t, service);
  const events = client(t, fake.address, { patienceMs: 500 }).follow("ses_1");
  await events.next();
  fake.end();
  await assert.rejects(events.next(), NoAnswerError);
});

test("a reader that took its time has the whole patience left", async (t) => {
  const proceed = new Bell();
  const service = streaming(async function* (request) {
    yield opened();
    if (request.fromSeq === 0n) {
      yield batch(1n, 1n);
      await proceed.rung;
      throw new ConnectError("cut", Code.Unavailable);
    }
    yield* [batch(2n, 2n), ended(2n)];
  });
  const events = (await connected(t, service, { patienceMs: 400 })).follow("ses_1");
  await events.next();
  await passed(600); // longer than the patience: that it passes is what is tested
  proceed.ring();
  assert.equal((await events.next()).value?.seq, 2n);
});
