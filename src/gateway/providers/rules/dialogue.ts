/** The conversation as the rules see it, read from a provider-level prompt. */
import type { LanguageModelV4CallOptions, LanguageModelV4FunctionTool, LanguageModelV4Message } from "@ai-sdk/provider";

import type { Json } from "../../../agent/json.ts";
import { isObject } from "../../../agent/json.ts";
import { isOwnQuestion } from "./own-question.ts";
import { profileTool, type ToolProfile } from "./tool-profile.ts";
import { isBaseVerb, isLightVerb } from "./vocabulary.ts";
import { wordsOf } from "./words.ts";

export interface Dialogue {
  readonly instructions: string;
  /** What was said and read before the request, oldest first. */
  readonly history: readonly Said[];
  readonly request: string;
  /** What was called for this request: one list for each model turn, in order. */
  readonly rounds: readonly (readonly Call[])[];
  readonly tools: readonly ToolProfile[];
  /** The name the next call may have without clashing with an earlier one. */
  readonly nextCallNumber: number;
}

export type Said =
  | { readonly by: "user" | "assistant"; readonly text: string }
  | { readonly by: "tool"; readonly call: Call };

export interface Call {
  readonly tool: string;
  readonly input: Json;
  /** Null while nothing came back. */
  readonly outcome: CallOutcome | null;
}

export type CallOutcome =
  | { readonly ok: true; readonly value: Json }
  | { readonly ok: false; readonly denied: boolean; readonly message: string };

type ToolResultOutput = Extract<
  Extract<LanguageModelV4Message, { role: "tool" }>["content"][number],
  { type: "tool-result" }
>["output"];

export function readDialogue(options: LanguageModelV4CallOptions): Dialogue {
  const { prompt } = options;
  const outcomes = outcomesOf(prompt);
  const last = prompt.findLastIndex((message) => message.role === "user");
  const history = prompt.slice(0, Math.max(last, 0)).flatMap((message) => said(message, outcomes));
  const { request, context } = withoutContext(last < 0 ? "" : textOf(prompt[last]));
  const asked = continued(history, request);
  const rounds = prompt.slice(last + 1).map((message) => callsOf(message, outcomes));
  return {
    instructions: prompt
      .map((message) => (message.role === "system" ? message.content : ""))
      .join("\n")
      .trim(),
    request: asked.request,
    history: [...asked.history, ...context],
    rounds: rounds.filter((calls) => calls.length > 0),
    tools: offeredTools(options).map(profileTool),
    nextCallNumber: 1 + highestCallNumber(prompt),
  };
}

