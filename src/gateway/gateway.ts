/**
 * The model gateway: one call along a route of candidates.
 *
 *   for each candidate, in the order of the route's strategy:
 *     try it, up to `attempts` times, unless its breaker is open or its gate is full:
 *       an answer                  → done, unless it was a small model's and does not stand up to the check
 *       unavailable, rate limited  → wait (backoff with full jitter, or what Retry-After says), try it again
 *       timed out, broken off      → the next candidate, if there is one
 *       auth                       → the next candidate
 *       context too long           → the next candidate whose window is not known to be as small, but no rules: who made the
 *                                    conversation can make it shorter
 *       content policy, bad request → give up: it is the request that is wrong, for every candidate
 *
 * Where nobody answers, the small model's answer that its judge found wanting is better than none.
 *
 * Nothing holds a worker for long: what a call waits, for the gate and between attempts, is at most `longestWaitMs`; what
 * would take longer is said to the caller.
 */
import type { Delta } from "../agent/conversation.ts";
import { isRuleModel, type Candidate } from "../agent/route.ts";
import { eitherOf } from "../platform/abort.ts";
import { assert, type Retry } from "../platform/errors.ts";
import { attemptCandidate, type AttemptOutcome } from "./call/candidate-attempt.ts";
import type { ModelFailure } from "./call/classify.ts";
import { isTransient } from "./call/retry-pause.ts";
import { createPrices, type Prices } from "./cost.ts";
import type { Faults } from "./experiments/faults.ts";
import { attemptHedged, hedgeAfterMs } from "./resilience/hedge.ts";
import { interruptedReply, type CallParts, type ModelCall, type ModelProviders } from "./call/model-call.ts";
import {
  ModelCallError,
  type ModelErrorCode,
  type ModelGateway,
  type ModelReply,
  type ModelRequest,
} from "./model-gateway.ts";
import { OutsideTime } from "./call/outside-time.ts";
import { longestWaitMs, tryRepeatedly } from "./resilience/repeats.ts";
import { createResilience, type Resilience, type ResilienceDeps } from "./resilience/resilience.ts";
import { examine, holdBackMarker, mayGiveWay, mayStandIn, standInReply, type StandIn } from "./route/small-first.ts";
import { planRoute } from "./route/strategy.ts";

export type { ModelProviders } from "./call/model-call.ts";
export type { GatewayObserver } from "./resilience/resilience.ts";

export interface ModelGatewayDeps extends ResilienceDeps {
  readonly providers: ModelProviders;
  /** What the process does about failures of models; default: its own, made of the other deps. */
  readonly resilience?: Resilience;
  /** Default: what the public list says. */
  readonly prices?: Prices;
  /** Of a game day; default: none. */
  readonly faults?: Faults;
}

/** What to tell a caller to wait when no provider says. */
const laterMs = 10_000;

export function createModelGateway(deps: ModelGatewayDeps): ModelGateway & Required<Pick<ModelGateway, "status">> {
  const { providers, faults, prices = createPrices(), resilience = createResilience(deps) } = deps;
  const parts: CallParts = { ...resilience, providers, prices, ...(faults !== undefined && { faults }) };
  return {
    async call(request) {
      const time = new OutsideTime(parts.clock);
      try {
        return await callUnlessInterrupted(parts, request, time);
      } finally {
        parts.observer.overhead(time.ownMs);
      }
    },
    status: () => parts.status(),
  };
}

async function callUnlessInterrupted(parts: CallParts, request: ModelRequest, time: OutsideTime): Promise<ModelReply> {
  assert(request.route.candidates.length > 0, "a model call needs a route");
  const { signal, interruption } = request;
  const ending = interruption === undefined ? null : eitherOf(signal, interruption);
  const { random, prices } = parts;
  const call: ModelCall = {
    request,
    plan: planRoute(request, { random, contextWindow: (model) => prices.contextWindow(model) }),
    signal: ending?.signal ?? signal,
    failed: [],
    lanes: new Set(),
    time,
    stale: false,
    waitLeftMs: longestWaitMs,
  };
  try {
    return await callRoute(parts, call);
  } catch (thrown) {
    if (signal.aborted || interruption?.aborted !== true) throw thrown;
    return interruptedReply(call, parts);
  } finally {
    ending?.release();
  }
}

interface RouteFailure extends ModelFailure {
  readonly model: string;
}

async function callRoute(parts: CallParts, call: ModelCall): Promise<ModelReply> {
  const windowOf = (model: string): number | null => parts.prices.contextWindow(model);
  const failures: RouteFailure[] = [];
  let standIn: StandIn | null = null;
  /** So many tokens are known not to be enough. */
  let tooFew = 0;
  for (const [index, candidate] of call.plan.order.entries()) {
    const { model } = candidate;
    if (tooFew > 0 && (windowOf(model) ?? Number.POSITIVE_INFINITY) <= tooFew) continue;
    if (isRuleModel(model) && failures.some(({ code }) => code === "model_context_too_long")) continue;
    const rest = call.plan.order.slice(index + 1);
    const outcome = await tryCandidate(parts, call, { candidate, rest });
    if ("reply" in outcome) return outcome.reply;
    if (outcome.failure === null) {
      if ((outcome.standIn?.score ?? -1) > (standIn?.score ?? -1)) standIn = outcome.standIn;
      continue;
    }
    failures.push({ ...outcome.failure, model });
    if (isVerdict(outcome.failure.code)) break;
    if (outcome.failure.code === "model_context_too_long") tooFew = Math.max(tooFew, windowOf(model) ?? 0);
  }
  if (standIn !== null && mayStandIn(failures)) return sayInstead(standIn, call);
  throw routeError(failures, call);
}

