/** The servers of a run: one for all scenarios that have the same limits, and one of its own for each that stops it. */

import { Server } from "../test/support/server.js";
import { play } from "./player.js";
import { flags, type Scenario, stopsItsServer } from "./scenario.js";

export class Servers {
  readonly #shared = new Map<string, Promise<Server>>();

  /** The lines of a scenario. */
  async play(scenario: Scenario): Promise<string[]> {
    if (!stopsItsServer(scenario)) return play(scenario, await this.#sharedBy(flags(scenario)));
    const own = new Server(...flags(scenario));
    try {
      return await play(scenario, await own.start());
    } finally {
      await own.end();
    }
  }

  async end(): Promise<void> {
    for (const server of this.#shared.values()) await (await server).end();
  }

  #sharedBy(limits: string[]): Promise<Server> {
    const key = limits.join(" ");
    const server = this.#shared.get(key) ?? new Server(...limits).start();
    this.#shared.set(key, server);
    return server;
  }
}
