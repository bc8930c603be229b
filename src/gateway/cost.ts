/**
 * What models cost and how much they can read: from the public list that ships with genai-prices, and from the
 * configuration, which knows better. Costs are integer micro-dollars; what is unknown is null and never 0.
 */
import { calcPrice } from "@pydantic/genai-prices";
import type { Usage } from "../agent/conversation.ts";
import type { FailedAttempt } from "../agent/journal.ts";
import { modelPattern } from "../agent/route.ts";
import { InvalidInputError } from "../platform/errors.ts";
import { escapePointer } from "../platform/json-pointer.ts";
import { splitModelName } from "./model-name.ts";

/** What the configuration says of a model. */
export interface ModelFacts {
  /** US dollars for a million tokens. */
  readonly price?: {
    readonly input: number;
    readonly output: number;
    /** Read from the provider's prompt cache; default: as `input`. */
    readonly cached?: number;
    /** Written to it; default: as `input`. */
    readonly cacheWrite?: number;
  };
  /** The most tokens of input and output together. */
  readonly contextWindow?: number;
}

export interface CallTime {
  /** When the call was made: prices change. Milliseconds since the epoch. */
  readonly at: number;
  /** How many tokens of the input were written to the provider's prompt cache. */
  readonly cacheWritten?: number | undefined;
}

export interface Prices {
  /** @returns null where the price is unknown */
  costMicros(model: string, usage: Usage, call: CallTime): number | null;
  /** In tokens. @returns null where it is unknown */
  contextWindow(model: string): number | null;
}

/** Our name of a provider, and its id in the price list. A server behind `compatible` has whatever price its owner set. */
const priceLists: ReadonlyMap<string, string> = new Map([
  ["openai", "openai"],
  ["anthropic", "anthropic"],
  ["google", "google"],
]);

/**
 * @param models by `provider/model`
 * @throws InvalidInputError `invalid_config`
 */
export function createPrices(models: Readonly<Record<string, ModelFacts>> = {}): Prices {
  for (const [name, facts] of Object.entries(models)) check(name, facts);
  const known = new Map(Object.entries(models));
  return {
    costMicros: (model, usage, call) => {
      const price = known.get(model)?.price;
      const micros = price === undefined ? listedMicros(model, usage, call) : ownMicros(price, usage, call);
      // Rounded up, so that many small calls never add up to nothing; the subtrahend takes the noise of floating point away.
      return micros === null ? null : Math.max(0, Math.ceil(micros - 1e-6));
    },
    contextWindow: (model) => known.get(model)?.contextWindow ?? listedWindow(model),
  };
}

function ownMicros(
  { input, output, cached = input, cacheWrite = input }: NonNullable<ModelFacts["price"]>,
  usage: Usage,
  call: CallTime,
): number {
  const written = writtenOf(usage, call);
  const fresh = usage.input - usage.cached - written;
  // Dollars for a million tokens are micro-dollars for one.
  return fresh * input + usage.cached * cached + written * cacheWrite + usage.output * output;
}

function listedMicros(model: string, usage: Usage, call: CallTime): number | null {
  const { provider, id } = splitModelName(model);
  if (provider === "rules") return 0;
  const providerId = priceLists.get(provider);
  if (providerId === undefined) return null;
  const tokens = {
    input_tokens: usage.input,
    cache_read_tokens: usage.cached,
    cache_write_tokens: writtenOf(usage, call),
    output_tokens: usage.output,
  };
  const price = calcPrice(tokens, id, { providerId, timestamp: new Date(call.at) });
  return price === null ? null : price.total_price * 1e6;
}

function writtenOf({ input, cached }: Usage, { cacheWritten = 0 }: CallTime): number {
  return Math.min(cacheWritten, input - cached);
}

function listedWindow(model: string): number | null {
  const { provider, id } = splitModelName(model);
  const providerId = priceLists.get(provider);
  if (providerId === undefined) return null;
  const none = { input_tokens: 0, output_tokens: 0 };
  return calcPrice(none, id, { providerId, timestamp: new Date(0) })?.model.context_window ?? null;
}

/** The attempts that were paid for although nothing came of them. */
export function paidIn(attempts: readonly FailedAttempt[]): { usage: Usage; costMicros: number | null }[] {
  return attempts.flatMap(({ usage, costMicros = null }) => (usage ? [{ usage, costMicros }] : []));
}

/** Null where one is unknown: a sum of what is known would be taken for the whole. */
export function sumKnown(costs: readonly (number | null)[]): number | null {
  return costs.reduce((sum, cost) => (sum === null || cost === null ? null : sum + cost), 0);
}

function check(name: string, { price = { input: 0, output: 0 }, contextWindow = 1 }: ModelFacts): void {
  const path = `/models/${escapePointer(name)}`;
  if (!modelPattern.test(name)) throw invalid(`"${name}" is no name of a model: provider/model.`, path);
  for (const [what, dollars] of Object.entries(price)) {
    if (Number.isFinite(dollars) && dollars >= 0) continue;
    throw invalid(`The price of ${name} must be dollars for a million tokens, 0 or more.`, `${path}/price/${what}`);
  }
  for (const what of ["input", "output"] as const) {
    if (price[what] === undefined) throw invalid(`The price of ${name} lacks "${what}".`, `${path}/price/${what}`);
  }
  if (Number.isInteger(contextWindow) && contextWindow > 0) return;
  throw invalid(`The context window of ${name} must be a whole number of tokens above 0.`, `${path}/contextWindow`);
}

function invalid(message: string, path: string): InvalidInputError {
  return new InvalidInputError("invalid_config", message, path);
}
