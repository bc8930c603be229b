/**
 * Gathers calls for embeddings, so that many small ones go to the provider as one: a gateway around a gateway.
 *
 * A tenant's calls of one model and one number of dimensions gather until they hold `maxTexts` texts, or until the first of them has
 * waited `maxWaitMs`. A call that alone holds as many goes at once. The provider's own bound on one call is kept by the
 * gateway inside.
 *
 * Nobody pays for a neighbour. What one of them does wrong is found by halving: the halves go again, until who is refused
 * is alone. What is not their fault (an outage) fails all of them, since halving it would only double it. Whoever is
 * cancelled leaves at once, and the call under way is given up when the last of them has left.
 */
import type { Usage } from "../../agent/conversation.ts";
import type { FailedAttempt } from "../../agent/journal.ts";
import type { Clock } from "../../platform/clock.ts";
import { InvalidInputError } from "../../platform/errors.ts";
import type { EmbeddingGateway, EmbeddingReply, EmbeddingRequest } from "./embedding-gateway.ts";
import { ModelCallError, type ModelErrorCode } from "../model-gateway.ts";

export interface GatherOptions {
  /** Texts that travel together at most; default 32. */
  readonly maxTexts?: number;
  /** How long the first of them waits for others; default 100. */
  readonly maxWaitMs?: number;
}

export interface GatherDeps extends GatherOptions {
  readonly clock: Clock;
}

const defaults = { maxTexts: 32, maxWaitMs: 100 };

/** @throws InvalidInputError `invalid_config` with the path of what is wrong */
export function gatherSettings(options: GatherOptions = {}): Required<GatherOptions> {
  const settings = { ...defaults, ...options };
  const { maxTexts, maxWaitMs } = settings;
  if (!(Number.isInteger(maxTexts) && maxTexts > 0)) throw invalid("maxTexts", maxTexts, "a whole number above 0");
  if (!(Number.isFinite(maxWaitMs) && maxWaitMs >= 0)) throw invalid("maxWaitMs", maxWaitMs, "0 or a number above it");
  return settings;
}

function invalid(name: string, value: number, rule: string): InvalidInputError {
  const path = `/gateway/embeddings/${name}`;
  return new InvalidInputError("invalid_config", `${path} is ${value}, but must be ${rule}.`, path);
}

interface Waiting {
  readonly request: EmbeddingRequest;
  readonly resolve: (reply: EmbeddingReply) => void;
  readonly reject: (reason: unknown) => void;
  left: boolean;
}

/** Calls that wait to go together. */
interface Gathering {
  readonly waiting: Waiting[];
  readonly cancelTimer: () => void;
}

/** A fault of what was sent, whoever is asked: it is found, and not repeated. */
const faults: readonly ModelErrorCode[] = ["model_bad_request", "model_content_policy", "model_context_too_long"];

export function gatherEmbeddings(gateway: EmbeddingGateway, { clock, ...options }: GatherDeps): EmbeddingGateway {
  const { maxTexts, maxWaitMs } = gatherSettings(options);
  const gatherings = new Map<string, Gathering>();

  function go(key: string): void {
    const gathering = gatherings.get(key);
    if (gathering === undefined) return;
    gatherings.delete(key);
    gathering.cancelTimer();
    const there = gathering.waiting.filter(({ left }) => !left);
    // It settles those who wait, and never rejects.
    send(gateway, there).catch((error: unknown) => there.forEach(({ reject }) => reject(error)));
  }

  function join(waiting: Waiting): void {
    const { texts } = waiting.request;
    const { tenant, model, dimensions = null } = waiting.request;
    const key = JSON.stringify([tenant, model, dimensions]);
    const gathered = gatherings.get(key)?.waiting.filter(({ left }) => !left) ?? [];
    if (textsOf(gathered) + texts.length > maxTexts) go(key);
    const gathering = gatherings.get(key) ?? { waiting: [], cancelTimer: clock.timer(maxWaitMs, () => go(key)) };
    gatherings.set(key, gathering);
    gathering.waiting.push(waiting);
    if (textsOf(gathering.waiting.filter(({ left }) => !left)) >= maxTexts) go(key);
  }

  return {
    embed(request) {
      const { signal } = request;
      if (signal.aborted) return Promise.reject(signal.reason);
      return new Promise((resolve, reject) => {
        const done = (): void => signal.removeEventListener("abort", onAbort);
        const waiting: Waiting = {
          request,
          resolve: (reply) => (done(), resolve(reply)),
          reject: (reason) => (done(), reject(reason)),
          left: false,
        };
        const onAbort = (): void => {
          waiting.left = true;
          waiting.reject(signal.reason);
        };
        signal.addEventListener("abort", onAbort, { once: true });
        join(waiting);
      });
    },
  };
}

