/** Which failures of a model are worth another attempt, and how long to wait before it: backoff with full jitter. */
import type { Random } from "../../platform/random.ts";
import type { ModelErrorCode } from "../model-gateway.ts";
import type { ModelFailure } from "./classify.ts";

export const backoffMs = { first: 500, longest: 8_000 };

export function isTransient(code: ModelErrorCode): boolean {
  return code === "model_unavailable" || code === "model_rate_limited";
}

/** What the provider asks to wait, and some chance, so that many do not come back together. @param tried attempts so far */
export function retryPauseMs(
  { retryAfterMs }: Pick<ModelFailure, "retryAfterMs">,
  { tried, random }: { tried: number; random: Random },
): number {
  return (retryAfterMs ?? 0) + random() * Math.min(backoffMs.longest, backoffMs.first * 2 ** (tried - 1));
}
