/** What a provider allows, as configured: for which models, and how much. */
import { InvalidInputError } from "../../platform/errors.ts";
import { escapePointer } from "../../platform/json-pointer.ts";
import { fitsPattern } from "../model-pattern.ts";

/** Of each model that a pattern names, with each key of its provider; all processes together keep to it. */
export interface ModelLimits {
  /** Calls under way at the same time. */
  readonly maxConcurrent?: number;
  readonly requestsPerMinute?: number;
  /** Input and output together. */
  readonly tokensPerMinute?: number;
}

/** By a model's name, in which `*` stands for anything: `openai/gpt-5`, `anthropic/*`. */
export type LimitPatterns = Readonly<Record<string, ModelLimits>>;

const fields = ["maxConcurrent", "requestsPerMinute", "tokensPerMinute"] as const;
const noLimits: ModelLimits = {};

/**
 * The limits of a model: those of the one pattern that fits and says most.
 * @throws InvalidInputError `invalid_config` with the path of what is wrong
 */
export function modelLimits(patterns: LimitPatterns): (model: string) => ModelLimits {
  const rules = Object.entries(patterns).map(([pattern, limits]) => {
    check(pattern, limits);
    return { pattern, said: pattern.replaceAll("*", "").length, limits };
  });
  rules.sort((a, b) => b.said - a.said);
  return (model) => rules.find(({ pattern }) => fitsPattern(model, pattern))?.limits ?? noLimits;
}

function check(pattern: string, limits: ModelLimits): void {
  const path = `/gateway/limits/${escapePointer(pattern)}`;
  for (const field of fields) {
    const value = limits[field];
    if (value === undefined || (Number.isSafeInteger(value) && value >= 1)) continue;
    const message = `${field} of "${pattern}" is ${value}, but must be a whole number from 1 on.`;
    throw new InvalidInputError("invalid_config", message, `${path}/${field}`);
  }
}
