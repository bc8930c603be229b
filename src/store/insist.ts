/** A write that is safe to repeat is tried again while the database is away: for so long, and no longer. */
import type { Clock } from "../platform/clock.ts";
import { StoreError } from "./store-error.ts";

export interface Insistence {
  readonly clock: Clock;
  readonly forMs: number;
  /** No write is tried again. */
  readonly signal: AbortSignal;
}

/** @throws StoreError, the last one; the signal's reason */
export async function insist<Result>(
  write: () => Promise<Result>,
  { clock, forMs, signal }: Insistence,
): Promise<Result> {
  const giveUpAt = clock.monotonic() + forMs;
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if (!mayPass(error)) throw error;
      const pauseMs = error.retry === "now" ? 10 : error.retry.afterMs;
      if (clock.monotonic() + pauseMs > giveUpAt) throw error;
      await clock.sleep(pauseMs, signal);
    }
  }
}

/** Whether the same write may succeed later. */
export function mayPass(
  error: unknown,
): error is StoreError & { readonly retry: Exclude<StoreError["retry"], "never"> } {
  return error instanceof StoreError && error.retry !== "never";
}
