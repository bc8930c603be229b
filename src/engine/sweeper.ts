/** Continuous housekeeping that any process does for all: tasks whose time has come are runnable again. */
import type { Signal } from "../platform/abort.ts";
import { createBackoff } from "../platform/backoff.ts";
import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/log.ts";
import { logStoreTrouble } from "../telemetry/store-trouble.ts";

export interface SweeperDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly pollMs: number;
  /** Set when tasks wait, of which a hint may have been lost; and now and then, for what else a worker has to do. */
  readonly wake: Signal;
  readonly longestQuietMs: number;
}

const longestPauseMs = 2_000;

export async function sweep(deps: SweeperDeps, signal: AbortSignal): Promise<void> {
  const { store, clock, random, log, pollMs, wake, longestQuietMs } = deps;
  let wokeAt = clock.monotonic();
  const backoff = createBackoff(random, { firstMs: pollMs, mostMs: Math.max(pollMs, longestPauseMs) });
  while (!signal.aborted) {
    let pauseMs = pollMs;
    let mayRun = true;
    try {
      const due = await store.wakeDue();
      mayRun = due.mayRun;
      if (due.nextInMs !== null) pauseMs = Math.min(pollMs, Math.max(1, due.nextInMs));
      backoff.reset();
    } catch (error) {
      pauseMs = backoff.nextMs();
      logStoreTrouble(log, error, "cannot look for tasks whose time has come; trying again");
    }
    if (mayRun || clock.monotonic() - wokeAt >= longestQuietMs) {
      wokeAt = clock.monotonic();
      wake.set();
    }
    await clock.sleep(pauseMs, signal).catch(() => undefined);
  }
}
