/** The part of the composition root that sends deferred calls through the batch APIs of the providers. */
import type { BatchTuning } from "./gateway/deferred/batch-tuning.ts";
import { keepBatches } from "./gateway/deferred/batch-keeper.ts";
import { createDeferredCalls, type DeferredCalls } from "./gateway/deferred/deferred-calls.ts";
import type { Prices } from "./gateway/cost.ts";
import { createProviderBatches } from "./gateway/providers/batches.ts";
import type { Resilience } from "./gateway/resilience/resilience.ts";
import type { Clock } from "./platform/clock.ts";
import type { NewId } from "./platform/ids.ts";
import type { Random } from "./platform/random.ts";
import type { Settings } from "./platform/settings.ts";
import type { Store } from "./store/store.ts";
import type { Logger } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";

export interface DeferralDeps {
  readonly settings: Settings;
  readonly store: Store;
  readonly prices: Prices;
  readonly clock: Clock;
  readonly random: Random;
  readonly newId: NewId;
  readonly log: Logger;
  readonly resilience: Resilience;
  readonly metrics: Metrics;
  readonly batches: BatchTuning;
}

export interface Deferral {
  readonly calls: DeferredCalls;
  /** Sends and fetches, if any provider here has a batch API. @returns a function that stops it */
  keep(): () => Promise<void>;
}

export function createDeferral({ settings, ...deps }: DeferralDeps): Deferral {
  const batches = createProviderBatches(settings.providers);
  return {
    calls: createDeferredCalls({ ...deps, batches }),
    keep: () =>
      batches.providers.length > 0 ? keepBatches({ ...deps, ...deps.batches, batches }) : () => Promise.resolve(),
  };
}
