/**
 * What a recorded reply used and cost, read from the recording alone: by the vendors' own words for tokens and by their price
 * lists, and not by any code of the gateway, whose ledger is held against it.
 */
import { linesOf, readRecorded } from "./recorded-replies.ts";

export interface RecordedCost {
  readonly input: number;
  readonly cached: number;
  readonly output: number;
  readonly reasoning: number;
  /** Null: nobody knows the price of the model. */
  readonly costMicros: number | null;
}

/** US dollars for a million tokens, which are micro-dollars for one. */
interface Price {
  readonly fresh: number;
  readonly cached: number;
  readonly written: number;
  readonly output: number;
}

/** What xAI asks for; the list of the gateway does not know what runs behind an address of its owner's. */
export const grokPrice = { input: 0.3, cached: 0.075, output: 0.5 };

const prices: Readonly<Record<string, Price | null>> = {
  "openai-responses": { fresh: 1.25, cached: 0.125, written: 1.25, output: 10 },
  anthropic: { fresh: 3, cached: 0.3, written: 3.75, output: 15 },
  google: { fresh: 2, cached: 0.2, written: 2, output: 12 },
  "openai-chat": null,
  "openai-compatible": { fresh: 0.3, cached: 0.075, written: 0.3, output: 0.5 },
};

/** Tokens as they are billed: reasoning is part of what is put out, whoever counts it apart. */
interface Billed {
  readonly fresh: number;
  readonly cached: number;
  readonly written: number;
  readonly output: number;
  readonly reasoning: number;
}

type Numbers = Readonly<Record<string, number | undefined>>;
type Details = Readonly<Record<string, Numbers | undefined>>;

/** @returns null where the recording reports no usage */
export function recordedCost(file: string): RecordedCost | null {
  const [folder = ""] = file.split("/");
  const reported = reportedUsage(file);
  const billed = reported === null ? null : readings[folder]!(reported as Numbers & Details);
  if (billed === null) return null;
  const { fresh, cached, written, output, reasoning } = billed;
  const price = prices[folder]!;
  const micros =
    price &&
    Math.round(1e6 * (fresh * price.fresh + cached * price.cached + written * price.written + output * price.output)) /
      1e6;
  return { input: fresh + cached + written, cached, output, reasoning, costMicros: micros && Math.ceil(micros) };
}

/** xAI says what a reply cost: in ticks, of which a micro-dollar has 10,000. Null: the vendor says nothing. */
export function costByVendor(file: string): number | null {
  const ticks = (reportedUsage(file) as Numbers | null)?.["cost_in_usd_ticks"];
  return ticks === undefined ? null : Math.ceil(ticks / 10_000);
}

const readings: Readonly<Record<string, (usage: Numbers & Details) => Billed>> = {
  // Input without what was cached, beside which both kinds of it stand.
  anthropic: (usage) => ({
    fresh: usage["input_tokens"]!,
    cached: usage["cache_read_input_tokens"] ?? 0,
    written: usage["cache_creation_input_tokens"] ?? 0,
    output: usage["output_tokens"]!,
    reasoning: usage["output_tokens_details"]?.["thinking_tokens"] ?? 0,
  }),
  // Thoughts are counted beside the answer, and billed like it.
  google: (usage) => {
    const {
      promptTokenCount: input = 0,
      cachedContentTokenCount: cached = 0,
      thoughtsTokenCount: thoughts = 0,
    } = usage;
    const output = (usage["candidatesTokenCount"] ?? 0) + thoughts;
    return { fresh: input - cached, cached, written: 0, output, reasoning: thoughts };
  },
  "openai-responses": (usage) =>
    ofOpenai({
      input: usage["input_tokens"]!,
      cached: usage["input_tokens_details"]?.["cached_tokens"],
      output: usage["output_tokens"]!,
      reasoning: usage["output_tokens_details"]?.["reasoning_tokens"],
    }),
  "openai-chat": ofChat,
  // xAI leaves the reasoning out of the completion: the total tells.
  "openai-compatible": (usage) => {
    const billed = ofChat(usage);
    return { ...billed, output: usage["total_tokens"]! - usage["prompt_tokens"]! };
  },
};

function ofChat(usage: Numbers & Details): Billed {
  return ofOpenai({
    input: usage["prompt_tokens"]!,
    cached: usage["prompt_tokens_details"]?.["cached_tokens"],
    output: usage["completion_tokens"]!,
    reasoning: usage["completion_tokens_details"]?.["reasoning_tokens"],
  });
}

function ofOpenai({
  input,
  cached = 0,
  output,
  reasoning = 0,
}: {
  readonly input: number;
  readonly cached: number | undefined;
  readonly output: number;
  readonly reasoning: number | undefined;
}): Billed {
  return { fresh: input - cached, cached, written: 0, output, reasoning };
}

/** The usage that is said last: vendors repeat it while they count. */
function reportedUsage(file: string): unknown {
  const text = readRecorded(file);
  const frames = file.endsWith(".json") ? [text] : linesOf(text).map((line) => line.replace(/^data: /, ""));
  const usages = frames.flatMap((frame) => {
    if (!frame.startsWith("{")) return [];
    const { usage, usageMetadata, response } = parsed(frame);
    return [usage ?? usageMetadata ?? response?.usage ?? null];
  });
  return usages.findLast((usage) => usage !== null) ?? null;
}

interface Frame {
  readonly usage?: unknown;
  readonly usageMetadata?: unknown;
  readonly response?: { readonly usage?: unknown };
}

/** Some recordings have lines that are no JSON: what they break is no answer. */
function parsed(frame: string): Frame {
  try {
    return JSON.parse(frame) as Frame;
  } catch {
    return {};
  }
}
