/** The models that this process can reach, by name: `provider/id`. Settings are passed in; nothing is read from the environment. */
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogle } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import type { LanguageModelV4 } from "@ai-sdk/provider";
import { HoldfastError } from "../../platform/errors.ts";
import type { ModelProviders } from "../gateway.ts";
import { splitModelName } from "../model-name.ts";
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
  readonly apiKey?: string | undefined;
  /** With the version in its path, as in "https://api.openai.com/v1"; default: the provider's own. */
  readonly baseURL?: string | undefined;
}

const mostModels = 256;

type ModelFactory = (id: string) => LanguageModelV4;

// Always given: without it the provider packages look into the environment by themselves.
const ownBaseURLs = {
  openai: "https://api.openai.com/v1",
  anthropic: "https://api.anthropic.com/v1",
  google: "https://generativelanguage.googleapis.com/v1beta",
};

export function createProviders(settings: ProviderSettings): ModelProviders {
  const factories: Record<string, ModelFactory> = {
    openai: keyed(settings.openai, "OPENAI_API_KEY", ({ apiKey, baseURL }) =>
      createOpenAI({ apiKey, baseURL: baseURL ?? ownBaseURLs.openai }),
    ),
    anthropic: keyed(settings.anthropic, "ANTHROPIC_API_KEY", ({ apiKey, baseURL }) =>
      createAnthropic({ apiKey, baseURL: baseURL ?? ownBaseURLs.anthropic }),
    ),
    google: keyed(settings.google, "GOOGLE_GENERATIVE_AI_API_KEY", ({ apiKey, baseURL }) =>
      createGoogle({ apiKey, baseURL: baseURL ?? ownBaseURLs.google }),
    ),
    compatible: compatible(settings.compatible),
    rules: createRulesModel,
  };
  // Kept, as a model object may take a millisecond to make: it builds the schemas by which it reads replies.
  const made = new Map<string, LanguageModelV4>();
  return {
    model(name) {
      const known = made.get(name);
      if (known) return known;
      const { provider, id } = splitModelName(name);
      const factory = Object.hasOwn(factories, provider) ? factories[provider] : undefined;
      if (!factory || id === "") throw unknownModel(name, Object.keys(factories));
      // Names may come from callers, so their number has a bound.
      if (made.size >= mostModels) made.clear();
      const model = factory(id);
      made.set(name, model);
      return model;
    },
  };
}

function unknownModel(name: string, providers: readonly string[]): HoldfastError {
  const rule = `Name it "provider/model", with one of the providers ${providers.join(", ")}.`;
  return new HoldfastError("unknown_model_provider", `There is no model "${name}". ${rule}`);
}

function keyed(
  settings: KeyedProvider | undefined,
  variable: string,
  create: (settings: KeyedProvider & { apiKey: string }) => ModelFactory,
): ModelFactory {
  const { apiKey, baseURL } = settings ?? {};
  if (!apiKey) return missing(variable);
  return create({ apiKey, baseURL });
}

function compatible({ baseURL, apiKey }: NonNullable<ProviderSettings["compatible"]> = {}): ModelFactory {
  if (!baseURL) return missing("OPENAI_COMPATIBLE_BASE_URL");
  const provider = createOpenAICompatible({
    name: "compatible",
    baseURL,
    includeUsage: true,
    ...(apiKey ? { apiKey } : {}),
  });
  return (id) => provider.chatModel(id);
}

function missing(variable: string): ModelFactory {
  return (id) => {
    throw new HoldfastError(
      "model_key_missing",
      `The model "${id}" cannot be called: set ${variable}, or take another model.`,
    );
  };
}
