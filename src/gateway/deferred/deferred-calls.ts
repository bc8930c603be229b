/** Model calls that may take their time: written down here, sent and fetched by the batch keeper. */
import { modelsOf, type ModelRoute } from "../../agent/route.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Prices } from "../cost.ts";
import type { ModelReply, ModelRequest } from "../model-gateway.ts";
import { splitModelName } from "../model-name.ts";
import { callOptionsOf } from "../call/prompt.ts";
import type { ProviderBatches } from "../providers/batches.ts";
import { errorOf, replyOf, type Outcome } from "./outcome.ts";

export interface DeferredCalls {
  /** The first of the route whose provider has a batch API; null: there is none, and calls are made as ever. */
  modelOf(route: ModelRoute): string | null;
  /**
   * Writes the call down if that was not done, and says what has become of it.
   * @throws ModelCallError what the provider refused it for
   */
  exchange(call: DeferredExchange): Promise<ModelReply | "waiting" | "given_up">;
}

export interface DeferredExchange {
  /** A UUID that the journal has. */
  readonly id: string;
  readonly taskId: string;
  readonly tenant: string;
  readonly model: string;
  readonly request: Pick<ModelRequest, "system" | "messages" | "tools" | "maxOutputTokens" | "settings">;
  /** Milliseconds since the epoch. From then on it is given up if nothing has come of it. */
  readonly until: number;
}

export interface DeferredStore {
  keepDeferred(call: {
    id: string;
    taskId: string;
    tenant: string;
    model: string;
    request: object;
    expiresInMs: number;
  }): Promise<{ outcome: object | null }>;
  withdrawDeferred(id: string): Promise<{ outcome: object | null }>;
}

export interface DeferredCallsDeps {
  readonly store: DeferredStore;
  readonly batches: ProviderBatches;
  readonly prices: Prices;
  readonly clock: Clock;
}

export function createDeferredCalls({ store, batches, prices, clock }: DeferredCallsDeps): DeferredCalls {
  return {
    modelOf: (route) => modelsOf(route).find((model) => batches.of(model) !== null) ?? null,
    async exchange({ id, taskId, tenant, model, request, until }) {
      const options = callOptionsOf(request, splitModelName(model).provider);
      const expiresInMs = until - clock.now();
      const kept = await store.keepDeferred({ id, taskId, tenant, model, request: options, expiresInMs });
      const waits = kept.outcome === null && expiresInMs > 0;
      if (waits) return "waiting";
      const outcome = (kept.outcome ?? (await store.withdrawDeferred(id)).outcome) as Outcome;
      switch (outcome.status) {
        case "succeeded":
          return replyOf(outcome.result, { model, request, prices, at: clock.now() });
        case "failed":
          throw errorOf(outcome.error, { model, at: clock.now() });
        case "expired":
        case "withdrawn":
        case "late":
          return "given_up";
      }
    },
  };
}
