/** The most that a call may come to: what it reserves of a budget. */
import type { Prices } from "../../gateway/cost.ts";
import type { CallCost } from "../../governance/virtual-keys.ts";

/** The dearest of the models may be the one that answers; one whose price is unknown may cost anything. */
export function mostCost(
  prices: Prices,
  models: readonly string[],
  { input, output, at }: { input: number; output: number; at: number },
): CallCost {
  const usage = { input, cached: 0, output, reasoning: 0, estimated: true };
  const costs = models.map((model) => prices.costMicros(model, usage, { at }));
  const micros = costs.reduce((most, cost) => (most === null || cost === null ? null : Math.max(most, cost)), 0);
  return { micros, tokens: input + output };
}
