/** Runs of an outcome: against a service that says what a session would say, and against a real one. */

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { OutcomeActiveError, outcomeEvent, type RunResult } from "managedagents";
import { ModelResponseSchema } from "managedagents/v1";
import { client as clientOf, connected } from "./support/fake.js";
import { Server } from "./support/server.js";
import { END, type Event, event, idle, judged, requires, says, session } from "./support/session.js";

const DEFINED = event(1n, { case: "userDefineOutcome", value: { criteria: "good" } });
const BEGUN = [DEFINED, event(1n, { case: "statusRunning", value: {} })];
const COMPLETED = event(0n, { case: "statusCompleted", value: {} });
const THEIR_INTERRUPT = idle(9n, { case: "interrupted", value: {} });

async function works(t: TestContext, events: Event[]): Promise<RunResult> {
  return (await connected(t, session(events))).run("ses_1", outcomeEvent("good"));
}

for (const [about, stopReason, seqs, events] of [
  [
    "met at the second",
    "completed",
    [1n, 2n, 3n, 4n, 5n],
    [...BEGUN, judged(1n, false), says(3n, "rsp_2", "better"), judged(3n, true), COMPLETED],
  ],
  [
    "not met",
    "max_outcome_iterations",
    [1n, 2n, 3n, 4n],
    [...BEGUN, judged(1n, false), idle(1n, { case: "maxOutcomeIterations", value: {} })],
  ],
  [
    "a message within it, and what that led to is judged",
    "refusal",
    [1n, 2n, 3n, 5n, 6n],
    [...BEGUN, END, says(9n, "rsp_9", "to you"), judged(9n, false), idle(5n, { case: "refusal", value: {} })],
  ],
  [
    "an interrupt of another turn",
    "interrupted",
    [1n, 2n, 3n],
    [...BEGUN, judged(1n, false), idle(9n, { case: "endTurn", value: {} }), THEIR_INTERRUPT],
  ],
  [
    "another turn that waits",
    "archived",
    [1n, 2n, 3n, 5n],
    [
      ...BEGUN,
      judged(1n, false),
      requires(9n, "use_5"),
      judged(3n, true),
      event(0n, { case: "statusArchived", value: {} }),
    ],
  ],
  [
    "dropped before it began",
    "dropped",
    [1n],
    [DEFINED, THEIR_INTERRUPT, idle(9n, { case: "interrupted", value: { droppedSeqs: [1n] } })],
  ],
] as const) {
  test(`a run of an outcome ends where the outcome does: ${about}`, async (t) => {
    const result = await works(t, [...events]);
    assert.equal(result.stopReason, stopReason);
    assert.deepEqual(
      result.events.map(({ seq }) => seq),
      seqs,
    );
  });
}

test("a run of an outcome sums up what its turns cost", async (t) => {
  const cost = (outputTokens: bigint) => ({
    response: create(ModelResponseSchema, {
      usage: { requests: 1n, outputTokens, modelTime: { seconds: 1n, nanos: 600_000_000 } },
    }),
  });
  const result = await works(t, [
    ...BEGUN,
    { ...says(1n, "rsp_1", "done"), ...cost(5n) },
    { ...says(9n, "rsp_9", "hello"), ...cost(7n) },
    { ...judged(1n, true), ...cost(0n) },
    COMPLETED,
  ]);
  const { requests, outputTokens, modelTime } = result.usage;
  assert.deepEqual([result.text, requests, outputTokens], ["done", 2n, 5n]);
  assert.equal(modelTime && durationMs(modelTime), 3_200);
});

test("a session works until its outcome is met, towards one at a time", async (t) => {
  const server = await new Server().start();
  t.after(() => server.end());
  const client = clientOf(t, server.address);
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
