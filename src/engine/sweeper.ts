/** Continuous housekeeping that any process does for all: tasks whose time has come, and tasks whose worker died. */
import type { Signal } from "../platform/abort.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/errors.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/log.ts";

export interface SweeperDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly pollMs: number;
  /** Set after every sweep: a poll for work whose hint was lost. */
  readonly wake: Signal;
}

export async function sweep({ store, clock, log, pollMs, wake }: SweeperDeps, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    let pauseMs = pollMs;
    try {
      const reaped = await store.reap();
      if (reaped.length > 0) log.warn({ tasks: reaped.length }, "took over the tasks of a worker that is gone");
      const { nextInMs } = await store.wakeDue();
      if (nextInMs !== null) pauseMs = Math.min(pollMs, Math.max(1, nextInMs));
    } catch (error) {
      log.warn({ error: messageOf(error) }, "the store does not answer; trying again");
    }
    wake.set();
    await clock.sleep(pauseMs, signal).catch(() => undefined);
  }
}
