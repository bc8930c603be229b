/**
 * The model gateway: one call along a route of candidates.
 *
 *   for each candidate, in order:
 *     try it, up to `attempts` times:
 *       an answer                  → done
 *       unavailable, rate limited  → wait (backoff with full jitter, or what Retry-After says), try it again
 *       auth, context too long     → the next candidate
 *       content policy, bad request → give up: it is the request that is wrong, for every candidate
 *
 * Nothing holds a worker for long: a wait of more than `longestWaitMs` is not waited here but said to the caller.
 */
import type { LanguageModelV4 } from "@ai-sdk/provider";
import type { AssistantPart, Delta, Usage } from "../agent/conversation.ts";
import type { FailedAttempt } from "../agent/journal.ts";
import type { Clock } from "../platform/clock.ts";
import { assert, type Retry } from "../platform/errors.ts";
import type { Random } from "../platform/random.ts";
import { type AttemptResult, type AttemptTimeouts, defaultTimeouts, runAttempt } from "./attempt.ts";
import { attemptCodeOf, classifyFailure, type ModelFailure } from "./classify.ts";
import { costMicros } from "./cost.ts";
import {
  ModelCallError,
  type ModelErrorCode,
  type ModelGateway,
  type ModelReply,
  type ModelRequest,
} from "./model-gateway.ts";
import { splitModelName } from "./model-name.ts";
import { callOptionsOf } from "./prompt.ts";
import { usageOf } from "./usage.ts";

export interface ModelProviders {
  /**
   * The model `provider/id`.
   * @throws HoldfastError `unknown_model_provider`, `model_key_missing`
   */
  model(name: string): LanguageModelV4;
}

export interface ModelGatewayDeps {
  readonly providers: ModelProviders;
  readonly clock: Clock;
  readonly random: Random;
  /** Attempts at one candidate; default 3. */
  readonly attempts?: number;
  readonly timeouts?: Partial<AttemptTimeouts>;
}

type Settings = Required<Omit<ModelGatewayDeps, "timeouts">> & { readonly timeouts: AttemptTimeouts };

/** A call under way. */
interface Call {
  readonly request: ModelRequest;
  readonly failed: FailedAttempt[];
  /** Aborts with the request's signal, or when it is interrupted. */
  readonly signal: AbortSignal;
  /** Deltas of an attempt that failed are out; they are void as soon as the next one begins. */
  stale: boolean;
  /** The attempt under way, and what it has said so far. */
  candidate: string | null;
  text: string;
  beganAt: number;
  firstAt: number | null;
}

const backoffMs = { first: 500, longest: 8_000 };
const longestWaitMs = 20_000;
/** What to tell a caller to wait when no provider says. */
const laterMs = 10_000;

export function createModelGateway(deps: ModelGatewayDeps): ModelGateway {
  const timeouts = { ...defaultTimeouts, ...deps.timeouts };
  const settings: Settings = { ...deps, attempts: deps.attempts ?? 3, timeouts };
  return { call: (request) => callUnlessInterrupted(settings, request) };
}

async function callUnlessInterrupted(settings: Settings, request: ModelRequest): Promise<ModelReply> {
  const { signal, interruption } = request;
  const either = interruption === undefined ? signal : AbortSignal.any([signal, interruption]);
  const fresh = { stale: false, candidate: null, text: "", beganAt: 0, firstAt: null };
  const call: Call = { request, failed: [], signal: either, ...fresh };
  try {
    return await callRoute(settings, call);
  } catch (thrown) {
    if (signal.aborted || interruption?.aborted !== true) throw thrown;
    return interruptedReply(call);
  }
}

const notReported = {
  inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: undefined, text: undefined, reasoning: undefined },
};

/**
 * No provider reports what a call used that is cut off, and it is paid for all the same: the numbers are estimates. Calls
 * and reasoning are left out, for half of them is worth nothing to anybody.
 */
function interruptedReply({ request, failed, candidate, text, beganAt, firstAt }: Call): ModelReply {
  const parts: AssistantPart[] = text.trim() === "" ? [] : [{ type: "text", text }];
  const model = candidate ?? request.route[0] ?? "";
  const nothing: Usage = { input: 0, cached: 0, output: 0, reasoning: 0, estimated: true };
  const usage = candidate === null ? nothing : usageOf(notReported, { request, parts });
  return {
    parts,
    finish: "interrupted",
    model,
    usage,
    costMicros: candidate === null ? 0 : costMicros(candidate, usage, undefined),
    ttftMs: firstAt === null ? 0 : hundredths(firstAt - beganAt),
    tpotMs: 0,
    attempts: failed,
  };
}

