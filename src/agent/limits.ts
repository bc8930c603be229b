/** The ceilings of a task: which one is reached, and what a human may raise it to. */
import type { Limits } from "./definition.ts";
import type { RaisedLimits } from "./journal.ts";

/** What the ceilings look at in a task's state. */
export interface Budget {
  readonly limits: Limits;
  readonly spent: Spent;
  /** What was spent before the ceilings began to count: not zero after a replay from the start. */
  readonly spentBefore: Spent;
  /** Estimated input tokens of the next model call. */
  readonly contextTokens: number;
}

export interface Spent {
  readonly steps: number;
  readonly tokens: number;
  readonly costMicros: number;
}

export type LimitCode = "max_steps_reached" | "token_budget_exceeded" | "cost_budget_exceeded";

/** No provider answers usefully with fewer, and none of those in use allows more in one turn without being asked to. */
const leastOutputTokens = 16;
const mostOutputTokens = 8192;

/** Four characters a token: on the safe side for English and JSON, replaced by the provider's count after each turn. */
export function estimateTokens(text: string): number {
  return tokensOf(text.length);
}

export function tokensOf(chars: number): number {
  return Math.ceil(chars / 4);
}

/** The ceiling that forbids another model call, or how many tokens that call may answer with. */
export function roomForCall(budget: Budget): { reached: LimitCode } | { maxOutputTokens: number } {
  const { limits, spent, spentBefore, contextTokens } = budget;
  if (spent.steps - spentBefore.steps >= limits.maxSteps) return { reached: "max_steps_reached" };
  if (limits.costMicros !== null && spent.costMicros - spentBefore.costMicros >= limits.costMicros) {
    return { reached: "cost_budget_exceeded" };
  }
  const left = limits.tokens - (spent.tokens - spentBefore.tokens) - contextTokens;
  if (left < leastOutputTokens) return { reached: "token_budget_exceeded" };
  return { maxOutputTokens: Math.min(left, mostOutputTokens) };
}

/** What a ceiling stood at and what was used of it, for the human who is asked to raise it. */
export function describeLimit(
  { limits, spent, spentBefore }: Budget,
  reached: LimitCode,
): { used: number; ceiling: number } {
  switch (reached) {
    case "max_steps_reached":
      return { used: spent.steps - spentBefore.steps, ceiling: limits.maxSteps };
    case "token_budget_exceeded":
      return { used: spent.tokens - spentBefore.tokens, ceiling: limits.tokens };
    case "cost_budget_exceeded":
      return { used: spent.costMicros - spentBefore.costMicros, ceiling: limits.costMicros ?? 0 };
  }
}

/** The ceilings after a human said to continue: those given, and the reached one doubled if it was not given. */
export function raiseLimits(limits: Limits, reached: unknown, raised: RaisedLimits): Limits {
  const doubledIf = (code: LimitCode, value: number): number => (reached === code ? value * 2 : value);
  return {
    ...limits,
    maxSteps: raised.maxSteps ?? doubledIf("max_steps_reached", limits.maxSteps),
    tokens: raised.tokens ?? doubledIf("token_budget_exceeded", limits.tokens),
    costMicros:
      raised.costMicros ?? (limits.costMicros === null ? null : doubledIf("cost_budget_exceeded", limits.costMicros)),
  };
}
