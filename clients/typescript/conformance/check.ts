/** `node build/conformance/check.js FOLDER` plays all scenarios of a folder, and fails where a line is not as expected. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { read } from "./scenario.js";
import { Servers } from "./servers.js";

const [folder = ""] = process.argv.slice(2);
const files = readdirSync(folder).filter((name) => name.endsWith(".json"));
const servers = new Servers();
let failed = 0;
try {
  for (const file of files.map((name) => join(folder, name)).sort()) {
    const expected = readFileSync(file.replace(/json$/, "expected"), "utf8").split("\n").slice(0, -1);
    const scenario = read(file);
    const lines = await servers.play(scenario);
    const differs = Array.from({ length: Math.max(lines.length, expected.length) }, (_, index) => index).find(
      (index) => lines[index] !== expected[index],
    );
    if (differs === undefined) continue;
    failed++;
    console.log(`${scenario.name}, line ${differs + 1}`);
    console.log(`  expected  ${expected[differs] ?? "(nothing)"}`);
    console.log(`  got       ${lines[differs] ?? "(nothing)"}`);
  }
} finally {
  await servers.end();
}
console.log(`${files.length - failed} of ${files.length} scenarios are as expected`);
process.exitCode = failed === 0 && files.length > 0 ? 0 : 1;
