/** How the model gateway does: routes, models, caches. */
import type { Drill } from "./experiments.ts";

export interface GatewayState {
  /** When the process that answers began; its `models` are counted from then on. */
  since: string;
  routes: RouteState[];
  /** Those that this process called. */
  models: ModelState[];
  /** What is done on purpose now. */
  experiments: {
    drill: Pick<Drill, "share" | "source" | "ends_at">;
    /** Injected into model calls. */
    faults: number;
  };
  /** Of all processes; null: the store did not answer in time. */
  caches: GatewayCaches | null;
}

export interface RouteState {
  /** `agent/<name>`, or as the configuration calls it. */
  name: string;
  /** In the order they are tried. */
  models: string[];
  /** Those that are not called now, because their breaker is open. */
  out: string[];
}

export interface Percentiles {
  p50: number;
  p95: number;
  p99: number;
  count: number;
}

export interface ModelState {
  model: string;
  breaker: {
    state: "closed" | "open" | "half_open";
    open_until: string | null;
    consecutive_failures: number;
    /** Of the last minute. */
    calls: number;
    failures: number;
    last_failure: { at: string; code: string; message: string } | null;
  };
  /** One for each of the provider's keys that was used lately. */
  gate: GateState[];
  attempts: { answered: number; failed: number; skipped: number; hedged: number };
  /** Repeats that the retry budget still has. */
  retries_left: number;
  /** Of the last answers, in milliseconds; null: there were none. */
  ttft_ms: Percentiles | null;
  tpot_ms: Percentiles | null;
}

export interface GateState {
  /** The number of the key, from 0. */
  key: number;
  waiting: number;
  in_flight: number;
  /** Limits as they stand; null: none is known. */
  max_concurrent: number | null;
  requests_per_minute: number | null;
  tokens_per_minute: number | null;
  blocked_for_ms: number;
}

export interface GatewayCaches {
  /** How far back. */
  hours: number;
  /** Answers that were given again, by agent and model; the most asked first. */
  answers: AnswerCaching[];
  /** Prompts whose beginning the provider had in its own cache, by model; the most input first. */
  prompts: PromptCaching[];
}

export interface AnswerCaching {
  /** Null: outside programs. */
  agent: string | null;
  /** Which answered, now or when the answer was made. */
  model: string;
  /** Calls that allow an answer to be given again. */
  lookups: number;
  hits: number;
  /** An equal call was under way, and its answer was shared. */
  shared: number;
  /** No model could be reached, and an old answer stood in. */
  stale: number;
  misses: number;
  /** Of the lookups: all but the misses. */
  hit_share: number;
  /** What these answers took when a model gave them; the cost as far as it is known. */
  saved_tokens: number;
  saved_usd: number;
}

export interface PromptCaching {
  model: string;
  /** Those whose tokens the provider reported. */
  calls: number;
  input_tokens: number;
  cached_tokens: number;
  /** Of the input tokens: the cached ones. */
  hit_share: number;
}
