/** What a refused call throws: by the reason that the server gives, never by its words. */

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  DeadlineExceededError,
  InvalidRequestError,
  LimitExceededError,
  ManagedAgentsError,
  NoAnswerError,
  NotFoundError,
} from "managedagents";
import { ErrorReason } from "managedagents/v1";
import { connected, refusal } from "./support/fake.js";

/** What a call throws when the server throws this. */
async function thrown(t: TestContext, failure: ConnectError, connectTimeoutMs = 5_000): Promise<ManagedAgentsError> {
  const status = () => {
    throw failure;
  };
  const client = await connected(t, { status }, { patienceMs: 0, connectTimeoutMs });
  return client.status("ses_1").then(
    () => assert.fail("it was not refused"),
    (error: unknown) => {
      assert(error instanceof ManagedAgentsError);
      assert.equal(error.name, error.constructor.name);
      return error;
    },
  );
}

test("every reason of the proto has a class", async (t) => {
  const reasons = Object.keys(ErrorReason).filter((name) => Number.isNaN(Number(name)) && name !== "UNSPECIFIED");
  assert(reasons.length > 20);
  for (const reason of reasons) {
    const error = await thrown(t, refusal(Code.FailedPrecondition, reason));
    assert.equal(error.reason, reason);
    assert.notEqual(error.constructor, ManagedAgentsError, reason);
  }
});

test("the class follows from the reason, and a newer reason is the base error", async (t) => {
  assert((await thrown(t, refusal(Code.Internal, "SESSION_NOT_FOUND"))) instanceof NotFoundError);
  for (const reason of ["BRAND_NEW", "constructor"]) {
    const error = await thrown(t, refusal(Code.FailedPrecondition, reason));
    assert.equal(error.constructor, ManagedAgentsError);
    assert.deepEqual([error.reason, error.code], [reason, Code.FailedPrecondition]);
  }
});

test("violations, metadata and delay are carried", async (t) => {
  const bad = await thrown(t, refusal(Code.InvalidArgument, "INVALID_REQUEST", { fields: { "a.b": "is required" } }));
  assert(bad instanceof InvalidRequestError);
  assert.equal(bad.message, "refused");
  assert.deepEqual(bad.violations, [{ field: "a.b", description: "is required" }]);
  const limit = { retryAfterMs: 1_500, metadata: { limit: "streams", value: "2" } };
  const full = await thrown(t, refusal(Code.ResourceExhausted, "LIMIT_EXCEEDED", limit));
  assert(full instanceof LimitExceededError);
  assert.equal(full.retryAfterMs, 1_500);
  assert.deepEqual({ ...full.metadata }, { limit: "streams", value: "2" });
});

test("a reason of another domain is not ours", async (t) => {
  const error = await thrown(t, refusal(Code.NotFound, "SESSION_NOT_FOUND", { domain: "mesh.example.com" }));
  assert.equal(error.constructor, ManagedAgentsError);
  assert.deepEqual([error.reason, error.code], [undefined, Code.NotFound]);
});

test("a proxy's word for a server that is away is no answer, and its deadline is one", async (t) => {
  assert((await thrown(t, refusal(Code.Unavailable), 200)) instanceof NoAnswerError);
  assert((await thrown(t, refusal(Code.Canceled), 200)) instanceof NoAnswerError);
  assert((await thrown(t, refusal(Code.DeadlineExceeded))) instanceof DeadlineExceededError);
});

test("a fault that the server has no reason for is told as it is", async (t) => {
  const error = await thrown(t, refusal(Code.Unknown));
  assert.equal(error.constructor, ManagedAgentsError);
  assert.match(error.message, /refused/);
});

test("details that cannot be read are an error all the same", async (t) => {
  const garbage = new ConnectError("refused", Code.NotFound, { "grpc-status-details-bin": "AAAA" });
  assert((await thrown(t, garbage)) instanceof ManagedAgentsError);
});