function textsOf(waiting: readonly Waiting[]): number {
  return waiting.reduce((sum, { request }) => sum + request.texts.length, 0);
}

/** Settles every one of them; depth is bounded by halving. */
async function send(gateway: EmbeddingGateway, all: readonly Waiting[]): Promise<void> {
  const waiting = all.filter(({ left }) => !left);
  const [first] = waiting;
  if (first === undefined) return;
  const { tenant, model, dimensions } = first.request;
  const texts = waiting.flatMap(({ request }) => request.texts);
  const { signal, stopListening } = abortsWithTheLast(waiting);
  try {
    const reply = await gateway.embed({ tenant, model, dimensions, texts, signal });
    handOut(reply, waiting);
  } catch (error) {
    if (waiting.length === 1 || !isFault(error)) {
      return rejectAll(error, waiting);
    }
    const middle = Math.ceil(waiting.length / 2);
    await Promise.all([send(gateway, waiting.slice(0, middle)), send(gateway, waiting.slice(middle))]);
  } finally {
    stopListening();
  }
}

function isFault(error: unknown): boolean {
  return error instanceof ModelCallError && faults.some((code) => code === error.code);
}

/** Callers' signals may outlive the call by far: whoever is done with it stops listening. */
function abortsWithTheLast(waiting: readonly Waiting[]): { signal: AbortSignal; stopListening: () => void } {
  const listening = new AbortController();
  const controller = new AbortController();
  let staying = waiting.length;
  for (const { request } of waiting) {
    const leave = (): void => {
      if (--staying === 0) controller.abort(request.signal.reason);
    };
    request.signal.addEventListener("abort", leave, { once: true, signal: listening.signal });
  }
  return { signal: controller.signal, stopListening: () => listening.abort() };
}

/** The vectors are told apart by their place. Of the tokens, which come as one number, each has a share by its length. */
function handOut({ vectors, usage, attempts }: EmbeddingReply, waiting: readonly Waiting[]): void {
  const weights = lengthsOf(waiting);
  const shares = usageShares(usage, weights);
  const failed = attemptShares(attempts, weights);
  let from = 0;
  for (const [index, { request, resolve }] of waiting.entries()) {
    const to = from + request.texts.length;
    resolve({ vectors: vectors.slice(from, to), usage: shares[index]!, attempts: failed[index]! });
    from = to;
  }
}

/** What failed for all of them may have been paid for: of that, too, each has its share. */
function rejectAll(error: unknown, waiting: readonly Waiting[]): void {
  const failed = error instanceof ModelCallError ? attemptShares(error.attempts, lengthsOf(waiting)) : [];
  for (const [index, { reject }] of waiting.entries()) {
    const attempts = failed[index];
    if (attempts === undefined) reject(error);
    else {
      const { code, message, retry } = error as ModelCallError;
      reject(new ModelCallError(code as ModelErrorCode, message, { retry, attempts, cause: error }));
    }
  }
}

function lengthsOf(waiting: readonly Waiting[]): number[] {
  return waiting.map(({ request }) => request.texts.reduce((sum, text) => sum + text.length, 0));
}

function usageShares(usage: Usage, weights: readonly number[]): Usage[] {
  const estimated = usage.estimated || weights.length > 1;
  return sharesOf(usage.input, weights).map((input) => ({ input, cached: 0, output: 0, reasoning: 0, estimated }));
}

function attemptShares(attempts: readonly FailedAttempt[], weights: readonly number[]): FailedAttempt[][] {
  const shared = attempts.map(({ usage, costMicros, ...attempt }): FailedAttempt[] => {
    if (usage === undefined) return weights.map(() => attempt);
    const costs = typeof costMicros === "number" ? sharesOf(costMicros, weights) : [];
    return usageShares(usage, weights).map((share, index) => {
      return { ...attempt, usage: share, costMicros: costs[index] ?? null };
    });
  });
  return weights.map((_weight, index) => shared.map((shares) => shares[index]!));
}

/** Whole numbers in proportion to the weights that add up to the total, to the last one. */
function sharesOf(total: number, weights: readonly number[]): number[] {
  const sum = weights.reduce((all, weight) => all + weight, 0) || 1;
  let weighed = 0;
  let given = 0;
  return weights.map((weight, index) => {
    weighed += weight;
    const upTo = index === weights.length - 1 ? total : Math.round((total * weighed) / sum);
    const share = upTo - given;
    given = upTo;
    return share;
  });
}