/** What a task was submitted with stands below its prompt, as JSON: it is known, and not said by the user. */
function withoutContext(text: string): { request: string; context: Said[] } {
  const [, request, json] = /^(.*?)\n\nContext:\n([[{].*)$/su.exec(text) ?? [];
  const value = json === undefined ? undefined : parsed(json);
  if (request === undefined || value === undefined || typeof value === "string") return { request: text, context: [] };
  return { request, context: [{ by: "tool", call: { tool: "context", input: {}, outcome: { ok: true, value } } }] };
}

function offeredTools({ tools, toolChoice }: LanguageModelV4CallOptions): LanguageModelV4FunctionTool[] {
  if (toolChoice?.type === "none") return [];
  const functions = (tools ?? []).filter((tool) => tool.type === "function");
  return toolChoice?.type === "tool" ? functions.filter((tool) => tool.name === toolChoice.toolName) : functions;
}

/** A reply to our own question carries on with the request that we asked about. */
function continued(history: readonly Said[], request: string): { history: readonly Said[]; request: string } {
  const asked = history.at(-1);
  const before = history.findLastIndex((item) => item.by === "user");
  const earlier = history[before];
  if (asked?.by !== "assistant" || !isOwnQuestion(asked.text)) return { history, request };
  if (earlier?.by !== "user" || startsAnew(request)) return { history, request };
  const start = continued(history.slice(0, before), earlier.text);
  return {
    history: start.history,
    request: `${start.request.trim().replace(/[.?!]+$/u, "")}.\n${request.trim().replace(sayThis, "")}`,
  };
}

/** "Tell them that", before what the message is to say. */
const sayThis = /^(?:please )?(?:tell|say|write)(?: to)?(?: (?:them|him|her|the \p{L}+))?(?: that)?[\s:,]+/iu;

/** A question, a refusal, or an order of its own ("refund $20", but not "make it $20"). */
function startsAnew(reply: string): boolean {
  const first = wordsOf(reply.slice(0, 60))[0] ?? "";
  const orders = isBaseVerb(first) && !isLightVerb(first) && !sayThis.test(reply.trim());
  return orders || reply.trim().endsWith("?") || /^(?:no|never ?mind|forget)\b/iu.test(reply.trim());
}

function said(message: LanguageModelV4Message, outcomes: ReadonlyMap<string, CallOutcome>): Said[] {
  if (message.role !== "user" && message.role !== "assistant") return [];
  const calls = callsOf(message, outcomes).map((call): Said => ({ by: "tool", call }));
  const text = textOf(message);
  return text === "" ? calls : [...calls, { by: message.role, text }];
}

function callsOf(message: LanguageModelV4Message, outcomes: ReadonlyMap<string, CallOutcome>): Call[] {
  if (message.role !== "assistant") return [];
  return message.content
    .filter((part) => part.type === "tool-call")
    .map((part) => ({
      tool: part.toolName,
      input: part.input as Json,
      outcome: outcomes.get(part.toolCallId) ?? null,
    }));
}

function textOf(message: LanguageModelV4Message | undefined): string {
  if (message === undefined || message.role === "tool") return "";
  if (message.role === "system") return message.content;
  return message.content
    .map((part) => (part.type === "text" ? part.text : ""))
    .join("\n")
    .trim();
}

function outcomesOf(prompt: readonly LanguageModelV4Message[]): Map<string, CallOutcome> {
  const outcomes = new Map<string, CallOutcome>();
  for (const message of prompt) {
    if (message.role !== "tool" && message.role !== "assistant") continue;
    for (const part of message.content) {
      if (part.type === "tool-result") outcomes.set(part.toolCallId, outcomeOf(part.output));
    }
  }
  return outcomes;
}

function outcomeOf(output: ToolResultOutput): CallOutcome {
  switch (output.type) {
    case "json":
      return { ok: true, value: output.value as Json };
    case "text":
      return { ok: true, value: parsed(output.value) };
    case "content":
      return {
        ok: true,
        value: parsed(output.value.map((part) => (part.type === "text" ? part.text : "")).join("\n")),
      };
    case "execution-denied":
      return { ok: false, denied: true, message: output.reason ?? "" };
    case "error-text":
      return failure(output.value);
    case "error-json":
      return failure(
        isObject(output.value) && typeof output.value.message === "string"
          ? `${typeof output.value.code === "string" ? output.value.code : "failed"}: ${output.value.message}`
          : JSON.stringify(output.value),
      );
  }
}

/** "approval_denied: The customer must call." and the like; the code is for programs, the words are for people. */
function failure(text: string): CallOutcome {
  const [, code = "", message = text] = /^([a-z][a-z0-9_]{2,60})?:\s+(.*)$/su.exec(text) ?? [];
  return { ok: false, denied: /denied|declined/u.test(code), message: message.trim() };
}

function parsed(text: string): Json {
  if (!/^\s*[[{]/u.test(text)) return text;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

function highestCallNumber(prompt: readonly LanguageModelV4Message[]): number {
  const ids = prompt.flatMap((message) =>
    message.role === "assistant"
      ? message.content.filter((part) => part.type === "tool-call").map((part) => part.toolCallId)
      : [],
  );
  return ids.reduce((highest, id) => Math.max(highest, Number(/^call_(\d{1,9})$/u.exec(id)?.[1] ?? 0)), 0);
}
