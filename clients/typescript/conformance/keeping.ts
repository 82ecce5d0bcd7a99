/** The verb `keep_following`: the client's own follow, which goes on over as many streams as it takes. */

import type { JsonObject } from "@bufbuild/protobuf";
import { type Client, type Follow, kindOf } from "managedagents";
import { StreamEndedSchema } from "managedagents/v1";
import { has, type Names } from "./lines.js";

export class Keeping {
  readonly #lines: string[];
  readonly #names: Names;
  #follow: Follow | undefined;

  /** What it tells goes to the lines. */
  constructor(lines: string[], names: Names) {
    this.#lines = lines;
    this.#names = names;
  }

  async leave(): Promise<void> {
    await this.#follow?.return();
    this.#follow = undefined;
  }

  /** Up to an event of the kind, or to the end. */
  async goOn(client: Client, sessionId: string, given: JsonObject): Promise<void> {
    const follow = (this.#follow ??= client.follow(sessionId));
    try {
      // Not a loop over the follow itself, which would end it where the loop is left.
      for (let next = await follow.next(); !next.done; next = await follow.next()) {
        const event = next.value;
        this.#lines.push(this.#names.event(event));
        if (kindOf(event) === given["kind"] && has(this.#names.payload(event), given["has"] ?? {})) return;
      }
      if (follow.ended === undefined) throw new Error("a follow is over when the session is");
      this.#lines.push(`keep_following ended ${JSON.stringify(this.#names.message(StreamEndedSchema, follow.ended))}`);
    } catch (error) {
      this.#lines.push(`keep_following ${this.#names.failure(error)}`);
    }
    await this.leave();
  }
}
