/**
 * The ids of tool calls as programs see them.
 *
 * Some providers take a call back only together with what they gave out beside it: Anthropic the reasoning before it under
 * its signature, Google the signature of the thought. OpenAI's formats have no place for that. So it travels within the id of
 * the call, which is the one thing that every program sends back as it was.
 */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { AssistantPart } from "../../agent/conversation.ts";
import { isObject, type Json, type JsonObject } from "../../agent/json.ts";

type CallPart = Extract<AssistantPart, { type: "call" }>;
type ReasoningPart = Extract<AssistantPart, { type: "reasoning" }>;

export interface CarriedCall {
  readonly id: string;
  readonly provider?: JsonObject;
  /** What stood before the calls of its turn; with the first of them. */
  readonly reasoning: readonly ReasoningPart[];
}

const separator = "~";
/** What an id holds may be so long when it is unpacked; what is longer is left out. */
const mostCarriedBytes = 1_048_576;

/** What has to come back, by provider. */
const signatures: Readonly<Record<string, readonly string[]>> = {
  anthropic: ["signature", "redactedData"],
  google: ["thoughtSignature"],
};

/** The ids of the calls of a turn, in their order. */
export function toWireIds(parts: readonly AssistantPart[]): string[] {
  const reasoning = parts.flatMap((part) => (part.type === "reasoning" ? signed(part) : []));
  return parts
    .filter((part): part is CallPart => part.type === "call")
    .map((call, index) => {
      const provider = signaturesOf(call.provider);
      const before = index === 0 ? reasoning : [];
      if (provider === undefined && before.length === 0) return call.id;
      return pack(call.id, { ...(provider !== undefined && { provider }), reasoning: before });
    });
}

function signed(part: ReasoningPart): ReasoningPart[] {
  const provider = signaturesOf(part.provider);
  return provider === undefined ? [] : [{ type: "reasoning", text: part.text, provider }];
}

/** Of what a provider said beside a part only that which it wants back. */
function signaturesOf(provider: Json | undefined): JsonObject | undefined {
  if (!isObject(provider)) return undefined;
  const kept: JsonObject = {};
  for (const [name, keys] of Object.entries(signatures)) {
    const said = provider[name];
    if (!isObject(said)) continue;
    const own = Object.fromEntries(Object.entries(said).filter(([key, value]) => keys.includes(key) && isText(value)));
    if (Object.keys(own).length > 0) kept[name] = own;
  }
  return Object.keys(kept).length > 0 ? kept : undefined;
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

function pack(id: string, carried: Omit<CarriedCall, "id">): string {
  const json = JSON.stringify(carried);
  if (json.length > mostCarriedBytes) return id;
  return `${id}${separator}${deflateRawSync(json).toString("base64url")}`;
}

/** What an id carries. It was in a stranger's hands: nothing but signatures and text is taken from it. */
export function fromWireId(wireId: string): CarriedCall {
  const end = wireId.lastIndexOf(separator);
  const carried = end < 0 ? undefined : unpack(wireId.slice(end + 1));
  if (carried === undefined) return { id: wireId, reasoning: [] };
  const provider = signaturesOf(carried["provider"]);
  const reasoning = Array.isArray(carried["reasoning"]) ? carried["reasoning"] : [];
  return {
    id: wireId.slice(0, end),
    ...(provider !== undefined && { provider }),
    reasoning: reasoning.flatMap((part) => (isReasoning(part) ? signed(part) : [])),
  };
}

function isReasoning(part: unknown): part is ReasoningPart {
  return isObject(part) && isText(part["text"]);
}

function unpack(text: string): JsonObject | undefined {
  try {
    const json = inflateRawSync(Buffer.from(text, "base64url"), { maxOutputLength: mostCarriedBytes });
    const carried: unknown = JSON.parse(json.toString());
    return isObject(carried) ? carried : undefined;
  } catch {
    return undefined;
  }
}
