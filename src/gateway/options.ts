/** What a deployment may set of the gateway, and what holds if it does not. */
import type { ModelTimeouts } from "../agent/route.ts";
import { InvalidInputError } from "../platform/errors.ts";
import { defaultTimeouts } from "./call/attempt.ts";
import { defaultBreaker, type BreakerSettings } from "./resilience/breaker.ts";
import { modelLimits, type LimitPatterns } from "./gate/model-limits.ts";
import { gatherSettings, type GatherOptions } from "./embeddings/embeddings-batch.ts";
import { defaultRetryBudget, type RetryBudgetSettings } from "./resilience/retry-budget.ts";

export interface GatewayOptions {
  /** Attempts at one candidate within a call; default 3. */
  readonly attempts?: number;
  /** How long an attempt may take; a candidate's own go first. */
  readonly timeouts?: Partial<ModelTimeouts>;
  /** When a model that fails is no longer called. */
  readonly breaker?: Partial<BreakerSettings>;
  /** How many attempts may be repeats. */
  readonly retryBudget?: Partial<RetryBudgetSettings>;
  /** How calls for embeddings are gathered. */
  readonly embeddings?: GatherOptions;
  /** What providers allow, by the names of models: `{ "openai/*": { requestsPerMinute: 600 } }`. What they say holds, too. */
  readonly limits?: LimitPatterns;
}

export interface GatewaySettings {
  readonly attempts: number;
  readonly timeouts: ModelTimeouts;
  readonly breaker: BreakerSettings;
  readonly retryBudget: RetryBudgetSettings;
}

const defaultAttempts = 3;

/** @throws InvalidInputError `invalid_config` with the path of what is wrong */
export function gatewaySettings(options: GatewayOptions = {}): GatewaySettings {
  const { attempts = defaultAttempts } = options;
  const settings = {
    attempts,
    timeouts: { ...defaultTimeouts, ...options.timeouts },
    breaker: { ...defaultBreaker, ...options.breaker },
    retryBudget: { ...defaultRetryBudget, ...options.retryBudget },
  };
  modelLimits(options.limits ?? {});
  const { attempts: _attempts, ...groups } = settings;
  gatherSettings(options.embeddings);
  requireAboveZero({ attempts }, "/gateway");
  for (const [name, group] of Object.entries(groups)) requireAboveZero(group, `/gateway/${name}`);
  return settings;
}

function requireAboveZero(values: object, path: string): void {
  for (const [name, value] of Object.entries(values)) {
    if (Number.isFinite(value) && value > 0) continue;
    const message = `${path}/${name} is ${JSON.stringify(value)}, but must be a number above 0.`;
    throw new InvalidInputError("invalid_config", message, `${path}/${name}`);
  }
}
