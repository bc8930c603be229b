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

// setTimeout overflows to 1 ms beyond this.
const longestTimerMs = 2 ** 31 - 1;

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
      const timeout = setTimeout(
        () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        },
        Math.min(ms, longestTimerMs),
      );
      signal?.addEventListener("abort", onAbort, { once: true });
    }),
  timer: (ms, run) => {
    const timeout = setTimeout(run, Math.min(ms, longestTimerMs));
    timeout.unref();
    return () => clearTimeout(timeout);
  },
};
