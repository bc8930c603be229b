/** What became of a call that went through a batch API, as it is stored; and the reply or the failure that it means. */
import type { Experimental_BatchV4ItemResult, LanguageModelV4GenerateResult } from "@ai-sdk/provider";
import { classifyFailure } from "../call/classify.ts";
import { isTransient } from "../call/retry-pause.ts";
import type { Prices } from "../cost.ts";
import { ModelCallError, type ModelReply, type ModelRequest } from "../model-gateway.ts";
import { foldTurn, type Turn } from "../call/turn.ts";
import { usageOf } from "../call/usage.ts";

export type Outcome =
  | { readonly status: "succeeded"; readonly result: BatchResult }
  | { readonly status: "failed"; readonly error: BatchError }
  /** The provider did not come to it in time, or somebody stopped the batch. */
  | { readonly status: "expired" }
  /** Its task does not wait for it any more. */
  | { readonly status: "withdrawn" | "late" };

type BatchResult = Pick<LanguageModelV4GenerateResult, "content" | "finishReason" | "usage">;

interface BatchError {
  readonly message: string;
  readonly type?: string | undefined;
  readonly code?: string | undefined;
  readonly statusCode?: number | undefined;
}

/** Both providers charge half of the price of a plain call, for all tokens. */
const share = 0.5;

export function outcomeOf(item: Experimental_BatchV4ItemResult): Outcome {
  if (item.status === "failed") return { status: "failed", error: item.error };
  if (item.status !== "succeeded") return { status: "expired" };
  if (item.type !== "text") return { status: "failed", error: { message: "The result is no text." } };
  const { content, finishReason, usage } = item.result;
  return { status: "succeeded", result: { content, finishReason, usage } };
}

export interface Deferred {
  readonly model: string;
  readonly request: Pick<ModelRequest, "system" | "messages" | "tools">;
  readonly prices: Prices;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** @throws ModelCallError what the provider refused it for; HoldfastError `model_stream_broken` */
export function replyOf(result: BatchResult, { model, request, prices, at }: Deferred): ModelReply {
  const turn = turnOf(result);
  const usage = usageOf(turn.usage, { request, parts: turn.parts });
  const cacheWritten = turn.usage.inputTokens.cacheWrite;
  const full = prices.costMicros(model, usage, { at, cacheWritten });
  return {
    parts: turn.parts,
    finish: turn.finish,
    model,
    usage,
    costMicros: full === null ? null : Math.ceil(full * share),
    ttftMs: 0,
    tpotMs: 0,
    attempts: [],
    choice: { strategy: "deferred", reason: "through the provider's batch API, at half the price" },
  };
}

export function errorOf(error: BatchError, { model, at }: Pick<Deferred, "model" | "at">): ModelCallError {
  const { message, type, code, statusCode } = error;
  const said = { ...(type !== undefined && { type }), ...(code !== undefined && { code }), message };
  const failure = classifyFailure({ error: said, ...(statusCode !== undefined && { statusCode }) }, at);
  const retry = isTransient(failure.code) ? "now" : "never";
  const attempts = [{ model, code: failure.code, message: failure.message, ms: 0, at }];
  return new ModelCallError(failure.code, `The batch API of ${model} failed: ${failure.message}`, { retry, attempts });
}

/** A batch brings whole messages: they are folded as a stream of few parts is. */
function turnOf({ content, finishReason, usage }: BatchResult): Turn {
  const fold = foldTurn();
  for (const [index, part] of content.entries()) {
    const id = String(index);
    const metadata =
      "providerMetadata" in part && part.providerMetadata ? { providerMetadata: part.providerMetadata } : {};
    if (part.type === "text" || part.type === "reasoning") {
      fold.add({ type: `${part.type}-start`, id, ...metadata });
      fold.add({ type: `${part.type}-delta`, id, delta: part.text });
      fold.add({ type: `${part.type}-end`, id });
    } else if (part.type === "tool-call") fold.add(part);
  }
  fold.add({ type: "finish", finishReason, usage });
  return fold.end();
}
