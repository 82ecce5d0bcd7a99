/** Following over streams that are cut wherever a stream can be cut, fall silent, and say what nobody knows. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "@connectrpc/connect";
import {
  type Follow,
  FromSeqBeyondHeadError,
  LogReplacedError,
  NoAnswerError,
  PromiseBrokenError,
  stopReasonOf,
} from "managedagents";
import { StreamEndReason, TurnStopReason } from "managedagents/v1";
import {
  batch,
  client,
  connected,
  delta,
  ended,
  opened,
  progress,
  refusal,
  serving,
  streaming,
  type StreamMessage,
} from "./support/fake.js";
import { over, waits } from "./support/session.js";
import { all, Bell, forever } from "./support/waiting.js";

// Field 9999, a varint: what a server that is newer than this client may send.
const UNKNOWN = [{ no: 9999, wireType: 0, data: Uint8Array.of(1) }];

const SCRIPT = [
  opened(),
  batch(1n, 1n),
  batch(2n, 4n),
  { message: { case: "caughtUp", value: { headSeq: 4n } } } satisfies StreamMessage,
  batch(5n, 5n),
  progress(5n),
  batch(6n, 9n),
  ended(9n),
];

/** What is left of a message for a client that has this seq. */
function after(fromSeq: bigint, { message }: StreamMessage): StreamMessage | undefined {
  if (message?.case !== "batch") return { message };
  const { events = [], throughSeq = 0n } = message.value;
  if (throughSeq <= fromSeq) return undefined;
  return { message: { case: "batch", value: { events: events.filter(({ seq = 0n }) => seq > fromSeq), throughSeq } } };
}

async function seqsOf(events: Follow): Promise<bigint[]> {
  return (await all(events)).map(({ seq }) => seq);
}

const CUTS: Record<string, (cut: () => void, signal: AbortSignal) => Promise<void>> = {
  "by a proxy": () => Promise.reject(refusal(Code.Unavailable)),
  "by a server that stops": () => Promise.reject(refusal(Code.Canceled)),
  "by a proxy that resets it": () => Promise.reject(refusal(Code.Internal)),
  "without ended": () => Promise.resolve(),
  "with its connection": (cut, signal) => {
    cut();
    return forever(signal);
  },
};

for (const [how, cutStream] of Object.entries(CUTS)) {
  test(`a stream that is cut ${how}, anywhere, repeats nothing and skips nothing`, async (t) => {
    for (let cutAfter = 0; cutAfter < SCRIPT.length; cutAfter++) {
      const service = streaming(async function* (request, signal) {
        const isFirst = service.asked.length === 1;
        for (const [index, message] of SCRIPT.entries()) {
          if (isFirst && index === cutAfter) {
            await cutStream(fake.cut, signal);
            return;
          }
          const left = after(request.fromSeq ?? 0n, message);
          if (left) yield left;
        }
      });
      const fake = await serving(t, service);
      const events = client(t, fake.address).follow("ses_1");
      assert.deepEqual(await seqsOf(events), [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n]);
      assert.equal(events.ended?.reason, StreamEndReason.ARCHIVED);
      assert.equal(events.throughSeq, 9n);
      assert.equal(events.caughtUp, true);
      assert.equal(service.asked.length, 2);
      assert.deepEqual([service.asked[0]?.fromSeq, service.asked[0]?.logId], [0n, undefined]);
      assert(cutAfter === 0 || [undefined, "log_1"].includes(service.asked[1]?.logId));
    }
  });
}

test("a stream that goes on is asked for by its seq and its log", async (t) => {
  const service = streaming(async function* (request) {
    yield await Promise.resolve(opened());
    if (request.fromSeq === 0n) {
      yield batch(1n, 3n);
      throw refusal(Code.Unavailable);
    }
    yield ended(3n);
  });
  assert.deepEqual(await seqsOf((await connected(t, service)).follow("ses_1")), [1n, 2n, 3n]);
  assert.deepEqual([service.asked[1]?.fromSeq, service.asked[1]?.logId], [3n, "log_1"]);
});