/** Whoever reads along has seen it, and then perhaps the beginnings of others, which are void. */
function sayInstead(standIn: StandIn, { request, failed, stale }: ModelCall): ModelReply {
  if (stale) request.onDelta({ type: "restart" });
  for (const part of standIn.reply.parts)
    if (part.type !== "call") request.onDelta({ type: part.type, text: part.text });
  return standInReply(standIn, failed);
}

interface Turn {
  readonly candidate: Candidate;
  /** Who is asked after it. */
  readonly rest: readonly Candidate[];
}

type Tried = { reply: ModelReply } | { failure: ModelFailure } | { failure: null; standIn: StandIn | null };

/** @returns a failure of null where the candidate gave way to those after it */
async function tryCandidate(parts: CallParts, call: ModelCall, turn: Turn): Promise<Tried> {
  const { rank } = turn.candidate;
  const show = (delta: Delta): void => {
    call.stale = true;
    call.request.onDelta(delta);
  };
  if (rank !== call.plan.checkedRank || turn.rest.every((later) => later.rank === rank)) {
    return tryOften(parts, call, { ...turn, request: call.request, show: () => show });
  }
  let held = holdBackMarker(show);
  const outcome = await tryOften(parts, call, {
    ...turn,
    // How long it took is told from its tokens.
    request: { ...mayGiveWay(call.request), whole: false },
    show: () => (held = holdBackMarker(show)).onDelta,
  });
  if (!("reply" in outcome)) return outcome;
  const weighed = await weigh(parts, call, outcome.reply);
  if ("reply" in weighed) held.flush();
  return weighed;
}

/** Whether the answer of a small model counts. What its judge took is written down in any case. */
async function weigh(parts: CallParts, call: ModelCall, reply: ModelReply): Promise<Tried> {
  const { model, usage, costMicros, choice } = reply;
  const ms = Math.round(reply.ttftMs + reply.tpotMs * Math.max(0, usage.output - 1));
  const at = parts.clock.now() - ms;
  const ask = (request: ModelRequest): Promise<ModelReply> =>
    call.time.during(() => callUnlessInterrupted(parts, request, new OutsideTime(parts.clock)));
  const { doubt, judged, note } = await examine({ clock: parts.clock, call: ask }, reply, call.request);
  call.failed.push(...judged);
  if (doubt === null) {
    if (note === "" || choice === undefined) return { reply };
    return { reply: { ...reply, choice: { ...choice, reason: `${choice.reason}; ${note}` } } };
  }
  const attempt = { model, code: "model_escalated", message: doubt.reason, ms, at, usage, costMicros };
  call.failed.push(attempt);
  return { failure: null, standIn: doubt.score === null ? null : { reply, attempt, score: doubt.score } };
}

interface Attempts extends Turn {
  /** As this candidate is to see it. */
  readonly request: ModelRequest;
  /** An attempt begins: where its deltas go. */
  readonly show: () => (delta: Delta) => void;
}

function tryOften(
  parts: CallParts,
  call: ModelCall,
  attempts: Attempts,
): Promise<{ reply: ModelReply } | { failure: ModelFailure }> {
  const { candidate, rest } = attempts;
  const attempt = (): Promise<AttemptOutcome> => attemptOnce(parts, call, attempts);
  return tryRepeatedly(parts, call, { model: candidate.model, isAlone: rest.length === 0, attempt });
}

function attemptOnce(
  parts: CallParts,
  call: ModelCall,
  { candidate, request, show }: Attempts,
): Promise<AttemptOutcome> {
  if (call.stale) call.request.onDelta({ type: "restart" });
  call.stale = false;
  const attempt = { candidate, request, onDelta: show() };
  const afterMs = hedgeAfterMs(parts, call, candidate);
  if (afterMs !== null) return attemptHedged(parts, call, { ...attempt, afterMs });
  return attemptCandidate(parts, call, { ...attempt, signal: call.signal, onFirstToken: () => {} });
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

function routeError(failures: readonly RouteFailure[], { failed }: ModelCall): ModelCallError {
  const ranked = failures.toSorted((a, b) => usefulness.indexOf(a.code) - usefulness.indexOf(b.code));
  const code = ranked[0]?.code ?? "model_unavailable";
  const waits = failures
    .filter((failure) => isTransient(failure.code))
    .map((failure) => failure.retryAfterMs ?? laterMs);
  const retry: Retry = isTransient(code) ? { afterMs: Math.min(...waits) } : "never";
  const reasons = failures.map(({ model, message }) => `${model}: ${message}`);
  return new ModelCallError(code, `No model answered. ${reasons.join(" ")}`, { retry, attempts: failed });
}
