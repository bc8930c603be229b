/**
 * Takes over the tasks of workers that died, for all processes: any of them does it, all the time.
 *
 * A process that was killed is known by its lock, which is free at once; one that stands still or is cut off by its lease,
 * which runs out. A lock that is free may also be that of a living process whose connection was cut a moment ago, so it
 * must be found free twice; and not by a process that has just come back from an outage itself, since others may only be
 * slower. Whoever is taken for dead in error is fenced by the epochs of its tasks.
 */
import type { Hub } from "../events/hub.ts";
import type { Signal } from "../platform/abort.ts";
import { createBackoff } from "../platform/backoff.ts";
import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import type { ProcessLock } from "../store/database.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/log.ts";
import { logStoreTrouble } from "../telemetry/store-trouble.ts";

export interface ReaperDeps {
  readonly store: Store;
  readonly hub: Hub;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly lock: ProcessLock;
  readonly pollMs: number;
  /** Set when there are tasks to claim. */
  readonly wake: Signal;
}

const lookEveryMs = 200;
/** A connection that was cut is back within this time, if its process lives. */
const secondLookMs = 100;
const longestPauseMs = 2_000;

export async function reap(deps: ReaperDeps, signal: AbortSignal): Promise<void> {
  const { clock, random, log, pollMs } = deps;
  const lookMs = Math.min(lookEveryMs, pollMs);
  const backoff = createBackoff(random, { firstMs: lookMs, mostMs: longestPauseMs });
  let suspected: ReadonlySet<string> = new Set();
  while (!signal.aborted) {
    let pauseMs = lookMs;
    try {
      const look = await lookOnce(deps, suspected);
      suspected = look.suspected;
      if (suspected.size > 0) pauseMs = secondLookMs;
      // Nobody else is there who could die.
      else if (look.workers <= 1) pauseMs = pollMs;
      backoff.reset();
    } catch (error) {
      suspected = new Set();
      pauseMs = backoff.nextMs();
      logStoreTrouble(log, error, "cannot look for dead workers; trying again");
    }
    await clock.sleep(pauseMs, signal).catch(() => undefined);
  }
}

interface Look {
  readonly workers: number;
  /** Locks that were found free for the first time. */
  readonly suspected: ReadonlySet<string>;
}

async function lookOnce(
  { store, hub, clock, log, lock, wake }: ReaperDeps,
  suspected: ReadonlySet<string>,
): Promise<Look> {
  const { workers, expired, freeLocks } = await store.deaths();
  const isSettled = lock.held !== null && clock.monotonic() >= lock.held.settledAt;
  const free = isSettled ? freeLocks : [];
  const dead = free.filter((key) => suspected.has(key));
  if (expired > 0 || dead.length > 0) {
    const tasks = await store.reap(dead);
    if (tasks.length > 0) {
      log.warn({ tasks: tasks.length }, "took over the tasks of a worker that is gone");
      wake.set();
      // This process may have no free slot, or not host their agents.
      hub.hint({ type: "work" });
    }
  }
  return { workers, suspected: new Set(free.filter((key) => !dead.includes(key))) };
}
