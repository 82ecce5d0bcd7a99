/**
 * `node build/conformance/runner.js SCENARIO_FILE...` prints each scenario's name and lines.
 * `node build/conformance/runner.js ACT ADDRESS SESSION ...` does an act at a server that is there already.
 */

import { actOf } from "./acts.js";
import { read } from "./scenario.js";
import { Servers } from "./servers.js";

const given = process.argv.slice(2);
try {
  await (actOf(given[0])?.(given.slice(1)) ?? scenarios(given));
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}

async function scenarios(files: readonly string[]): Promise<void> {
  const servers = new Servers();
  try {
    for (const file of files) {
      const scenario = read(file);
      console.log(`scenario ${scenario.name}`);
      for (const line of await servers.play(scenario)) console.log(line);
    }
  } finally {
    await servers.end();
  }
}
