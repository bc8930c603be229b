/** What a test scripts, and what each wire format makes of it. */
import type { Json, JsonObject } from "../../agent/json.ts";

export type FormatName = "openai-responses" | "openai-chat" | "anthropic";

/** A request as a script sees it. */
export interface MockRequest {
  /** Counts the requests of this server, from 1. */
  readonly attempt: number;
  /** "other" for a path of no known format; only the faults "raw" and "status" can answer it. */
  readonly format: FormatName | "other";
  readonly path: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly model: string;
  readonly stream: boolean;
  /** What was said, as text: `role` is system, user, assistant or tool. Calls and results read as their JSON. */
  readonly messages: readonly MockMessage[];
  /** The names of the tools that were offered. */
  readonly tools: readonly string[];
  /** The parsed body. */
  readonly body: JsonObject;
}

export interface MockMessage {
  readonly role: string;
  readonly text: string;
}

/** What the model says. */
export interface MockReply {
  readonly text?: string;
  readonly reasoning?: string;
  /** Tool calls. `input` is sent as JSON; a string is sent as it stands, so that arguments may be broken. */
  readonly calls?: readonly MockCall[];
  /** Tokens; null: the reply reports none. Default: a quarter of the characters. */
  readonly usage?: MockUsage | null;
  /** Why it stops: default "calls" if there are calls, else "stop". */
  readonly finish?: "stop" | "calls" | "length" | "content_filter";
  /** Characters in each piece of text, reasoning and arguments; default: each comes in one piece. */
  readonly chunkChars?: number;
  /** Before the first byte. */
  readonly latencyMs?: number;
  /** Between two server-sent events. */
  readonly delayBetweenChunksMs?: number;
}

export interface MockCall {
  readonly id?: string;
  readonly name: string;
  readonly input: Json;
}

export interface MockUsage {
  /** All input tokens, `cached` among them. */
  readonly input?: number;
  readonly cached?: number;
  /** All output tokens, `reasoning` among them. */
  readonly output?: number;
  readonly reasoning?: number;
}

/** A reply with everything filled in; `request` names the ids. */
export interface FullReply {
  readonly text: string;
  readonly reasoning: string;
  readonly calls: readonly { readonly id: string; readonly name: string; readonly arguments: string }[];
  readonly usage: Required<MockUsage> | null;
  readonly finish: "stop" | "calls" | "length" | "content_filter";
  readonly chunkChars: number;
  readonly request: { readonly attempt: number; readonly model: string };
}

export interface WireFormat {
  readonly path: string;
  messagesOf(body: JsonObject): MockMessage[];
  toolsOf(body: JsonObject): string[];
  /** The reply as server-sent events, each with its trailing blank line. */
  events(reply: FullReply): string[];
  /** The reply as one JSON body. */
  body(reply: FullReply): Json;
  /** The body of an error. */
  error(status: number, message: string): Json;
}

const charsPerToken = 4;

export function completeReply(reply: MockReply, request: MockRequest): FullReply {
  const { text = "", reasoning = "" } = reply;
  const calls = (reply.calls ?? []).map(({ id, name, input }, index) => ({
    id: id ?? `call_${request.attempt}_${index + 1}`,
    name,
    arguments: typeof input === "string" ? input : JSON.stringify(input),
  }));
  return {
    text,
    reasoning,
    calls,
    usage: reply.usage === null ? null : { ...estimate({ text, reasoning, calls }, request), ...reply.usage },
    finish: reply.finish ?? (calls.length > 0 ? "calls" : "stop"),
    chunkChars: reply.chunkChars ?? Number.POSITIVE_INFINITY,
    request,
  };
}

function estimate(said: Pick<FullReply, "text" | "reasoning" | "calls">, request: MockRequest): Required<MockUsage> {
  const reasoning = Math.ceil(said.reasoning.length / charsPerToken);
  const spoken = said.text.length + said.calls.reduce((sum, call) => sum + call.name.length + call.arguments.length, 0);
  const heard = request.messages.reduce((sum, message) => sum + message.text.length, 0);
  const input = Math.max(1, Math.ceil(heard / charsPerToken));
  return { input, cached: 0, output: Math.max(1, Math.ceil(spoken / charsPerToken)) + reasoning, reasoning };
}

/** The text in pieces of at most `chunkChars`; no piece for no text. */
export function pieces(text: string, chunkChars: number): string[] {
  if (text === "") return [];
  if (text.length <= chunkChars) return [text];
  const count = Math.ceil(text.length / chunkChars);
  return Array.from({ length: count }, (_, index) => text.slice(index * chunkChars, (index + 1) * chunkChars));
}

/** One server-sent event. */
export function sse(data: Json, event?: string): string {
  return `${event === undefined ? "" : `event: ${event}\n`}data: ${JSON.stringify(data)}\n\n`;
}

/** Text of anything a message may hold: plain text stays itself, the rest reads as its JSON. */
export function plainText(content: unknown): string {
  if (typeof content === "string") return content;
  if (content === undefined || content === null) return "";
  if (!Array.isArray(content)) return JSON.stringify(content);
  return content
    .map((part: { text?: unknown }) => (typeof part.text === "string" ? part.text : JSON.stringify(part)))
    .join("");
}

export function objectsOf(value: unknown): JsonObject[] {
  return Array.isArray(value) ? (value as JsonObject[]) : [];
}
