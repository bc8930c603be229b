/** The part of the composition root that serves models to programs from outside: see server/openai. */
import type { HoldfastConfig } from "./config.ts";
import type { Prices } from "./gateway/cost.ts";
import { gatherEmbeddings } from "./gateway/embeddings/embeddings-batch.ts";
import { createEmbeddingGateway } from "./gateway/embeddings/embeddings.ts";
import type { ModelGateway } from "./gateway/model-gateway.ts";
import { createEmbeddingModels } from "./gateway/providers/embedding-models.ts";
import type { Resilience } from "./gateway/resilience/resilience.ts";
import { namedRoutes } from "./gateway/route/named-routes.ts";
import { createProviders } from "./gateway/providers/registry.ts";
import { createVirtualKeys } from "./governance/virtual-keys.ts";
import type { Clock } from "./platform/clock.ts";
import type { NewId } from "./platform/ids.ts";
import type { Settings } from "./platform/settings.ts";
import type { ModelService } from "./server/openai/model-service.ts";
import type { Store } from "./store/store.ts";
import type { Metrics } from "./telemetry/metrics.ts";

export interface ModelServiceDeps {
  readonly gateway: ModelGateway;
  readonly resilience: Resilience;
  readonly prices: Prices;
  readonly metrics: Metrics;
  readonly store: Store;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly settings: Settings;
  readonly config: HoldfastConfig;
}

export function createModelService({
  gateway,
  prices,
  store,
  settings,
  config,
  newId,
  clock,
  ...deps
}: ModelServiceDeps): ModelService {
  const providers = createProviders(settings.providers);
  return {
    gateway,
    embeddings: gatherEmbeddings(
      createEmbeddingGateway({ ...deps, prices, providers: createEmbeddingModels(settings.providers) }),
      { clock, ...config.gateway?.embeddings },
    ),
    keys: createVirtualKeys({ store, newId, clock }),
    routes: namedRoutes(config.gateway),
    requireModel: (name) => void providers.model(name),
    prices,
    recordUsage: store.recordUsage,
  };
}
