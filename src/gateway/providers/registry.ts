/** The models that this process can reach, by name: `provider/id`. Settings are passed in; nothing is read from the environment. */
import { createHash } from "node:crypto";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogle } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import type { LanguageModelV4 } from "@ai-sdk/provider";
import { HoldfastError } from "../../platform/errors.ts";
import type { ModelProviders } from "../gateway.ts";
import { splitModelName } from "../model-name.ts";
import { createProviderFetch, type ProviderFetch } from "./provider-fetch.ts";
import { createRulesModel } from "./rules/rules-model.ts";

export interface ProviderSettings {
  /** OpenAI's Responses API. */
  readonly openai?: KeyedProvider;
  readonly anthropic?: KeyedProvider;
  readonly google?: KeyedProvider;
  /** Any server that speaks OpenAI's chat completions: vLLM, llama.cpp, Ollama, LiteLLM, OpenRouter. Local ones take no key. */
  readonly compatible?: { readonly baseURL?: string | undefined; readonly apiKey?: string | undefined };
}

export interface KeyedProvider {
  /** A comma separates several, which are used side by side. */
  readonly apiKey?: string | undefined;
  /** With the version in its path, as in "https://api.openai.com/v1"; default: the provider's own. */
  readonly baseURL?: string | undefined;
}

const mostModels = 256;

export interface Providers extends ModelProviders {
  /** The model `provider/id` with one of the provider's keys; default the first. */
  model(name: string, key?: number): LanguageModelV4;
  /**
   * What stands for each key of a model's provider, the same wherever the key is: a hash. Empty where no provider has limits,
   * as in this process, or where no call can be made.
   */
  keysOf(name: string): readonly string[];
}

/** @param key undefined: the server takes none */
type ModelFactory = (id: string, key: string | undefined) => LanguageModelV4;

interface Provider {
  readonly create: ModelFactory;
  readonly keys: readonly (string | undefined)[];
}

// Always given: without it the provider packages look into the environment by themselves.
export const ownBaseURLs = {
  openai: "https://api.openai.com/v1",
  anthropic: "https://api.anthropic.com/v1",
  google: "https://generativelanguage.googleapis.com/v1beta",
};

export function createProviders(settings: ProviderSettings): Providers {
  const fetch = createProviderFetch();
  const providers: Record<string, Provider> = {
    openai: keyed(settings.openai, "OPENAI_API_KEY", ({ apiKey, baseURL }) =>
      createOpenAI({ apiKey, baseURL: baseURL ?? ownBaseURLs.openai, fetch }),
    ),
    anthropic: keyed(settings.anthropic, "ANTHROPIC_API_KEY", ({ apiKey, baseURL }) =>
      createAnthropic({ apiKey, baseURL: baseURL ?? ownBaseURLs.anthropic, fetch }),
    ),
    google: keyed(settings.google, "GOOGLE_GENERATIVE_AI_API_KEY", ({ apiKey, baseURL }) =>
      createGoogle({ apiKey, baseURL: baseURL ?? ownBaseURLs.google, fetch }),
    ),
    compatible: compatible(settings.compatible, fetch),
    rules: { create: createRulesModel, keys: [] },
  };
  const names = Object.keys(providers);
  const providerOf = (name: string): Provider | undefined =>
    Object.hasOwn(providers, name) ? providers[name] : undefined;
  // Kept, as a model object may take a millisecond to make: it builds the schemas by which it reads replies.
  const made = new Map<string, LanguageModelV4>();
  return {
    model(name, key = 0) {
      const place = `${key} ${name}`;
      const known = made.get(place);
      if (known) return known;
      const { provider: providerName, id } = splitModelName(name);
      const provider = providerOf(providerName);
      if (!provider || id === "") throw unknownModel(name, names);
      // Names may come from callers, so their number has a bound.
      if (made.size >= mostModels) made.clear();
      const model = provider.create(id, provider.keys[key]);
      made.set(place, model);
      return model;
    },
    keysOf: (name) => providerOf(splitModelName(name).provider)?.keys.map(hashOf) ?? [],
  };
}

/** Of a key or none; says nothing of it to whoever does not have it. */
function hashOf(key: string | undefined): string {
  return key === undefined ? "none" : createHash("sha256").update(key).digest("hex").slice(0, 16);
}

export function keysIn(text: string | undefined): string[] {
  return (text ?? "").split(",").flatMap((key) => key.trim() || []);
}

function unknownModel(name: string, providers: readonly string[]): HoldfastError {
  const rule = `Name it "provider/model", with one of the providers ${providers.join(", ")}.`;
  return new HoldfastError("unknown_model_provider", `There is no model "${name}". ${rule}`);
}

function keyed(
  { apiKey: text, baseURL }: KeyedProvider = {},
  variable: string,
  connect: (settings: KeyedProvider & { apiKey: string }) => (id: string) => LanguageModelV4,
): Provider {
  const keys = keysIn(text);
  const create: ModelFactory = (id, apiKey) => {
    if (apiKey === undefined) throw keyMissing(id, variable);
    return connect({ apiKey, baseURL })(id);
  };
  return { create, keys };
}

function compatible(
  { baseURL, apiKey: text }: NonNullable<ProviderSettings["compatible"]> = {},
  fetch: ProviderFetch,
): Provider {
  const keys = keysIn(text);
  const create: ModelFactory = (id, apiKey) => {
    if (!baseURL) throw keyMissing(id, "OPENAI_COMPATIBLE_BASE_URL");
    const speaks = { includeUsage: true, supportsStructuredOutputs: true };
    const settings = { name: "compatible", baseURL, fetch, ...speaks, ...(apiKey !== undefined && { apiKey }) };
    return createOpenAICompatible(settings).chatModel(id);
  };
  if (!baseURL) return { create, keys: [] };
  return { create, keys: keys.length === 0 ? [undefined] : keys };
}

function keyMissing(id: string, variable: string): HoldfastError {
  return new HoldfastError(
    "model_key_missing",
    `The model "${id}" cannot be called: set ${variable}, or take another model.`,
  );
}
