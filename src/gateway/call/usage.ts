/** What a call used: the provider's numbers made consistent, and an estimate in place of what it did not report. */
import type { LanguageModelV4Usage } from "@ai-sdk/provider";
import type { AssistantPart, Usage } from "../../agent/conversation.ts";
import type { ModelRequest } from "../model-gateway.ts";

const charsPerToken = 4;

export function usageOf(
  reported: LanguageModelV4Usage,
  exchange: { request: Pick<ModelRequest, "system" | "messages" | "tools">; parts: readonly AssistantPart[] },
): Usage {
  const reasoning = reported.outputTokens.reasoning ?? 0;
  // A reply that reports no tokens for what was surely sent or said reports nothing.
  const input = reported.inputTokens.total || null;
  const output = reported.outputTokens.total || (exchange.parts.length === 0 ? 0 : null);
  const { system, messages, tools } = exchange.request;
  return {
    input: input ?? estimateTokens({ system, messages, tools }),
    cached: Math.min(reported.inputTokens.cacheRead ?? 0, input ?? 0),
    output:
      output === null ? estimateTokens(exchange.parts) : output + (countsReasoningApart(reported) ? reasoning : 0),
    reasoning: output === null ? 0 : reasoning,
    estimated: input === null || output === null,
  };
}

/** Some providers (xAI) leave reasoning out of the output tokens and count it in the total alone. */
function countsReasoningApart(reported: LanguageModelV4Usage): boolean {
  const { total = 0, reasoning = 0 } = reported.outputTokens;
  if (reasoning === 0) return false;
  return reasoning > total || reported.raw?.["total_tokens"] === (reported.inputTokens.total ?? 0) + total + reasoning;
}

/** From the length of the text; signatures and the like (`provider`) are no text. */
function estimateTokens(said: unknown): number {
  const text = JSON.stringify(said, (key, value: unknown) => (key === "provider" ? undefined : value));
  return Math.ceil(text.length / charsPerToken);
}
