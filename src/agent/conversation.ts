/**
 * What is said between a user, a model and its tools, in terms of no provider.
 *
 * `provider` carries what a provider wants back with the next call (reasoning signatures, item ids); nobody else reads it.
 */
import type { Json, JsonObject } from "./json.ts";

export type AssistantPart =
  | { readonly type: "text"; readonly text: string; readonly provider?: JsonObject }
  | { readonly type: "reasoning"; readonly text: string; readonly provider?: JsonObject }
  | {
      readonly type: "call";
      readonly id: string;
      readonly tool: string;
      readonly input: Json;
      readonly provider?: JsonObject;
    };

export type Message =
  | { readonly role: "user"; readonly text: string }
  | { readonly role: "assistant"; readonly parts: readonly AssistantPart[] }
  | { readonly role: "tool"; readonly callId: string; readonly tool: string; readonly outcome: ToolOutcome };

/** What came of a tool call. A failure is an observation for the model, not an error of the task. */
export type ToolOutcome =
  | { readonly ok: true; readonly output: Json; readonly large?: LargeValue }
  | { readonly ok: false; readonly code: string; readonly message: string };

/**
 * A value too large for the journal: it is kept once by the hash of its content, `output` holds only its beginning as text.
 */
export interface LargeValue {
  /** SHA-256 of the JSON text, in hex. */
  readonly hash: string;
  readonly bytes: number;
}

/** Tokens of one model call, as the provider reports them. `input` includes `cached`, `output` includes `reasoning`. */
export interface Usage {
  readonly input: number;
  readonly cached: number;
  readonly output: number;
  readonly reasoning: number;
  /** The provider reported nothing and the numbers are ours, from the length of the text. */
  readonly estimated: boolean;
}

/** A tool as a model sees it. */
export interface ToolSpec {
  readonly name: string;
  readonly description: string;
  /** JSON Schema 2020-12 of the arguments; always an object schema. */
  readonly inputSchema: JsonObject;
  /** The provider is to make sure that arguments fit the schema; not all can. */
  readonly strict?: boolean;
}

/** A piece of an answer in the making. `restart`: what came so far is void, another attempt begins. */
export type Delta =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  | { readonly type: "restart" };

/** What the user is shown to have said: a prompt, and the context it came with. */
export function userMessage(prompt: string, context: Json): Message & { readonly role: "user" } {
  const text = context === null ? prompt : `${prompt}\n\nContext:\n${JSON.stringify(context, null, 2)}`;
  return { role: "user", text };
}

/** All text of an assistant message, joined; or all that it thought. */
export function textOf(parts: readonly AssistantPart[], type: "text" | "reasoning" = "text"): string {
  return parts.map((part) => (part.type === type ? part.text : "")).join("");
}
