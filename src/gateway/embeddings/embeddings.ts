/**
 * Embeddings: texts as vectors, by the models of the provider packages. As many requests as the provider's bound on one makes,
 * one after the other; around each stands what stands around a request for a chat: breaker, gate, retry budget, a time limit.
 */
import type { EmbeddingModelV4 } from "@ai-sdk/provider";
import type { Usage } from "../../agent/conversation.ts";
import type { FailedAttempt } from "../../agent/journal.ts";
import { tokensOf } from "../../agent/limits.ts";
import { withTimeLimit } from "../../platform/abort.ts";
import { HoldfastError } from "../../platform/errors.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { refuseLeftOut } from "../call/call-settings.ts";
import type { ModelFailure } from "../call/classify.ts";
import { OutsideTime } from "../call/outside-time.ts";
import { backoffMs, isTransient } from "../call/retry-pause.ts";
import type { Prices } from "../cost.ts";
import { ModelCallError } from "../model-gateway.ts";
import { admitWaiting } from "../resilience/admission.ts";
import { longestWaitMs, tryRepeatedly, type Outcome, type Waits } from "../resilience/repeats.ts";
import type { Resilience } from "../resilience/resilience.ts";
import type { EmbeddingGateway, EmbeddingReply, EmbeddingRequest } from "./embedding-gateway.ts";

export interface EmbeddingProviders {
  /**
   * The model `provider/id` with one of the provider's keys; default the first.
   * @throws HoldfastError `unknown_model_provider`, `model_key_missing`
   */
  embedding(name: string, key?: number): EmbeddingModelV4;
}

export interface EmbeddingDeps {
  readonly providers: EmbeddingProviders;
  readonly resilience: Resilience;
  readonly prices: Prices;
  readonly metrics: Pick<Metrics, "attemptsFailed" | "tokensUsed">;
}

interface Parts extends EmbeddingDeps, Resilience {}

interface EmbeddingCall extends Waits {
  readonly request: EmbeddingRequest;
  readonly failed: FailedAttempt[];
}

/** What one request brought. */
type Embedded = Pick<EmbeddingReply, "vectors" | "usage"> & { readonly costMicros: number | null };

export function createEmbeddingGateway(deps: EmbeddingDeps): EmbeddingGateway {
  const parts: Parts = { ...deps, ...deps.resilience };
  const { clock, observer, metrics } = parts;
  return {
    async embed(request) {
      const { model, signal } = request;
      const time = new OutsideTime(clock);
      const call: EmbeddingCall = { request, signal, time, waitLeftMs: longestWaitMs, failed: [] };
      try {
        const reply = await embedAll(parts, call);
        metrics.tokensUsed({ model, usage: reply.usage });
        return reply;
      } finally {
        metrics.attemptsFailed(call.failed);
        observer.overhead(time.ownMs);
      }
    },
  };
}

async function embedAll(parts: Parts, call: EmbeddingCall): Promise<EmbeddingReply> {
  const { model, texts } = call.request;
  const most = (await parts.providers.embedding(model).maxEmbeddingsPerCall) ?? texts.length;
  const embedded: Embedded[] = [];
  for (let at = 0; at < texts.length; at += most) {
    const some = texts.slice(at, at + most);
    const attempt = (): Promise<Outcome<Embedded>> => attemptOnce(parts, call, some);
    const outcome = await tryRepeatedly(parts, call, { model, isAlone: true, attempt });
    if ("failure" in outcome) throw callError(outcome.failure, [...call.failed, ...inVain(parts, call, embedded)]);
    embedded.push(outcome.reply);
  }
  return {
    vectors: embedded.flatMap(({ vectors }) => vectors),
    usage: sumOf(embedded.map(({ usage }) => usage)),
    attempts: call.failed,
  };
}

