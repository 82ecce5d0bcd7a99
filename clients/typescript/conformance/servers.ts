/**
 * The servers of a run: one for all scenarios that start theirs in the same way and do nothing to it, and one for each
 * that does something.
 */

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { JsonObject } from "@bufbuild/protobuf";
import { Server } from "../test/support/server.js";
import { play } from "./player.js";
import { flags, hasItsOwn, type Scenario } from "./scenario.js";

const COMMAND = (process.env["MANAGEDAGENTS_SERVER_COMMAND"] ?? "").split(/\s+/).filter((word) => word !== "");

// Each server that runs waits for the end of this process, and there are more than the ten that Node.js holds for a leak.
process.setMaxListeners(0);

/** A server with its log where the hands find it. */
export class OwnServer extends Server {
  readonly #folder: string;
  readonly #db: string;

  constructor(...flags: string[]) {
    const folder = mkdtempSync(join(tmpdir(), "conformance-"));
    const db = join(folder, "log.db");
    // The second log that is named is the one that holds.
    super("--db", db, ...flags);
    this.#folder = folder;
    this.#db = db;
  }

  /** Has something done to it from outside. */
  async byHand(given: JsonObject): Promise<void> {
    const [program, ...words] = COMMAND;
    if (program === undefined) {
      throw new Error("MANAGEDAGENTS_SERVER_COMMAND says whom to ask: `make conformance` sets it");
    }
    const told = ["--by-hand", JSON.stringify(given), "--db", this.#db, "--address", this.address];
    await promisify(execFile)(program, [...words, ...told]);
  }

  override async end(): Promise<void> {
    await super.end();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export class Servers {
  readonly #shared = new Map<string, Promise<OwnServer>>();

  /** The lines of a scenario. */
  async play(scenario: Scenario): Promise<string[]> {
    if (!hasItsOwn(scenario)) return play(scenario, await this.#sharedBy(flags(scenario)));
    const own = new OwnServer(...flags(scenario));
    try {
      return await play(scenario, await own.start());
    } finally {
      await own.end();
    }
  }

  async end(): Promise<void> {
    for (const server of this.#shared.values()) await (await server).end();
  }

  #sharedBy(flags: string[]): Promise<OwnServer> {
    const key = flags.join(" ");
    const server = this.#shared.get(key) ?? new OwnServer(...flags).start();
    this.#shared.set(key, server);
    return server;
  }
}
