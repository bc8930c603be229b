/**
 * What calls models, built once for a process, from the outside in: the cache of answers, the drill, the gateway with its
 * gate and the faults of a game day.
 */
import type { HoldfastConfig } from "./config.ts";
import { cacheAnswers } from "./gateway/cache/answer-cache.ts";
import { CacheLookups } from "./gateway/cache/cache-lookups.ts";
import type { Prices } from "./gateway/cost.ts";
import { createExperiments, type Experiments } from "./gateway/experiments/experiments.ts";
import { createGate } from "./gateway/gate/create-gate.ts";
import { modelLimits } from "./gateway/gate/model-limits.ts";
import { createModelGateway } from "./gateway/gateway.ts";
import type { ModelGateway, ModelStatus } from "./gateway/model-gateway.ts";
import { keysInUse } from "./gateway/providers/batches.ts";
import { createProviders, type Providers } from "./gateway/providers/registry.ts";
import { createResilience, type GatewayObserver, type Resilience } from "./gateway/resilience/resilience.ts";
import type { Clock } from "./platform/clock.ts";
import type { NewId } from "./platform/ids.ts";
import type { Random } from "./platform/random.ts";
import type { Settings } from "./platform/settings.ts";
import type { Store } from "./store/store.ts";
import type { Logger } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";

export interface GatewayOpening {
  readonly config: HoldfastConfig;
  readonly settings: Settings;
  readonly parts: {
    readonly clock: Clock;
    readonly random: Random;
    readonly newId: NewId;
    readonly log: Logger;
    readonly prices: Prices;
  };
  readonly store: Store;
  readonly metrics: Metrics;
  /** Takes the place of the real one, for tests and simulations. */
  readonly gateway: ModelGateway | undefined;
  /** What is opened is closed with it. */
  readonly opened: AsyncDisposableStack;
}

export interface OpenedGateway {
  readonly gateway: ModelGateway;
  readonly experiments: Experiments;
  /** What everything goes through that is sent to providers. */
  readonly resilience: Resilience;
  readonly caches: CacheLookups;
  /** How the models do that were called. */
  readonly modelStatus: () => readonly ModelStatus[];
}

/** @throws HoldfastError `game_day_off` */
export function openGateway(opening: GatewayOpening): OpenedGateway {
  const { config, settings, parts, store, metrics, opened } = opening;
  const experiments = createExperiments({
    ...parts,
    store,
    options: config.gateway,
    gameDay: settings.gameDay,
    onInjected: (fault) => metrics.faultInjected(fault),
    onDrilled: (call) => metrics.drilled(call),
  });
  const providers = createProviders(settings.providers);
  const resilience = openResilience(opening, providers);
  const { faults } = experiments;
  const direct = opening.gateway ?? createModelGateway({ ...parts, providers, resilience, faults });
  const caches = new CacheLookups({ ...parts, store });
  opened.defer(() => caches.stop());
  const gateway = cacheAnswers(experiments.drill.around(direct), {
    store,
    onLookup(lookup) {
      metrics.cacheLookup(lookup);
      caches.count(lookup);
    },
    onTrouble: (message) => parts.log.warn({ message }, "the cache of answers does not work"),
  });
  experiments.start();
  opened.defer(() => experiments.stop());
  return { gateway, experiments, caches, resilience, modelStatus: () => direct.status?.() ?? [] };
}

function openResilience(
  { config, parts, store, metrics, opened }: GatewayOpening,
  { keysOf }: Pick<Providers, "keysOf">,
): Resilience {
  const limitsOf = modelLimits(config.gateway?.limits ?? {});
  const keysInGate = (model: string): readonly string[] => keysInUse(model, keysOf(model));
  const gate = createGate({ ...parts, keysOf: keysInGate, store, metrics, process: parts.newId(), limitsOf });
  opened.defer(() => gate.close());
  opened.defer(metrics.observeGates(() => gate.status()));
  return createResilience({ ...parts, ...config.gateway, gate, observer: observe(parts, metrics) });
}

function observe({ log }: { log: Logger }, metrics: Metrics): GatewayObserver {
  return {
    overhead: (ms) => metrics.gatewayOverhead(ms),
    retried: (model) => metrics.modelRetried(model),
    hedged: (model, winner) => metrics.modelHedged(model, winner),
    breaker(model, state) {
      metrics.breakerChanged(model, state);
      if (state === "open") log.warn({ model }, "a model is out: it is not called for a while");
      if (state === "closed") log.warn({ model }, "a model answers again");
    },
  };
}