test("a server that repeats events is not believed", async (t) => {
  const service = streaming(async function* () {
    yield* await Promise.resolve([opened(), batch(1n, 3n), batch(2n, 4n), ended(4n)]);
  });
  assert.deepEqual(await seqsOf((await connected(t, service)).follow("ses_1")), [1n, 2n, 3n, 4n]);
});

test("a hole throws", async (t) => {
  const service = streaming(async function* () {
    yield* await Promise.resolve([opened(), batch(1n, 3n), batch(5n, 6n)]);
  });
  await assert.rejects(all((await connected(t, service)).follow("ses_1")), PromiseBrokenError);
});

test("an event and a message of kinds that nobody knows are left out, and counted", async (t) => {
  const service = streaming(async function* (request) {
    yield await Promise.resolve(opened());
    if (request.fromSeq === 0n) {
      yield batch(1n, 1n);
      yield { message: { case: undefined }, $unknown: UNKNOWN };
      yield { message: { case: "batch", value: { events: [{ seq: 2n, $unknown: UNKNOWN }], throughSeq: 2n } } };
      throw refusal(Code.Unavailable);
    }
    yield* [batch(3n, 3n), ended(3n)];
  });
  assert.deepEqual(await seqsOf((await connected(t, service)).follow("ses_1")), [1n, 3n]);
  assert.equal(service.asked[1]?.fromSeq, 2n);
});

test("where kinds are filtered the place moves with the server", async (t) => {
  const service = streaming(async function* (request) {
    yield await Promise.resolve(opened());
    if (request.fromSeq === 0n) {
      yield batch(3n, 3n);
      yield progress(700n);
      throw refusal(Code.Unavailable);
    }
    yield ended(700n);
  });
  assert.deepEqual(await seqsOf((await connected(t, service)).follow("ses_1", { kinds: ["agent.message"] })), [3n]);
  assert.deepEqual(
    service.asked.map(({ fromSeq, kinds }) => [fromSeq, ...kinds]),
    [
      [0n, "agent.message"],
      [700n, "agent.message"],
    ],
  );
});

test("a live follow goes on from the head that it met", async (t) => {
  const service = streaming(async function* (request) {
    yield await Promise.resolve(opened(5n));
    if (request.fromSeq === undefined) throw refusal(Code.Unavailable);
    yield* [batch(6n, 6n), ended(6n)];
  });
  assert.deepEqual(await seqsOf((await connected(t, service)).follow("ses_1", { fromSeq: null })), [6n]);
  assert.equal(service.asked[1]?.fromSeq, 5n);
});

test("a server that drains is left and found again", async (t) => {
  const service = streaming(async function* ({ fromSeq = 0n }) {
    yield await Promise.resolve(opened());
    yield batch(fromSeq + 1n, fromSeq + 1n);
    yield ended(fromSeq + 1n, fromSeq === 2n);
  });
  assert.deepEqual(await seqsOf((await connected(t, service)).follow("ses_1")), [1n, 2n, 3n]);
});

for (const [code, reason, kind] of [
  [Code.FailedPrecondition, "LOG_REPLACED", LogReplacedError],
  [Code.OutOfRange, "FROM_SEQ_BEYOND_HEAD", FromSeqBeyondHeadError],
] as const) {
  test(`another history throws: ${reason}`, async (t) => {
    const service = streaming(async function* (request) {
      if (request.fromSeq !== 0n) throw refusal(code, reason);
      yield* await Promise.resolve([opened(), batch(1n, 2n)]);
      throw refusal(Code.Unavailable);
    });
    const events = (await connected(t, service)).follow("ses_1");
    assert.equal((await events.next()).value?.seq, 1n);
    assert.equal((await events.next()).value?.seq, 2n);
    await assert.rejects(events.next(), kind);
  });
}

