/**
 * The bound of the queue. The number of waiting tasks is counted at most once a second and only while tasks are submitted;
 * in between, what this process accepts is added to it.
 */
import type { Clock } from "../platform/clock.ts";
import { UnavailableError } from "../platform/errors.ts";
import type { Store } from "../store/store.ts";
import type { Metrics } from "../telemetry/metrics.ts";

export interface Backlog {
  /** @throws UnavailableError `queue_full` */
  admit(): Promise<void>;
}

const countEveryMs = 1_000;

export function createBacklog(deps: { store: Store; clock: Clock; metrics: Metrics; mostWaiting: number }): Backlog {
  const { store, clock, metrics, mostWaiting } = deps;
  let waiting = 0;
  let countedAt = Number.NEGATIVE_INFINITY;
  let counting: Promise<void> | undefined;

  const count = async (): Promise<void> => {
    try {
      waiting = await store.backlog(mostWaiting);
      countedAt = clock.monotonic();
    } finally {
      counting = undefined;
    }
  };

  return {
    async admit() {
      if (clock.monotonic() - countedAt >= countEveryMs) {
        counting ??= count();
        await counting;
      }
      if (waiting >= mostWaiting) {
        metrics.taskRejected();
        const message = `${mostWaiting} tasks are waiting for a worker, which is the most allowed. Try again later.`;
        throw new UnavailableError("queue_full", message, { afterMs: countEveryMs });
      }
      waiting += 1;
    },
  };
}
