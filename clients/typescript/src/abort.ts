/** Stopping: signals that follow other signals, and waiting that ends with a signal. */

/**
 * A signal that follows others, and can be aborted by itself.
 *
 * Let it go with `release`: a signal that lives as long as a program would gather listeners. (AbortSignal.any leaves
 * that to the garbage collector, and in Node.js 20 something stays behind.)
 */
export class Linked {
  readonly #controller = new AbortController();
  readonly #releases: (() => void)[] = [];

  constructor(...sources: (AbortSignal | undefined)[]) {
    for (const source of sources) {
      if (source === undefined) continue;
      const follow = (): void => {
        this.abort(source.reason);
      };
      if (source.aborted) follow();
      source.addEventListener("abort", follow);
      this.#releases.push(() => {
        source.removeEventListener("abort", follow);
      });
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason?: unknown): void {
    this.#controller.abort(reason);
  }

  release(): void {
    for (const release of this.#releases.splice(0)) release();
  }
}

/** What the work gives, or the signal's reason as soon as it is aborted; what comes of the work after that is lost. */
export function unlessAborted<T>(work: () => T | PromiseLike<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const stop = (): void => {
      // A signal's reason is whatever its owner says.
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
      reject(signal.reason);
    };
    signal.addEventListener("abort", stop);
    // In a promise of its own, so that what the work throws at once is a rejection, too.
    const working = new Promise<T>((done) => {
      done(work());
    });
    void working.then(resolve, reject).finally(() => {
      signal.removeEventListener("abort", stop);
    });
  });
}

/** Wait, unless the signal is aborted first: then its reason is thrown. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  try {
    await unlessAborted(() => over, signal);
  } finally {
    clearTimeout(timer);
  }
}

/** Work that ends with its owner: the first failure stops the rest, and nothing is at work after `end`. */
export class Tasks {
  readonly #stop: Linked;
  readonly #running = new Set<Promise<void>>();

  constructor(signal?: AbortSignal) {
    this.#stop = new Linked(signal);
  }

  /** Aborted when the owner's signal is, when a task failed (with its error as the reason), and at the end. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Begin a task; what is returned stops it alone. */
  start(work: (signal: AbortSignal) => Promise<void>): AbortController {
    const own = new AbortController();
    const link = new Linked(this.signal, own.signal);
    const running = work(link.signal)
      .catch((error: unknown) => {
        if (!link.signal.aborted) this.#stop.abort(error);
      })
      .finally(() => {
        link.release();
        this.#running.delete(running);
      });
    this.#running.add(running);
    return own;
  }

  /** Stop what is still at work, and wait until it is. */
  async end(): Promise<void> {
    this.#stop.abort();
    this.#stop.release();
    await Promise.all(this.#running);
  }
}