test("a session that was deleted while the stream was cut has ended", async (t) => {
  const service = streaming(async function* (request) {
    if (request.logId !== undefined) throw refusal(Code.NotFound, "SESSION_NOT_FOUND");
    yield* await Promise.resolve([opened(), batch(1n, 2n)]);
    throw refusal(Code.Unavailable);
  });
  const events = (await connected(t, service)).follow("ses_1");
  assert.deepEqual(await seqsOf(events), [1n, 2n]);
  assert.equal(events.ended?.reason, StreamEndReason.DELETED);
});

test("a silent stream is given up for a new one", async (t) => {
  const gone = new Bell();
  const service = streaming(async function* (request, signal) {
    yield opened();
    if (request.fromSeq === 0n) {
      yield batch(1n, 2n);
      signal.addEventListener("abort", () => {
        gone.ring();
      });
      await forever(signal);
    }
    yield* [batch(3n, 3n), ended(3n)];
  });
  const calls = await connected(t, service, { heartbeatTimeoutMs: 300 });
  assert.deepEqual(await seqsOf(calls.follow("ses_1")), [1n, 2n, 3n]);
  await gone.rung;
});

test("a bare stream says all that the server sends, and falls silent no longer than a followed one", async (t) => {
  const service = streaming(async function* (_, signal) {
    yield* [opened(), batch(1n, 1n)];
    await forever(signal);
  });
  const messages = (await connected(t, service, { heartbeatTimeoutMs: 300 })).stream("ses_1");
  assert.equal((await messages.next()).value?.message.case, "opened");
  assert.equal((await messages.next()).value?.message.case, "batch");
  await assert.rejects(messages.next(), NoAnswerError);
});

test("half an answer is discarded when its stream is cut, and a whole one is not", async (t) => {
  const service = streaming(async function* (request) {
    yield await Promise.resolve(opened());
    if (request.fromSeq === 0n) {
      yield* [batch(1n, 1n), delta("Hel")];
      throw refusal(Code.Unavailable);
    }
    if (request.fromSeq === 1n) {
      yield* [delta("Hello"), batch(2n, 2n, "rsp_1")];
      throw refusal(Code.Unavailable);
    }
    yield ended(2n);
  });
  const items = await all((await connected(t, service)).follow("ses_1", { deltas: true }));
  assert.deepEqual(
    items.map(({ $typeName }) => $typeName.replace("managedagents.v1.", "")),
    ["SessionEvent", "StreamDelta", "StreamDeltaDiscarded", "StreamDelta", "SessionEvent"],
  );
});

test("a turn is followed over a cut, with where it stands, and is over with it", async (t) => {
  const service = streaming(async function* (request) {
    yield await Promise.resolve(opened());
    if (request.fromSeq === 0n) {
      yield* [batch(1n, 1n), batch(7n, 7n), waits(["deploy:use_7"])];
      throw refusal(Code.Unavailable);
    }
    yield* over(TurnStopReason.END_TURN);
  });
  const items = (await connected(t, service)).follow("ses_1", { turn: 1n });
  const stands: string[] = [];
  for await (const item of items) {
    if (item.$typeName === "managedagents.v1.SessionEvent") stands.push(String(item.seq));
    if (item.$typeName !== "managedagents.v1.StreamTurn") continue;
    const { pendingActions, result } = item;
    stands.push(result ? stopReasonOf(result) : pendingActions.map(({ toolUseId }) => toolUseId).join());
  }
  assert.deepEqual(stands, ["1", "7", "use_7", "end_turn"]);
  assert.equal(items.ended?.reason, StreamEndReason.TURN_OVER);
  assert.deepEqual(
    service.asked.map(({ fromSeq, turn }) => [fromSeq, turn]),
    [
      [0n, 1n],
      [7n, 1n],
    ],
  );
});
