/**
 * Brings results from the outbox to the broker, each at least once: a batch is taken for a while, published and deleted.
 * Who dies in between leaves it to be taken again; the broker or the consumer knows it by its id.
 */
import { resultOf } from "../../engine/agent-result.ts";
import type { Broker, ResultMessage } from "../../events/broker.ts";
import type { Hub } from "../../events/hub.ts";
import { createSignal } from "../../platform/abort.ts";
import { createBackground } from "../../platform/background.ts";
import type { Clock } from "../../platform/clock.ts";
import { messageOf } from "../../platform/errors.ts";
import type { OutgoingResult } from "../../store/queries/results.ts";
import { isUnavailable } from "../../store/store-error.ts";
import type { Store } from "../../store/store.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { toWireResult } from "../http/wire.ts";

export interface PublisherDeps {
  readonly store: Store;
  readonly broker: Broker;
  readonly hub: Hub;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** How often the outbox is looked at without a sign that there is something in it. */
  readonly pollMs: number;
}

export interface ResultPublisher {
  /** Looks at once when this task ends in this process. */
  watch(taskId: string): void;
  /** Publishes what is there, and stops. */
  stop(): Promise<void>;
}

const batch = 100;
/** A batch that is not published by then may be taken by another. */
const leaseMs = 30_000;
/** Tasks whose end is waited for, of which some end elsewhere. Beyond it all are forgotten, and found by looking. */
const mostWatched = 10_000;
const stopWithinMs = 2_000;

export function publishResults(deps: PublisherDeps): ResultPublisher {
  const { hub, clock, pollMs, log, broker } = deps;
  const background = createBackground((_name, error) => log.error({ error: messageOf(error) }, "results"));
  const wake = createSignal();
  const stopping = new AbortController();
  const watched = new Set<string>();

  background.start("results", async () => {
    const look = createLook(deps);
    while (!stopping.signal.aborted) {
      if (broker.isReachable && (await look()) === batch) continue;
      const cancelTimer = clock.timer(pollMs, () => wake.set());
      await wake.wait(stopping.signal);
      cancelTimer();
    }
    // Of what ended while this process stopped; another one does the rest.
    if (broker.isReachable) await look();
  });

  // Of a task that runs elsewhere no news comes, nor is any asked for: its result is found by looking.
  const stopListening = hub.onNews(({ type, taskId }) => {
    if ((type === "ended" || type === "changed") && watched.delete(taskId)) wake.set();
  });

  return {
    watch(taskId) {
      if (watched.size >= mostWatched) watched.clear();
      watched.add(taskId);
    },
    async stop() {
      stopListening();
      stopping.abort();
      const gaveUp = new AbortController();
      const settled = background.settled().finally(() => gaveUp.abort());
      await Promise.race([settled, clock.sleep(stopWithinMs, gaveUp.signal).catch(() => undefined)]);
    },
  };
}

/** Publishes a batch, and answers how many results there were. Says once that it cannot. */
function createLook(deps: PublisherDeps): () => Promise<number> {
  const { store, broker, log, metrics } = deps;
  let failing = false;
  return async () => {
    try {
      const taken = await store.takeResults({ carrier: broker.name, limit: batch, leaseMs });
      if (taken.length === 0) return 0;
      await broker.publish(await Promise.all(taken.map((result) => toMessage(result, deps))));
      await store.deleteResults(taken.map(({ rowId }) => rowId));
      metrics.resultsPublished(taken.length);
      failing = false;
      return taken.length;
    } catch (error) {
      // That the database is away is told by the store.
      if (isUnavailable(error)) return 0;
      if (!failing) log.warn({ error: messageOf(error) }, "cannot publish results; trying again");
      failing = true;
      return 0;
    }
  };
}

/** The id is the task's, so that it is the same at every attempt; a replayed task that ends again has another result. */
async function toMessage(result: OutgoingResult, deps: PublisherDeps): Promise<ResultMessage> {
  const { id, replays, agent, sessionId } = result;
  return {
    id: replays === 0 ? id : `${id}.${replays}`,
    key: sessionId,
    body: { ...toWireResult(await resultOf(result, deps)), agent, replays },
  };
}
