/** The embedding models that this process can reach, by name: `provider/id`. */
import { createGoogle } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import type { EmbeddingModelV4 } from "@ai-sdk/provider";
import { HoldfastError } from "../../platform/errors.ts";
import type { EmbeddingProviders } from "../embeddings/embeddings.ts";
import { splitModelName } from "../model-name.ts";
import { keysIn, ownBaseURLs, type ProviderSettings } from "./registry.ts";

type Factory = (id: string, key: number) => EmbeddingModelV4;

const mostModels = 256;

export function createEmbeddingModels({ openai, google, compatible }: ProviderSettings): EmbeddingProviders {
  const factories: Readonly<Record<string, Factory>> = {
    openai: (id, key) => {
      const { baseURL = ownBaseURLs.openai } = openai ?? {};
      const apiKey = keysIn(openai?.apiKey)[key];
      if (apiKey === undefined) throw missing(id, "OPENAI_API_KEY");
      return createOpenAI({ apiKey, baseURL }).embeddingModel(id);
    },
    google: (id, key) => {
      const { baseURL = ownBaseURLs.google } = google ?? {};
      const apiKey = keysIn(google?.apiKey)[key];
      if (apiKey === undefined) throw missing(id, "GOOGLE_GENERATIVE_AI_API_KEY");
      return createGoogle({ apiKey, baseURL }).embeddingModel(id);
    },
    compatible: (id, key) => {
      const { baseURL } = compatible ?? {};
      const apiKey = keysIn(compatible?.apiKey)[key];
      if (!baseURL) throw missing(id, "OPENAI_COMPATIBLE_BASE_URL");
      const settings = { name: "compatible", baseURL, ...(apiKey !== undefined && { apiKey }) };
      return createOpenAICompatible(settings).embeddingModel(id);
    },
  };
  // Kept, as a model object may take a millisecond to make.
  const made = new Map<string, EmbeddingModelV4>();
  return {
    embedding(name, key = 0) {
      const place = `${key} ${name}`;
      const known = made.get(place);
      if (known) return known;
      const { provider, id } = splitModelName(name);
      const factory = Object.hasOwn(factories, provider) ? factories[provider] : undefined;
      if (factory === undefined || id === "") throw noEmbeddings(name, Object.keys(factories));
      const model = factory(id, key);
      // Names may come from callers, so their number has a bound.
      if (made.size >= mostModels) made.clear();
      made.set(place, model);
      return model;
    },
  };
}

function noEmbeddings(name: string, providers: readonly string[]): HoldfastError {
  const rule = `Name it "provider/model", with one of the providers ${providers.join(", ")}`;
  return new HoldfastError("unknown_model_provider", `There is no embedding model "${name.slice(0, 100)}". ${rule}.`);
}

function missing(id: string, variable: string): HoldfastError {
  const message = `The model "${id}" cannot be called: set ${variable}, or take another model.`;
  return new HoldfastError("model_key_missing", message);
}
