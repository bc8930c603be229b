/**
 * Our messages as the options of a provider call.
 *
 * A conversation may have begun with another provider than the one that is called now. So each gets back only its own
 * metadata (signatures, item ids), and the ids of calls are made fit for the strictest: Anthropic refuses ids that occur twice
 * or hold other characters than letters, digits, "_" and "-"; OpenAI refuses those over 64 characters.
 */
import type {
  JSONSchema7,
  LanguageModelV4CallOptions,
  LanguageModelV4Message,
  LanguageModelV4ToolResultPart,
  SharedV4ProviderOptions,
} from "@ai-sdk/provider";
import type { AssistantPart, Message, ToolOutcome, ToolSpec } from "../../agent/conversation.ts";
import { isObject, type JsonObject } from "../../agent/json.ts";
import { withBreakpoints } from "../cache/prompt-breakpoints.ts";
import { settingsOf } from "./call-settings.ts";
import type { ModelRequest } from "../model-gateway.ts";

type AssistantContent = Extract<LanguageModelV4Message, { role: "assistant" }>["content"];
type ToolOutput = LanguageModelV4ToolResultPart["output"];

// OpenAI answers a lower limit with an error.
const leastOutputTokens = 16;
const longestCallId = 64;

/** @param provider the name before the slash of the candidate that is about to be called */
export function callOptionsOf(
  request: Pick<ModelRequest, "system" | "messages" | "tools" | "maxOutputTokens" | "settings">,
  provider: string,
): LanguageModelV4CallOptions {
  const { tools, maxOutputTokens, settings = {} } = request;
  const { providerOptions, ...options } = settingsOf(settings, provider);
  const callOptions: LanguageModelV4CallOptions = {
    prompt: promptOf(request, provider),
    ...(settings.openEnded !== true && { maxOutputTokens: atLeast(maxOutputTokens, provider) }),
    ...(tools.length > 0 && { tools: tools.map(toolOf) }),
    ...options,
    // The journal is the only state: OpenAI keeps nothing for us and gives reasoning back encrypted instead of by reference.
    providerOptions: { ...providerOptions, openai: { store: false, ...providerOptions?.["openai"] } },
  };
  return withBreakpoints(callOptions, provider);
}

function atLeast(tokens: number, provider: string): number {
  return provider === "openai" ? Math.max(leastOutputTokens, tokens) : tokens;
}

function promptOf(request: Pick<ModelRequest, "system" | "messages">, provider: string): LanguageModelV4Message[] {
  const prompt: LanguageModelV4Message[] = [];
  if (request.system !== "") prompt.push({ role: "system", content: request.system });
  const ids = createCallIds();
  for (const message of request.messages) addMessage(prompt, message, { provider, ids });
  return prompt;
}

function addMessage(
  prompt: LanguageModelV4Message[],
  message: Message,
  { provider, ids }: { provider: string; ids: CallIds },
): void {
  switch (message.role) {
    case "user":
      prompt.push({ role: "user", content: [{ type: "text", text: message.text }] });
      return;
    case "assistant": {
      const content = message.parts.flatMap((part) => assistantPartOf(part, { provider, ids }));
      if (content.length > 0) prompt.push({ role: "assistant", content });
      return;
    }
    case "tool": {
      const result: LanguageModelV4ToolResultPart = {
        type: "tool-result",
        toolCallId: ids.ofResult(message.callId),
        toolName: message.tool,
        output: outputOf(message.outcome),
      };
      const last = prompt.at(-1);
      if (last?.role === "tool") last.content.push(result);
      else prompt.push({ role: "tool", content: [result] });
    }
  }
}

function assistantPartOf(part: AssistantPart, { provider, ids }: { provider: string; ids: CallIds }): AssistantContent {
  const own = part.provider?.[provider];
  const metadata = own === undefined ? {} : { providerOptions: { [provider]: own } as SharedV4ProviderOptions };
  if (part.type === "call") {
    const input: JsonObject = isObject(part.input) ? part.input : { unparsed_input: part.input };
    return [{ type: "tool-call", toolCallId: ids.ofCall(part.id), toolName: part.tool, input, ...metadata }];
  }
  if (part.text === "" && own === undefined) return [];
  return [{ type: part.type, text: part.text, ...metadata }];
}

function outputOf(outcome: ToolOutcome): ToolOutput {
  if (!outcome.ok) return { type: "error-text", value: `${outcome.code}: ${outcome.message}` };
  if (outcome.large) {
    const beginning = typeof outcome.output === "string" ? outcome.output : JSON.stringify(outcome.output);
    const note = `[Cut: this is only the beginning of a result of ${outcome.large.bytes} bytes.]`;
    return { type: "text", value: `${beginning}\n${note}` };
  }
  if (typeof outcome.output === "string") return { type: "text", value: outcome.output };
  return { type: "json", value: outcome.output };
}

function toolOf(tool: ToolSpec): NonNullable<LanguageModelV4CallOptions["tools"]>[number] {
  const { name, description, strict } = tool;
  const inputSchema = tool.inputSchema as JSONSchema7;
  return { type: "function", name, description, inputSchema, ...(strict !== undefined && { strict }) };
}

interface CallIds {
  ofCall(id: string): string;
  /** The id that the latest call with this id was given. */
  ofResult(id: string): string;
}

function createCallIds(): CallIds {
  const given = new Map<string, string>();
  const taken = new Set<string>();
  return {
    ofCall(id) {
      const wanted = fit(id);
      let chosen = wanted;
      for (let copy = 2; taken.has(chosen); copy++) {
        const suffix = `_${copy}`;
        chosen = wanted.slice(0, longestCallId - suffix.length) + suffix;
      }
      taken.add(chosen);
      given.set(id, chosen);
      return chosen;
    },
    ofResult: (id) => given.get(id) ?? fit(id),
  };
}

function fit(id: string): string {
  return id.replace(/[^a-zA-Z0-9_-]/g, "_").slice(0, longestCallId) || "call";
}
