/**
 * What a program asks of a model beyond the conversation, as the options of a provider call.
 *
 * A setting that would change the answer is never dropped in silence: the provider packages tell in a warning what they
 * leave out, and then the call is refused.
 */
import {
  UnsupportedFunctionalityError,
  type JSONSchema7,
  type LanguageModelV4CallOptions,
  type SharedV4Warning,
} from "@ai-sdk/provider";
import type { JsonObject } from "../../agent/json.ts";
import type { ModelSettings } from "../model-gateway.ts";

type CallOptions = Partial<LanguageModelV4CallOptions>;

/** @param provider the name before the slash of the candidate that is about to be called */
export function settingsOf(settings: ModelSettings, provider: string): CallOptions {
  const { temperature, topP, stop, seed, presencePenalty, frequencyPenalty, reasoningEffort } = settings;
  const own = providerOptionsOf(settings, provider);
  return {
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { topP }),
    ...(stop !== undefined && stop.length > 0 && { stopSequences: [...stop] }),
    ...(seed !== undefined && { seed }),
    ...(presencePenalty !== undefined && { presencePenalty }),
    ...(frequencyPenalty !== undefined && { frequencyPenalty }),
    ...(reasoningEffort !== undefined && { reasoning: reasoningEffort }),
    ...toolChoiceOf(settings),
    ...responseFormatOf(settings),
    ...(Object.keys(own).length > 0 && { providerOptions: { [provider]: own } }),
  };
}

function toolChoiceOf({ toolChoice }: ModelSettings): CallOptions {
  if (toolChoice === undefined) return {};
  return {
    toolChoice: typeof toolChoice === "string" ? { type: toolChoice } : { type: "tool", toolName: toolChoice.tool },
  };
}

function responseFormatOf({ responseFormat }: ModelSettings): CallOptions {
  if (responseFormat === undefined) return {};
  const { schema, name, description } = responseFormat;
  return {
    responseFormat: {
      type: "json",
      ...(schema !== undefined && { schema: schema as JSONSchema7 }),
      ...(name !== undefined && { name }),
      ...(description !== undefined && { description }),
    },
  };
}

/** What the packages know under names of their own. */
function providerOptionsOf({ parallelCalls, responseFormat }: ModelSettings, provider: string): JsonObject {
  const strict = responseFormat?.strict;
  const speaksOpenai = provider === "openai" || provider === "compatible";
  return {
    ...(strict !== undefined && speaksOpenai && { strictJsonSchema: strict }),
    ...(parallelCalls === false && oneCallOnly(provider)),
  };
}

function oneCallOnly(provider: string): JsonObject {
  switch (provider) {
    case "openai":
      return { parallelToolCalls: false };
    case "anthropic":
      return { disableParallelToolUse: true };
    case "compatible":
      return { parallel_tool_calls: false };
    default:
      throw unsupported("parallel_tool_calls: false", `${provider} has no such setting`);
  }
}

/** By the packages' names of them. A seed is a wish that no provider promises to keep. */
const changesTheAnswer = new Set([
  "temperature",
  "topP",
  "stopSequences",
  "presencePenalty",
  "frequencyPenalty",
  "responseFormat",
  "toolChoice",
  "reasoning",
  "reasoningEffort",
  "dimensions",
]);

/** @throws UnsupportedFunctionalityError if one of the warnings says that a setting was left out */
export function refuseLeftOut(warnings: readonly SharedV4Warning[]): void {
  for (const warning of warnings) {
    if (warning.type !== "unsupported" || !changesTheAnswer.has(warning.feature)) continue;
    throw unsupported(warning.feature, warning.details);
  }
}

function unsupported(setting: string, details?: string): UnsupportedFunctionalityError {
  const why = details === undefined ? "" : `: ${details}`;
  const message = `The model cannot be called with ${setting}${why}. Leave the setting out, or take another model.`;
  return new UnsupportedFunctionalityError({ functionality: setting, message });
}
