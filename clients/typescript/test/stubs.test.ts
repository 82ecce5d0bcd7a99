/** The committed messages are what the protos give. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";

const PACKAGE = resolve(import.meta.dirname, "../..");

function files(folder: string): Record<string, string> {
  const found = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = found.map((entry) => join(entry.parentPath, entry.name)).sort();
  return Object.fromEntries(paths.map((path) => [path.slice(folder.length), readFileSync(path, "utf8")]));
}

test("generating the messages again changes nothing, and takes away what no proto gives", (t) => {
  const fresh = mkdtempSync(join(tmpdir(), "managedagents-stubs-"));
  t.after(() => {
    rmSync(fresh, { recursive: true });
  });
  writeFileSync(join(fresh, "gone_pb.ts"), "");
  execFileSync(join(PACKAGE, "generate"), [fresh]);
  const [made, committed] = [files(fresh), files(join(PACKAGE, "src/gen"))];
  assert.deepEqual(Object.keys(made), Object.keys(committed));
  assert.deepEqual(
    Object.keys(made).filter((path) => made[path] !== committed[path]),
    [],
  );
});

test("every proto's messages are in managedagents/v1", async () => {
  const v1 = Object.keys(await import("managedagents/v1"));
  const protos = readdirSync(join(PACKAGE, "../../proto/managedagents/v1")).map((name) => name.replace(".proto", ""));
  assert(protos.length > 10);
  assert.deepEqual(
    protos.filter((name) => !v1.includes(`file_managedagents_v1_${name}`)),
    [],
  );
});