async function callRoute(settings: Settings, call: Call): Promise<ModelReply> {
  assert(call.request.route.length > 0, "a model call needs a route");
  const failures: ModelFailure[] = [];
  for (const candidate of call.request.route) {
    const outcome = await tryCandidate(settings, call, candidate);
    if ("reply" in outcome) return outcome.reply;
    failures.push(outcome.failure);
    if (isVerdict(outcome.failure.code)) break;
  }
  throw routeError(failures, call);
}

async function tryCandidate(
  settings: Settings,
  call: Call,
  candidate: string,
): Promise<{ reply: ModelReply } | { failure: ModelFailure }> {
  const { clock, random } = settings;
  const { signal } = call;
  for (let tried = 1; ; tried++) {
    signal.throwIfAborted();
    const startedAt = clock.monotonic();
    try {
      return { reply: await callOnce(settings, call, candidate) };
    } catch (thrown) {
      if (signal.aborted) throw signal.reason;
      const failure = classifyFailure(thrown, clock.now());
      const ms = Math.round(clock.monotonic() - startedAt);
      call.failed.push({ model: candidate, code: attemptCodeOf(thrown, failure), message: failure.message, ms });
      const waitMs = waitBeforeNext(failure, { tried, random });
      if (waitMs === null || tried >= settings.attempts) return { failure };
      await clock.sleep(waitMs, signal);
    }
  }
}

async function callOnce(settings: Settings, call: Call, candidate: string): Promise<ModelReply> {
  const { clock, providers, timeouts } = settings;
  const { request } = call;
  const model = providers.model(candidate);
  if (call.stale) request.onDelta({ type: "restart" });
  call.stale = false;
  Object.assign(call, { candidate, text: "", beganAt: clock.monotonic(), firstAt: null });
  const onDelta = (delta: Delta): void => {
    call.stale = true;
    call.firstAt ??= clock.monotonic();
    if (delta.type === "text") call.text += delta.text;
    request.onDelta(delta);
  };
  const options = callOptionsOf(request, splitModelName(candidate).provider);
  const result = await runAttempt({ model, options, signal: call.signal, clock, timeouts, onDelta });
  return replyOf(result, call, candidate);
}

function replyOf({ turn, ttftMs, tokensMs }: AttemptResult, call: Call, candidate: string): ModelReply {
  const usage = usageOf(turn.usage, { request: call.request, parts: turn.parts });
  return {
    parts: turn.parts,
    finish: turn.finish,
    model: candidate,
    usage,
    costMicros: costMicros(candidate, usage, turn.usage.inputTokens.cacheWrite),
    ttftMs: hundredths(ttftMs),
    tpotMs: hundredths(tokensMs / Math.max(1, usage.output - 1)),
    attempts: call.failed,
  };
}

function hundredths(ms: number): number {
  return Math.round(ms * 100) / 100;
}

/** @returns null where the same candidate is not to be tried again */
function waitBeforeNext(failure: ModelFailure, { tried, random }: { tried: number; random: Random }): number | null {
  if (!isTransient(failure.code)) return null;
  const jitterMs = random() * Math.min(backoffMs.longest, backoffMs.first * 2 ** (tried - 1));
  const asked = failure.retryAfterMs ?? 0;
  return asked > longestWaitMs ? null : asked + jitterMs;
}

function isTransient(code: ModelErrorCode): boolean {
  return code === "model_unavailable" || code === "model_rate_limited";
}

/** Says something of the request itself, whoever is asked. */
function isVerdict(code: ModelErrorCode): boolean {
  return code === "model_content_policy" || code === "model_bad_request";
}

/** A verdict stands; else what passes counts most, as a later call may succeed; else what the caller can mend. */
const usefulness: readonly ModelErrorCode[] = [
  "model_content_policy",
  "model_bad_request",
  "model_rate_limited",
  "model_unavailable",
  "model_context_too_long",
  "model_auth",
];

function routeError(failures: readonly ModelFailure[], { request, failed }: Call): ModelCallError {
  const ranked = failures.toSorted((a, b) => usefulness.indexOf(a.code) - usefulness.indexOf(b.code));
  const code = ranked[0]?.code ?? "model_unavailable";
  const waits = failures
    .filter((failure) => isTransient(failure.code))
    .map((failure) => failure.retryAfterMs ?? laterMs);
  const retry: Retry = isTransient(code) ? { afterMs: Math.min(...waits) } : "never";
  const reasons = failures.map((failure, index) => `${request.route[index]}: ${failure.message}`);
  return new ModelCallError(code, `No model answered. ${reasons.join(" ")}`, { retry, attempts: failed });
}
