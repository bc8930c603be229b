/** The batch APIs of providers that have one: many calls are handed in together, and answered within a day. */
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import type { Experimental_BatchV4 } from "@ai-sdk/provider";
import { splitModelName } from "../model-name.ts";
import type { ProviderSettings } from "./registry.ts";

export type BatchApi = Experimental_BatchV4<{ readonly text: string }>;

export interface ProviderBatches {
  /** Those that have one here. */
  readonly providers: readonly string[];
  /** That of the model `provider/id`; null: its provider has none, or there is no key for it. */
  of(model: string): BatchApi | null;
}

/**
 * What the batch API of a model's provider is called where models are: it has limits and outages of its own, and the same for
 * all models.
 */
export function batchName(model: string): string {
  return `${splitModelName(model).provider}/batches`;
}

/** The keys that a model is called with: with a batch API the first alone. */
export function keysInUse(model: string, keys: readonly string[]): readonly string[] {
  return model === batchName(model) ? keys.slice(0, 1) : keys;
}

export function createProviderBatches({
  openai,
  anthropic,
}: Pick<ProviderSettings, "openai" | "anthropic">): ProviderBatches {
  const apis = new Map<string, BatchApi>();
  // What belongs to a batch is found with the key that sent it, so it is always the first.
  const [openaiKey, anthropicKey] = [firstKey(openai?.apiKey), firstKey(anthropic?.apiKey)];
  if (openaiKey !== "") {
    const baseURL = openai?.baseURL ?? "https://api.openai.com/v1";
    apis.set("openai", createOpenAI({ apiKey: openaiKey, baseURL }).experimental_batch());
  }
  if (anthropicKey !== "") {
    const baseURL = anthropic?.baseURL ?? "https://api.anthropic.com/v1";
    apis.set("anthropic", createAnthropic({ apiKey: anthropicKey, baseURL }).experimental_batch());
  }
  return { providers: [...apis.keys()], of: (model) => apis.get(splitModelName(model).provider) ?? null };
}

function firstKey(keys: string | undefined): string {
  return (keys ?? "").split(",")[0]?.trim() ?? "";
}
