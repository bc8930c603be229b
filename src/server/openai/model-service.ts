/** What the gateway's endpoints are given: models, and who may call them. */
import type { ModelRoute } from "../../agent/route.ts";
import type { Prices } from "../../gateway/cost.ts";
import type { EmbeddingGateway } from "../../gateway/embeddings/embedding-gateway.ts";
import type { ModelGateway } from "../../gateway/model-gateway.ts";
import type { VirtualKeys } from "../../governance/virtual-keys.ts";
import type { UsageRow } from "../../store/queries/usage.ts";

export interface ModelService {
  readonly gateway: ModelGateway;
  readonly embeddings: EmbeddingGateway;
  readonly keys: VirtualKeys;
  /** By name: what the configuration calls a route. */
  readonly routes: ReadonlyMap<string, ModelRoute>;
  /** @throws HoldfastError `unknown_model_provider`, `model_key_missing`: nobody here can call it */
  requireModel(name: string): void;
  readonly prices: Prices;
  /** Into the ledger. */
  recordUsage(rows: readonly UsageRow[]): Promise<unknown>;
}
