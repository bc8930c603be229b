/** Time, behind an interface: the real clock here, a virtual one in `holdfast/testing`. */

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** A monotonic reading in milliseconds, for durations. */
  monotonic(): number;
  /** Resolves after `ms`; rejects with the signal's reason as soon as it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` once after `ms`; the answer cancels it. Never keeps the process alive. */
  timer(ms: number, run: () => void): () => void;
}

// Beyond this setTimeout overflows to 1 ms.
const longestTimerMs = 2 ** 31 - 1;

/** On a busy machine what is to be waited for may have passed already. */
function delayOf(ms: number): number {
  return Math.max(0, Math.min(ms, longestTimerMs));
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = (): void => {
        clearTimeout(timeout);
        reject(signal?.reason);
      };
      const timeout = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, delayOf(ms));
      signal?.addEventListener("abort", onAbort, { once: true });
    }),
  timer: (ms, run) => {
    const timeout = setTimeout(run, delayOf(ms));
    timeout.unref();
    return () => clearTimeout(timeout);
  },
};
