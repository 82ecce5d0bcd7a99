/** Reaching a server: where there is none, where there is another one, and over another transport. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http2";
import { type AddressInfo, connect, createServer as createTcpServer, type Server } from "node:net";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { Code } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { Client, NoAnswerError, NotFoundError, NotThisServiceError } from "managedagents";
import { SessionEventSchema } from "managedagents/v1";
import { batch, client, ended, opened, refusal, serving, streaming } from "./support/fake.js";
import { all } from "./support/waiting.js";

test("a server that was never there is told soon, with its address", async (t) => {
  const address = await listening(t, createTcpServer(), { close: true });
  const began = performance.now();
  await assert.rejects(client(t, address, { connectTimeoutMs: 300 }).status("ses_1"), (error) => {
    assert(error instanceof NoAnswerError);
    assert.match(error.message, new RegExp(`^no server at ${address} `));
    return true;
  });
  assert(performance.now() - began < 2_000);
});

test("an address that swallows what is sent is given up in time", async (t) => {
  // It listens, and takes nobody: when its queue is full, nobody is told anything.
  const program = `
    require("node:net").createServer().listen({ host: "127.0.0.1", port: 0, backlog: 1 }, function () {
      require("node:fs").writeSync(1, this.address().port + "\\n");
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const [port] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  for (let index = 0; index < 8; index++) {
    const queued = connect(Number(port), "127.0.0.1").on("error", () => undefined);
    t.after(() => queued.destroy());
  }
  const calls = client(t, `127.0.0.1:${port}`, { connectTimeoutMs: 300 });
  await assert.rejects(calls.status("ses_1"), (error) => {
    assert(error instanceof NoAnswerError);
    assert.match(error.message, /no connection after 0.3 s/);
    return true;
  });
});

test("another service at the address is told as such", async (t) => {
  const { address } = await serving(t, {});
  await assert.rejects(client(t, address).status("ses_1"), NotThisServiceError);
});

test("a server of web pages at the address is told as such", async (t) => {
  const pages = createServer((_, response) => {
    response.writeHead(200, { "content-type": "text/html" }).end("<p>hello</p>");
  });
  const address = await listening(t, pages);
  await assert.rejects(client(t, address).status("ses_1"), NotThisServiceError);
});

test("a server that speaks something else altogether is no server", async (t) => {
  const garbage = createTcpServer((socket) => {
    socket.on("error", () => undefined);
    socket.end("220 mail.example.com ESMTP\r\n");
  });
  const address = await listening(t, garbage);
  await assert.rejects(client(t, address, { connectTimeoutMs: 300 }).status("ses_1"), NoAnswerError);
});

test("another transport may be given, say for gRPC-Web", async (t) => {
  const { address } = await serving(t, {
    ...streaming(async function* () {
      yield await Promise.resolve(opened());
      yield batch(1n, 2n);
      yield ended(2n);
    }),
    status() {
      throw refusal(Code.NotFound, "SESSION_NOT_FOUND");
    },
  });
  const transport = createGrpcWebTransport({ baseUrl: `http://${address}`, httpVersion: "2" });
  const web = new Client(transport, { address });
  t.after(() => {
    web.close();
  });
  const events = await all(web.follow("ses_1"));
  assert.deepEqual(
    events.map(({ seq }) => seq),
    [1n, 2n],
  );
  assert.equal(events[0]?.$typeName, SessionEventSchema.typeName);
  await assert.rejects(web.status("ses_1"), NotFoundError);
});

async function listening(
  t: { after: (done: () => void) => void },
  server: Server | ReturnType<typeof createServer>,
  { close = false } = {},
): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  if (close) await new Promise((resolve) => server.close(resolve));
  else t.after(() => void server.close());
  return address;
}