async function attemptOnce(parts: Parts, call: EmbeddingCall, texts: readonly string[]): Promise<Outcome<Embedded>> {
  const { clock, prices, records } = parts;
  const { signal, failed } = call;
  const { model, tenant } = call.request;
  const [at, startedAt] = [clock.now(), clock.monotonic()];
  const sinceMs = (): number => clock.monotonic() - startedAt;
  const admission = await admitWaiting(parts, call, { model, tenant, tokens: sizeOf(texts), signal });
  if ("failure" in admission) {
    const { failure, code } = admission;
    failed.push({ model, code, message: failure.message, ms: Math.round(sinceMs()), at });
    return { failure, repeat: "never" };
  }
  let headers: Readonly<Record<string, string>> = {};
  let paid: { usage: Usage; costMicros: number | null } | undefined;
  try {
    const reply = await call.time.during(() => send(parts, call, { texts, key: admission.key }));
    headers = reply.response?.headers ?? {};
    const usage = usageOf(texts, reply.usage?.tokens ?? 0);
    paid = { usage, costMicros: prices.costMicros(model, usage, { at }) };
    requireWhole(reply, texts);
    admission.answered({ usedTokens: usage.input, headers });
    records.of(model).ttftMs.add(sinceMs());
    return { reply: { vectors: reply.embeddings, ...paid } };
  } catch (thrown) {
    if (signal.aborted) {
      admission.givenUp();
      throw signal.reason;
    }
    const { failure, code } = admission.failed(thrown, headers);
    failed.push({ model, code, message: failure.message, ms: Math.round(sinceMs()), at, ...paid });
    return { failure, repeat: "soon" };
  }
}

type Reply = Awaited<ReturnType<EmbeddingModelV4["doEmbed"]>>;

/** The head of such a reply comes with all of it, so what holds for the head holds for the whole. */
function send(
  { providers, clock, timeouts }: Parts,
  { request: { model, dimensions }, signal }: EmbeddingCall,
  { texts, key }: { texts: readonly string[]; key: number },
): Promise<Reply> {
  const ms = Math.min(timeouts.connectMs, timeouts.totalMs);
  const late = () =>
    new HoldfastError("model_timeout", `The model gave no embeddings within ${ms} ms.`, { retry: "now" });
  return withTimeLimit({ clock, ms, signal, late }, (abortSignal) =>
    providers
      .embedding(model, key)
      .doEmbed({ values: [...texts], ...(dimensions !== undefined && { dimensions }), abortSignal }),
  );
}

function requireWhole({ embeddings, warnings }: Reply, texts: readonly string[]): void {
  refuseLeftOut(warnings);
  if (embeddings.length === texts.length) return;
  const problem = `${texts.length} texts were sent, and ${embeddings.length} embeddings came back.`;
  throw new HoldfastError("model_stream_broken", problem, { retry: "now" });
}

/** The first of several requests were answered, and paid for. */
function inVain(
  { clock }: Parts,
  { request: { model } }: EmbeddingCall,
  embedded: readonly Embedded[],
): FailedAttempt[] {
  const message = "These texts were embedded, but others of the same call were not.";
  return embedded.map(({ usage, costMicros }) => {
    return { model, code: "embeddings_in_vain", message, ms: 0, at: clock.now(), usage, costMicros };
  });
}

function callError({ code, message, retryAfterMs }: ModelFailure, attempts: readonly FailedAttempt[]): ModelCallError {
  const retry = isTransient(code) ? { afterMs: retryAfterMs ?? backoffMs.longest } : "never";
  return new ModelCallError(code, `No embeddings: ${message}`, { retry, attempts });
}

/** @param reported 0: the provider does not say */
function usageOf(texts: readonly string[], reported: number): Usage {
  return { input: reported || sizeOf(texts), cached: 0, output: 0, reasoning: 0, estimated: reported === 0 };
}

function sizeOf(texts: readonly string[]): number {
  return tokensOf(texts.reduce((sum, text) => sum + text.length, 0));
}

function sumOf(usages: readonly Usage[]): Usage {
  const input = usages.reduce((sum, usage) => sum + usage.input, 0);
  return { input, cached: 0, output: 0, reasoning: 0, estimated: usages.some(({ estimated }) => estimated) };
}
