/** How long to wait before asking again, and when to give up. */

import type { ManagedAgentsError } from "./errors.js";

/** Milliseconds, at most, before the second attempt. */
const FIRST = 100;
/** Milliseconds, at most, between any two attempts: a server that is back is found within this. */
const LONGEST = 3_000;
const GROWTH = 1.7;

/** Delays that grow, with jitter, so that clients that lost one server do not all come back at once. */
export class Patience {
  #ceiling = FIRST;
  #since: number | undefined;

  /** `since`: when the time began to run; unless given it does with the first failure. */
  constructor(since?: number) {
    this.#since = since;
  }

  /** Milliseconds to wait after the error, and no less than the server asked for. Throws it where that is too long. */
  next(error: ManagedAgentsError, limitMs: number): number {
    const now = performance.now();
    this.#since ??= now;
    const delay = Math.max(this.#ceiling * (0.5 + Math.random() / 2), error.retryAfterMs ?? 0);
    this.#ceiling = Math.min(this.#ceiling * GROWTH, LONGEST);
    if (now - this.#since + delay > limitMs) throw error;
    return delay;
  }

  /** Begin anew: something went well. */
  reset(): void {
    this.#ceiling = FIRST;
    this.#since = undefined;
  }
}
