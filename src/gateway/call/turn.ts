/**
 * Folds the parts of a provider's stream into one assistant message.
 *
 * Nothing counts before a clean `finish`: a stream that is cut may already have given a tool call with half its arguments,
 * so the calls leave this fold only at the end, all together.
 */
import type {
  LanguageModelV4FinishReason,
  LanguageModelV4GenerateResult,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
} from "@ai-sdk/provider";
import type { AssistantPart } from "../../agent/conversation.ts";
import type { FinishReason } from "../../agent/journal.ts";
import type { Json, JsonObject } from "../../agent/json.ts";
import { HoldfastError } from "../../platform/errors.ts";
import type { Delta } from "../../agent/conversation.ts";
import { refuseLeftOut } from "./call-settings.ts";

export interface Turn {
  readonly parts: readonly AssistantPart[];
  readonly finish: FinishReason;
  /** As the provider reported it; any number may be missing. */
  readonly usage: LanguageModelV4Usage;
}

export interface TurnFold {
  /**
   * Takes the next part of the stream; answers the delta to show, if it is one.
   * @throws what an `error` part carries; UnsupportedFunctionalityError when a setting was left out
   */
  add(part: LanguageModelV4StreamPart): Delta | null;
  /** @throws HoldfastError `model_stream_broken` if the stream has ended before the reply was complete */
  end(): Turn;
}

interface Block {
  readonly type: "text" | "reasoning";
  text: string;
  provider: JsonObject;
}

interface Call {
  readonly type: "call";
  readonly id: string;
  readonly tool: string;
  readonly input: string;
  readonly provider: JsonObject;
}

type StreamPart<Type> = Extract<LanguageModelV4StreamPart, { type: Type }>;

export function foldTurn(): TurnFold {
  const order: (Block | Call)[] = [];
  const open = new Map<string, Block>();
  let finish: StreamPart<"finish"> | null = null;

  function block(type: Block["type"], id: string): Block {
    const key = `${type}:${id}`;
    const known = open.get(key);
    if (known) return known;
    const begun: Block = { type, text: "", provider: {} };
    open.set(key, begun);
    order.push(begun);
    return begun;
  }

  function grow(part: StreamPart<"text-delta"> | StreamPart<"reasoning-delta">): Delta | null {
    const type = part.type === "text-delta" ? "text" : "reasoning";
    const grown = block(type, part.id);
    grown.text += part.delta;
    remember(grown.provider, part.providerMetadata);
    return part.delta === "" ? null : { type, text: part.delta };
  }

  return {
    add(part) {
      switch (part.type) {
        case "stream-start":
          refuseLeftOut(part.warnings);
          return null;
        case "text-start":
        case "reasoning-start":
          // A provider may number its blocks anew for every message, so a start always begins another block.
          open.delete(`${part.type === "text-start" ? "text" : "reasoning"}:${part.id}`);
          remember(block(part.type === "text-start" ? "text" : "reasoning", part.id).provider, part.providerMetadata);
          return null;
        case "text-delta":
        case "reasoning-delta":
          return grow(part);
        case "text-end":
        case "reasoning-end":
          remember(block(part.type === "text-end" ? "text" : "reasoning", part.id).provider, part.providerMetadata);
          return null;
        case "tool-call":
          // What the provider ran itself is not ours to run.
          if (!part.providerExecuted) order.push(callOf(part));
          return null;
        case "finish":
          finish = part;
          return null;
        case "error":
          throw part.error;
        default:
          return null;
      }
    },
    end() {
      const parts = withUniqueIds(order.flatMap(partOf));
      if (finish === null) throw brokenStream("it was cut off");
      return { parts, finish: finishOf(finish.finishReason, parts), usage: finish.usage };
    },
  };
}

/**
 * A reply that came whole.
 * @throws UnsupportedFunctionalityError when a setting was left out; HoldfastError `model_stream_broken` for half a reply
 */
export function turnOf({ content, finishReason, usage, warnings }: LanguageModelV4GenerateResult): Turn {
  refuseLeftOut(warnings);
  const items: (Block | Call)[] = [];
  for (const part of content) {
    if (part.type === "tool-call" && !part.providerExecuted) items.push(callOf(part));
    if (part.type !== "text" && part.type !== "reasoning") continue;
    const provider: JsonObject = {};
    remember(provider, part.providerMetadata);
    items.push({ type: part.type, text: part.text, provider });
  }
  const parts = withUniqueIds(items.flatMap(partOf));
  return { parts, finish: finishOf(finishReason, parts), usage };
}

function callOf(part: StreamPart<"tool-call">): Call {
  const provider: JsonObject = {};
  remember(provider, part.providerMetadata);
  return { type: "call", id: part.toolCallId, tool: part.toolName, input: part.input, provider };
}

/** Metadata comes in pieces (a signature with the last delta, say): per provider, the later value of a key stands. */
function remember(known: JsonObject, metadata: unknown): void {
  for (const [provider, values] of Object.entries((metadata ?? {}) as Record<string, JsonObject>)) {
    known[provider] = { ...(known[provider] as JsonObject | undefined), ...values };
  }
}

function partOf(item: Block | Call): AssistantPart[] {
  const provider = Object.keys(item.provider).length > 0 ? { provider: item.provider } : {};
  if (item.type === "call") {
    return [{ type: "call", id: item.id, tool: item.tool, input: parseInput(item.input), ...provider }];
  }
  if (item.text === "" && !("provider" in provider)) return [];
  return [{ type: item.type, text: item.text, ...provider }];
}

/** Deeper arguments mean nothing to any tool, and whatever walks them by recursion would overflow the stack. */
const deepestInput = 100;

/** The arguments; where they are not usable as JSON, the text itself, so that the model can be told what is wrong with it. */
function parseInput(text: string): Json {
  if (text.trim() === "") return {};
  try {
    const input = JSON.parse(text) as Json;
    return isWithin(input, deepestInput) ? input : text;
  } catch {
    return text;
  }
}

function isWithin(value: Json, depth: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return depth > 0 && Object.values(value).every((inner) => isWithin(inner, depth - 1));
}

/** Outcomes are told apart by the id of their call, so a model that repeats one within a turn, or gives none, is corrected. */
function withUniqueIds(parts: readonly AssistantPart[]): AssistantPart[] {
  const taken = new Set<string>();
  return parts.map((part) => {
    if (part.type !== "call") return part;
    const wanted = part.id || "call";
    let id = wanted;
    for (let copy = 2; taken.has(id); copy++) id = `${wanted}_${copy}`;
    taken.add(id);
    return { ...part, id };
  });
}

function finishOf(reason: LanguageModelV4FinishReason, parts: readonly AssistantPart[]): FinishReason {
  if (reason.unified === "interrupted") throw brokenStream("it was cut off");
  if (reason.unified === "error") throw brokenStream(`the provider ended it with "${reason.raw ?? "error"}"`);
  if (parts.some((part) => part.type === "call")) return "calls";
  if (reason.unified === "content-filter") return "content_filter";
  if (reason.unified === "length") return "length";
  if (parts.length === 0 && reason.unified !== "stop") throw brokenStream("it held nothing");
  return "stop";
}

function brokenStream(how: string): HoldfastError {
  return new HoldfastError("model_stream_broken", `The model's reply is not complete: ${how}.`, { retry: "now" });
}
