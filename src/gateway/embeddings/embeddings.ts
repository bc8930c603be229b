/** Embeddings: texts as vectors, by the models of the provider packages. As many calls as the provider's bound on one makes. */
import type { EmbeddingModelV4 } from "@ai-sdk/provider";
import type { Usage } from "../../agent/conversation.ts";
import type { FailedAttempt } from "../../agent/journal.ts";
import { tokensOf } from "../../agent/limits.ts";
import type { Clock } from "../../platform/clock.ts";
import { HoldfastError } from "../../platform/errors.ts";
import type { Random } from "../../platform/random.ts";
import { refuseLeftOut } from "../call/call-settings.ts";
import { attemptCodeOf, classifyFailure, type ModelFailure } from "../call/classify.ts";
import { backoffMs, isTransient, retryPauseMs } from "../call/retry-pause.ts";
import type { EmbeddingGateway, EmbeddingRequest } from "./embedding-gateway.ts";
import { ModelCallError } from "../model-gateway.ts";

export interface EmbeddingProviders {
  /** @throws HoldfastError `unknown_model_provider`, `model_key_missing`, `no_embeddings` */
  embedding(name: string): EmbeddingModelV4;
}

export interface EmbeddingDeps {
  readonly providers: EmbeddingProviders;
  readonly clock: Clock;
  readonly random: Random;
}

const attempts = 3;
/** What a provider asks to wait beyond this is said to the caller instead. */
const longestWaitMs = 20_000;
const timeoutMs = 60_000;

export function createEmbeddingGateway(deps: EmbeddingDeps): EmbeddingGateway {
  return {
    async embed(request) {
      const model = deps.providers.embedding(request.model);
      const most = (await model.maxEmbeddingsPerCall) ?? request.texts.length;
      const vectors: number[][] = [];
      let reported: number | null = 0;
      for (let at = 0; at < request.texts.length; at += most) {
        const texts = request.texts.slice(at, at + most);
        const { embeddings, usage } = await callAgain(deps, { ...request, texts, model, name: request.model });
        vectors.push(...embeddings);
        reported = usage === undefined || reported === null ? null : reported + usage.tokens;
      }
      return { vectors, usage: usageOf(request.texts, reported) };
    },
  };
}

interface EmbeddingCall extends Omit<EmbeddingRequest, "model"> {
  readonly model: EmbeddingModelV4;
  readonly name: string;
}

type Embedded = Awaited<ReturnType<EmbeddingModelV4["doEmbed"]>>;

async function callAgain(deps: EmbeddingDeps, call: EmbeddingCall): Promise<Embedded> {
  const failed: FailedAttempt[] = [];
  for (;;) {
    const startedAt = deps.clock.monotonic();
    try {
      return await callOnce(deps, call);
    } catch (thrown) {
      if (call.signal.aborted) throw call.signal.reason;
      const failure = classifyFailure(thrown, deps.clock.now());
      const ms = Math.round(deps.clock.monotonic() - startedAt);
      failed.push({ model: call.name, code: attemptCodeOf(thrown, failure), message: failure.message, ms });
      const waitMs = waitOf(deps, failure, failed.length);
      if (waitMs === null) throw callError(failure, failed);
      await deps.clock.sleep(waitMs, call.signal);
    }
  }
}

async function callOnce({ clock }: EmbeddingDeps, { model, texts, dimensions, signal }: EmbeddingCall) {
  const late = new AbortController();
  const message = `The model gave no embeddings within ${timeoutMs} ms.`;
  const cancel = clock.timer(timeoutMs, () =>
    late.abort(new HoldfastError("model_timeout", message, { retry: "now" })),
  );
  try {
    const embedded = await model.doEmbed({
      values: [...texts],
      ...(dimensions !== undefined && { dimensions }),
      abortSignal: AbortSignal.any([signal, late.signal]),
    });
    refuseLeftOut(embedded.warnings);
    if (embedded.embeddings.length === texts.length) return embedded;
    const problem = `${texts.length} texts were sent, and ${embedded.embeddings.length} embeddings came back.`;
    throw new HoldfastError("model_stream_broken", problem, { retry: "now" });
  } finally {
    cancel();
  }
}

/** @returns null where it is not to be tried again */
function waitOf({ random }: EmbeddingDeps, failure: ModelFailure, tried: number): number | null {
  if (!isTransient(failure.code) || tried >= attempts || (failure.retryAfterMs ?? 0) > longestWaitMs) return null;
  return retryPauseMs(failure, { tried, random });
}

function callError({ code, message, retryAfterMs }: ModelFailure, failed: readonly FailedAttempt[]): ModelCallError {
  const retry = isTransient(code) ? { afterMs: retryAfterMs ?? backoffMs.longest } : "never";
  return new ModelCallError(code, `No embeddings: ${message}`, { retry, attempts: failed });
}

function usageOf(texts: readonly string[], reported: number | null): Usage {
  const estimated = reported === null || reported === 0;
  const input = estimated ? tokensOf(texts.reduce((sum, text) => sum + text.length, 0)) : reported;
  return { input, cached: 0, output: 0, reasoning: 0, estimated };
}
