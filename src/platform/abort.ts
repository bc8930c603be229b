/** Waiting for whichever comes first, without leaving listeners behind. */
import type { Clock } from "./clock.ts";

/**
 * Aborts as soon as one of them does, until it is released. `AbortSignal.any` leaves nothing to be released, and takes ten
 * times as long.
 */
export function eitherOf(...signals: readonly AbortSignal[]): { readonly signal: AbortSignal; release(): void } {
  const either = new AbortController();
  const stops = signals.map((signal) => {
    const abort = (): void => either.abort(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort);
    return () => signal.removeEventListener("abort", abort);
  });
  return { signal: either.signal, release: () => stops.forEach((stop) => stop()) };
}

/** A condition that can be signalled again and again; signals while nobody waits are remembered once. */
export interface Signal {
  set(): void;
  /** Resolves at the next `set` (at once if one is pending) or when the signal aborts. Never rejects. */
  wait(signal: AbortSignal): Promise<void>;
}

export function createSignal(): Signal {
  let pending = false;
  let release: (() => void) | undefined;
  return {
    set() {
      pending = true;
      release?.();
    },
    wait(signal) {
      return new Promise((resolve) => {
        const done = (): void => {
          signal.removeEventListener("abort", done);
          release = undefined;
          pending = false;
          resolve();
        };
        if (pending || signal.aborted) return done();
        release = done;
        signal.addEventListener("abort", done, { once: true });
      });
    },
  };
}

/** For those who wait as long as it takes. A new one each time: a signal keeps whoever listens to it. */
export function neverAborts(): AbortSignal {
  return new AbortController().signal;
}

export interface TimeLimit {
  readonly clock: Clock;
  readonly ms: number;
  /** Ends the work before its time. */
  readonly signal: AbortSignal;
  /** What it ends with when the time is up. */
  readonly late: () => unknown;
}

/**
 * Does work that ends, at the latest, when its time is up: at once, even if the work does not listen to the signal it is given.
 * @throws `late`'s error, the signal's reason, or what the work does
 */
export async function withTimeLimit<T>(
  { clock, ms, signal, late }: TimeLimit,
  work: (signal: AbortSignal) => PromiseLike<T>,
): Promise<T> {
  signal.throwIfAborted();
  const controller = new AbortController();
  const ended = Promise.withResolvers<never>();
  const end = (reason: unknown): void => {
    controller.abort(reason);
    ended.reject(reason);
  };
  const onAbort = (): void => end(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const cancel = clock.timer(ms, () => end(late()));
  try {
    return await Promise.race([ended.promise, work(controller.signal)]);
  } finally {
    cancel();
    signal.removeEventListener("abort", onAbort);
  }
}
