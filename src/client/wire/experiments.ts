/** Experiments with model calls: faults of a game day, and drills of the fallback. */

export type ModelErrorCode =
  | "model_unavailable"
  | "model_rate_limited"
  | "model_content_policy"
  | "model_context_too_long"
  | "model_auth"
  | "model_bad_request";

/** What is injected into attempts at a model call. */
export interface Fault {
  /** `provider/model`; `*` stands for any characters. */
  model: string;
  kind: "latency" | "error" | "cut" | "hang";
  /** Of the attempts; default 1. */
  share?: number;
  /** Latency, and up to so much more of it; default 1,000 and 0. */
  ms?: number;
  jitter_ms?: number;
  /** Default "model_unavailable". */
  error?: ModelErrorCode;
  retry_after_ms?: number;
  /** Pieces of the reply before a cut (default 3) or a hang (default 0). */
  after?: number;
}

export interface FaultsBody {
  faults: Fault[];
  /** Default 15 minutes. */
  for_ms?: number | undefined;
}

export interface Faults {
  /** Whether this environment allows faults at all. */
  game_day: boolean;
  items: (Fault & { ends_at: string })[];
}

export interface DrillBody {
  /** Of the calls that have a fallback; default 0.1. */
  share?: number | undefined;
  /** Default an hour. */
  for_ms?: number | undefined;
}

export interface Drill {
  /** Of the calls, now; 0: there is no drill. */
  share: number;
  source: "config" | "request" | null;
  ends_at: string | null;
  /** For each route with a fallback: what comes first, and the fallback, while there were drills. */
  routes: { primary: DrillPath; fallback: DrillPath }[];
}

export interface DrillPath {
  models: string[];
  calls: number;
  /** By these models, and not by the others of the route. */
  answered: number;
  success_share: number | null;
  latency_ms: { p50: number | null; p95: number | null };
  ttft_ms: { p50: number | null; p95: number | null };
  tokens: number;
  /** Null: the price of a model is unknown. */
  cost_usd: number | null;
  cost_per_call_usd: number | null;
}
