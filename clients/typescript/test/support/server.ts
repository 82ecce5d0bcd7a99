/** A real server process on a real SQLite file. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, closeSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const PACKAGE = resolve(import.meta.dirname, "../../..");
const COMMAND = (process.env["MANAGEDAGENTS_SERVER_COMMAND"] ?? join(PACKAGE, "../../.venv/bin/managedagents-server"))
  .trim()
  .split(/\s+/);

/** Started, killed and started again on the same file. `address` is the same after every start. */
export class Server {
  address = "";
  readonly #flags: readonly string[];
  readonly #folder = mkdtempSync(join(tmpdir(), "managedagents-"));
  #process: ChildProcess | undefined;

  constructor(...flags: string[]) {
    this.#flags = flags;
  }

  /** Comes back when the server listens. */
  async start(): Promise<this> {
    const [program = "", ...first] = COMMAND;
    const db = join(this.#folder, "log.db");
    const flags = ["--listen", this.address || "127.0.0.1:0", "--db", db, ...this.#flags];
    const stderr = openSync(this.#stderr, "a");
    const child = spawn(program, [...first, ...flags], { stdio: ["ignore", "pipe", stderr] });
    closeSync(stderr);
    this.#process = child;
    // A test that dies takes its servers with it.
    const killed = (): void => void child.kill("SIGKILL");
    process.once("exit", killed);
    child.once("exit", () => process.off("exit", killed));
    // The first line says where it listens; `close` without one, that it never did.
    if (child.stdout === null) throw new Error("a pipe was asked for");
    const lines = createInterface({ input: child.stdout });
    const [line] = (await Promise.race([once(lines, "line"), once(lines, "close"), once(child, "error")])) as [unknown];
    if (typeof line !== "string" || !line.startsWith("listening on ")) {
      throw new Error(`the server did not start: ${String(line)} ${readFileSync(this.#stderr, "utf8")}`);
    }
    this.address = line.slice("listening on ".length).trim();
    return this;
  }

  async kill(): Promise<void> {
    await this.#stop("SIGKILL");
  }

  /** Its exit code. */
  async terminate(): Promise<number | null> {
    return this.#stop("SIGTERM");
  }

  /** Gone, with its file. */
  async end(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #stderr(): string {
    return join(this.#folder, "stderr");
  }

  async #stop(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#process;
    if (child?.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
    return child.exitCode;
  }
}
