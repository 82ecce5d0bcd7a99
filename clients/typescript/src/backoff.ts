/** How long to wait before asking again. */

/** Milliseconds, at most, before the second attempt. */
const FIRST = 100;
/** Milliseconds, at most, between any two attempts: a server that is back is found within this. */
const LONGEST = 3_000;
const GROWTH = 1.7;

/** Delays that grow, with jitter, so that clients that lost one server do not all come back at once. */
export class Backoff {
  #ceiling = FIRST;

  /** Milliseconds: between half the present ceiling and all of it, and never less than the server asked for. */
  next(atLeast = 0): number {
    const delay = this.#ceiling * (0.5 + Math.random() / 2);
    this.#ceiling = Math.min(this.#ceiling * GROWTH, LONGEST);
    return Math.max(delay, atLeast);
  }

  /** Begin anew: something went well. */
  reset(): void {
    this.#ceiling = FIRST;
  }
}
