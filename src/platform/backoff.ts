/** Pauses between attempts: each up to twice the one before, half of it chance, so that many do not come back together. */
import type { Random } from "./random.ts";

export interface Backoff {
  /** How long to wait after another failure. */
  nextMs(): number;
  /** An attempt succeeded. */
  reset(): void;
}

export function createBackoff(random: Random, { firstMs, mostMs }: { firstMs: number; mostMs: number }): Backoff {
  let pauseMs = firstMs;
  return {
    nextMs() {
      const ms = (pauseMs * (1 + random())) / 2;
      pauseMs = Math.min(pauseMs * 2, mostMs);
      return ms;
    },
    reset() {
      pauseMs = firstMs;
    },
  };
}
