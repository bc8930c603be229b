/** The price of a call in integer micro-dollars, from the public price list that ships with genai-prices. */
import { calcPrice } from "@pydantic/genai-prices";
import type { Usage } from "../agent/conversation.ts";
import { splitModelName } from "./model-name.ts";

/** Our name of a provider, and its id in the price list. A server behind `compatible` has whatever price its owner set. */
const priceLists: Record<string, string> = { openai: "openai", anthropic: "anthropic", google: "google" };

/** @returns null where the price is unknown */
export function costMicros(model: string, usage: Usage, cacheWritten = 0): number | null {
  const { provider, id } = splitModelName(model);
  if (provider === "rules") return 0;
  const providerId = priceLists[provider];
  if (providerId === undefined) return null;
  const tokens = {
    input_tokens: usage.input,
    cache_read_tokens: usage.cached,
    cache_write_tokens: Math.min(cacheWritten, usage.input - usage.cached),
    output_tokens: usage.output,
  };
  const price = calcPrice(tokens, id, { providerId });
  // Rounded up, so that many small calls never add up to nothing; the subtrahend takes the noise of floating point away.
  return price === null ? null : Math.max(0, Math.ceil(price.total_price * 1e6 - 1e-6));
}
