/** Stopping: a signal that follows others, and waiting that ends with a signal. */

// A signal has one listener, however many follow it: Node.js warns of more than ten. (AbortSignal.any needs none, and in
// Node.js 20 a signal that lives as long as a program gathers something with each.)
const FOLLOWERS = new WeakMap<AbortSignal, Set<AbortController>>();

/** Aborted when one of the signals is. Abort it at the end: that lets go of them. */
export function linked(...signals: (AbortSignal | undefined)[]): AbortController {
  const own = new AbortController();
  for (const signal of signals) {
    if (signal === undefined || own.signal.aborted) continue;
    const followers = followersOf(signal).add(own);
    own.signal.addEventListener("abort", () => followers.delete(own));
    if (signal.aborted) own.abort(signal.reason);
  }
  return own;
}

function followersOf(signal: AbortSignal): Set<AbortController> {
  const followers = FOLLOWERS.get(signal) ?? new Set();
  if (!FOLLOWERS.has(signal)) {
    signal.addEventListener("abort", () => {
      for (const follower of followers) follower.abort(signal.reason);
    });
  }
  FOLLOWERS.set(signal, followers);
  return followers;
}

/** What the work gives, or the signal's reason as soon as it is aborted; what comes of the work after that is lost. */
export async function unlessAborted<T>(work: () => T | PromiseLike<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const own = linked(signal);
  const stopped = new Promise<never>((_, reject) => {
    own.signal.addEventListener("abort", () => {
      // A signal's reason is whatever its owner says.
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
      reject(own.signal.reason);
    });
  });
  try {
    // In a promise of its own, so that what the work throws at once is a rejection, too, and the race has begun.
    const working = new Promise<T>((done) => {
      done(work());
    });
    return await Promise.race([working, stopped]);
  } finally {
    own.abort();
  }
}

/** Wait, unless the signal is aborted first: then its reason is thrown. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const own = linked(signal);
  const timer = setTimeout(() => {
    own.abort();
  }, ms);
  await new Promise((resolve) => {
    own.signal.addEventListener("abort", resolve);
  });
  clearTimeout(timer);
  signal.throwIfAborted();
}
