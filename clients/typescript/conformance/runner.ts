/** `node build/conformance/runner.js SCENARIO_FILE...` prints each scenario's name and lines. */

import { read } from "./scenario.js";
import { Servers } from "./servers.js";

const servers = new Servers();
try {
  for (const file of process.argv.slice(2)) {
    const scenario = read(file);
    console.log(`scenario ${scenario.name}`);
    for (const line of await servers.play(scenario)) console.log(line);
  }
} finally {
  await servers.end();
}
