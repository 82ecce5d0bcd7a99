/** The README: its code is compiled and run as it stands. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import ts from "typescript";
import { Server } from "./support/server.js";

const PACKAGE = resolve(import.meta.dirname, "../..");
// Inside the package, where its own name means it.
const FOLDER = join(PACKAGE, "build/readme");
const README = readFileSync(join(PACKAGE, "README.md"), "utf8");
const BLOCKS = [...README.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""]) => code);
const PRINTED = [
  "end_turn It is 19 degrees in Oslo.\n",
  "1 user.message\n2 status.running\n3 agent.message\n4 status.idle\n",
  "SESSION_NOT_FOUND\n",
];

const server = new Server();
before(() => server.start());
after(() => server.end());

test("every example is known here, and the first is short", () => {
  assert.equal(BLOCKS.length, PRINTED.length);
  assert.match(BLOCKS[0] ?? "", /127\.0\.0\.1:50051/);
  assert((BLOCKS[0] ?? "").split("\n").filter((line) => line.trim()).length < 25);
});

test("the examples are right by the compiler, print what they say, and end by themselves", async () => {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  const files = BLOCKS.map((code, index) => {
    const file = join(FOLDER, `example${index}.ts`);
    writeFileSync(file, code.replaceAll("127.0.0.1:50051", server.address));
    return file;
  });
  const program = ts.createProgram(files, {
    strict: true,
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    types: ["node"],
    skipLibCheck: true,
  });
  const wrong = ts.getPreEmitDiagnostics(program);
  assert.deepEqual(
    wrong.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n")),
    [],
  );
  program.emit();
  for (const [index, file] of files.entries()) {
    const { stdout } = await promisify(execFile)(process.execPath, [file.replace(/ts$/, "js")], { timeout: 20_000 });
    assert(stdout.endsWith(PRINTED[index] ?? "?"), stdout);
  }
});
