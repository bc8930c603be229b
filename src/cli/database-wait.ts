/** A service may start before its database does: it waits for it, for a bounded time. */
import { createBackoff } from "../platform/backoff.ts";
import type { Clock } from "../platform/clock.ts";
import { HoldfastError } from "../platform/errors.ts";
import type { Random } from "../platform/random.ts";
import type { Logger } from "../telemetry/log.ts";

export interface DatabaseWait {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** 0: it does not wait. */
  readonly waitMs: number;
}

const pauseMs = { firstMs: 500, mostMs: 5_000 };

/** Starts, again and again while the database does not answer. What waiting does not mend is thrown at once. */
export async function startWhenDatabaseAnswers<Started>(
  { clock, random, log, waitMs }: DatabaseWait,
  start: () => Promise<Started>,
): Promise<Started> {
  const giveUpAt = clock.monotonic() + waitMs;
  const backoff = createBackoff(random, pauseMs);
  // Bounded by the time it may take.
  for (let tried = 1; ; tried++) {
    try {
      return await start();
    } catch (error) {
      const leftMs = giveUpAt - clock.monotonic();
      const isAway = error instanceof HoldfastError && error.code === "database_unreachable" && error.retry !== "never";
      if (!isAway || leftMs <= 0) throw error;
      if (tried === 1) log.warn({ error: error.message, waitMs }, "the database does not answer; waiting for it");
      await clock.sleep(Math.min(backoff.nextMs(), leftMs));
    }
  }
}
