/**
 * Where a provider may cut a prompt to keep its beginning, so that the next call pays a fraction for it.
 *
 * The order of a prompt is what makes this worth anything, and it is the same for every provider: instructions and tools,
 * which hardly ever change, then the conversation, which only grows; nothing that differs from call to call stands before
 * the end. Most providers find the longest beginning they know by themselves. Anthropic keeps one up to a mark and wants
 * the marks set, four at most. So these are
 *
 *   the tools             agents and models may share them under other instructions
 *   the instructions      what a new conversation begins with
 *   the last call's end   what was kept by the call before; looked for from there, however much a turn has added since
 *   this call's end       what the next one will find
 */
import type { LanguageModelV4CallOptions, LanguageModelV4Message } from "@ai-sdk/provider";

const mark = { anthropic: { cacheControl: { type: "ephemeral" } } };

/** @param provider the name before the slash of the candidate that is about to be called */
export function withBreakpoints(options: LanguageModelV4CallOptions, provider: string): LanguageModelV4CallOptions {
  if (provider !== "anthropic") return options;
  const { prompt, tools } = options;
  const system = prompt.findLastIndex(({ role }) => role === "system");
  const lastEnd = prompt.findLastIndex(({ role }) => role === "assistant") - 1;
  const end = prompt.findLastIndex(({ role }) => role === "user" || role === "tool");
  const marked = new Set([system, lastEnd, end]);
  return {
    ...options,
    prompt: prompt.map((message, index) => (marked.has(index) ? markedMessage(message) : message)),
    ...(tools && { tools: tools.map((tool, index) => (index === tools.length - 1 ? markedTool(tool) : tool)) }),
  };
}

function markedMessage(message: LanguageModelV4Message): LanguageModelV4Message {
  return { ...message, providerOptions: { ...message.providerOptions, ...mark } };
}

type Tool = NonNullable<LanguageModelV4CallOptions["tools"]>[number];

function markedTool(tool: Tool): Tool {
  return tool.type === "function" ? { ...tool, providerOptions: { ...tool.providerOptions, ...mark } } : tool;
}
