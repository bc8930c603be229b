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
  /** Set after every sweep: a poll for work whose hint was lost. */
  readonly wake: Signal;
}

const longestPauseMs = 2_000;

export async function sweep(deps: SweeperDeps, signal: AbortSignal): Promise<void> {
  const { store, clock, random, log, pollMs, wake } = deps;
  const backoff = createBackoff(random, { firstMs: pollMs, mostMs: Math.max(pollMs, longestPauseMs) });
  while (!signal.aborted) {
    let pauseMs = pollMs;
    try {
      const { nextInMs } = await store.wakeDue();
      if (nextInMs !== null) pauseMs = Math.min(pollMs, Math.max(1, nextInMs));
      backoff.reset();
    } catch (error) {
      pauseMs = backoff.nextMs();
      logStoreTrouble(log, error, "cannot look for tasks whose time has come; trying again");
    }
    wake.set();
    await clock.sleep(pauseMs, signal).catch(() => undefined);
  }
}
