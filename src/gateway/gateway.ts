/**
 * The model gateway: one call along a route of candidates.
 *
 *   for each candidate, in the order of the route's strategy:
 *     try it, up to `attempts` times, unless its breaker is open or its gate is full:
 *       an answer                  → done, unless it was a small model's and does not stand up to the check
 *       unavailable, rate limited  → wait (backoff with full jitter, or what Retry-After says), try it again
 *       timed out, broken off      → the next candidate, if there is one
 *       auth                       → the next candidate
 *       context too long           → the next candidate whose window is not known to be as small
 *       content policy, bad request → give up: it is the request that is wrong, for every candidate
 *
 * Nothing holds a worker for long: what a call waits, for the gate and between attempts, is at most `longestWaitMs`; what
 * would take longer is said to the caller.
 */
import type { Delta } from "../agent/conversation.ts";
import type { Candidate } from "../agent/route.ts";
import type { Clock } from "../platform/clock.ts";
import { assert, type Retry } from "../platform/errors.ts";
import type { Random } from "../platform/random.ts";
import type { BreakerState } from "./resilience/breaker.ts";
import { attemptCandidate, type AttemptOutcome } from "./call/candidate-attempt.ts";
import type { ModelFailure } from "./call/classify.ts";
import { isTransient, retryPauseMs } from "./call/retry-pause.ts";
import { createPrices, type Prices } from "./cost.ts";
import { holdBackMarker, mayGiveWay, whyToEscalate } from "./route/escalation.ts";
import type { Faults } from "./experiments/faults.ts";
import { openGate, type Gate } from "./gate/gate.ts";
import { attemptHedged, hedgeAfterMs } from "./resilience/hedge.ts";
import { interruptedReply, type CallParts, type ModelCall, type ModelProviders } from "./call/model-call.ts";
import {
  ModelCallError,
  type ModelErrorCode,
  type ModelGateway,
  type ModelReply,
  type ModelRequest,
} from "./model-gateway.ts";
import { createModelRecords } from "./resilience/model-records.ts";
import { gatewaySettings, type GatewayOptions } from "./options.ts";
import { OutsideTime } from "./call/outside-time.ts";
import { planRoute } from "./route/strategy.ts";

export type { ModelProviders } from "./call/model-call.ts";

export interface ModelGatewayDeps extends GatewayOptions {
  readonly providers: ModelProviders;
  readonly clock: Clock;
  readonly random: Random;
  /** Default: lets everything through. */
  readonly gate?: Gate;
  /** Default: what the public list says. */
  readonly prices?: Prices;
  /** Of a game day; default: none. */
  readonly faults?: Faults;
  readonly observer?: GatewayObserver;
}

/** Who is told what happens, for metrics and logs. */
export interface GatewayObserver {
  /** A call is over. @param ms what it took that was neither the provider's time nor a wait */
  overhead(ms: number): void;
  breaker(model: string, state: BreakerState): void;
  retried(model: string): void;
  hedged(model: string, winner: "first" | "second" | "nobody"): void;
}

const longestWaitMs = 20_000;
/** What to tell a caller to wait when no provider says. */
const laterMs = 10_000;

const nobody: GatewayObserver = { overhead() {}, breaker() {}, retried() {}, hedged() {} };

export function createModelGateway(deps: ModelGatewayDeps): ModelGateway & Required<Pick<ModelGateway, "status">> {
  const { clock, observer = nobody, gate = openGate, prices = createPrices() } = deps;
  const settings = gatewaySettings(deps);
  const records = createModelRecords({
    ...settings,
    clock,
    onBreaker: (model, state) => observer.breaker(model, state),
  });
  const parts: CallParts = {
    ...deps,
    ...settings,
    gate,
    prices,
    records,
    onRetry: (model) => observer.retried(model),
    onHedge: (model, winner) => observer.hedged(model, winner),
  };
  return {
    async call(request) {
      const time = new OutsideTime(clock);
      try {
        return await callUnlessInterrupted(parts, request, time);
      } finally {
        observer.overhead(time.ownMs);
      }
    },
    status: () => records.status(gate.status()),
  };
}

async function callUnlessInterrupted(parts: CallParts, request: ModelRequest, time: OutsideTime): Promise<ModelReply> {
  assert(request.route.candidates.length > 0, "a model call needs a route");
  const { signal, interruption } = request;
  const { random, prices } = parts;
  const call: ModelCall = {
    request,
    plan: planRoute(request, { random, contextWindow: (model) => prices.contextWindow(model) }),
    signal: interruption === undefined ? signal : AbortSignal.any([signal, interruption]),
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
  }
}

interface RouteFailure extends ModelFailure {
  readonly model: string;
}

async function callRoute(parts: CallParts, call: ModelCall): Promise<ModelReply> {
  const windowOf = (model: string): number | null => parts.prices.contextWindow(model);
  const failures: RouteFailure[] = [];
  /** So many tokens are known not to be enough. */
  let tooFew = 0;
  for (const [index, candidate] of call.plan.order.entries()) {
    const { model } = candidate;
    if (tooFew > 0 && (windowOf(model) ?? Number.POSITIVE_INFINITY) <= tooFew) continue;
    const rest = call.plan.order.slice(index + 1);
    const outcome = await tryCandidate(parts, call, { candidate, rest });
    if ("reply" in outcome) return outcome.reply;
    if (outcome.failure === null) continue;
    failures.push({ ...outcome.failure, model });
    if (isVerdict(outcome.failure.code)) break;
    if (outcome.failure.code === "model_context_too_long") tooFew = Math.max(tooFew, windowOf(model) ?? 0);
  }
  throw routeError(failures, call);
}

interface Turn {
  readonly candidate: Candidate;
  /** Who is asked after it. */
  readonly rest: readonly Candidate[];
}

/** @returns a failure of null where the candidate gave way to those after it */
async function tryCandidate(
  parts: CallParts,
  call: ModelCall,
  turn: Turn,
): Promise<{ reply: ModelReply } | { failure: ModelFailure | null }> {
  const { rank } = turn.candidate;
  const show = (delta: Delta): void => {
    call.stale = true;
    call.request.onDelta(delta);
  };
  if (rank !== call.plan.checkedRank || turn.rest.every((later) => later.rank === rank)) {
    return tryRepeatedly(parts, call, { ...turn, request: call.request, show: () => show });
  }
  let held = holdBackMarker(show);
  const outcome = await tryRepeatedly(parts, call, {
    ...turn,
    request: mayGiveWay(call.request),
    show: () => (held = holdBackMarker(show)).onDelta,
  });
  if (!("reply" in outcome)) return outcome;
  const { reply } = outcome;
  const why = await whyToEscalate(reply, call.request);
  if (why === null) {
    held.flush();
    return outcome;
  }
  const { model, usage, costMicros } = reply;
  const ms = Math.round(reply.ttftMs + reply.tpotMs * Math.max(0, usage.output - 1));
  const at = parts.clock.now() - ms;
  call.failed.push({ model, code: "model_escalated", message: why, ms, at, usage, costMicros });
  return { failure: null };
}

interface Tries extends Turn {
  /** As this candidate is to see it. */
  readonly request: ModelRequest;
  /** An attempt begins: where its deltas go. */
  readonly show: () => (delta: Delta) => void;
}

async function tryRepeatedly(
  parts: CallParts,
  call: ModelCall,
  tries: Tries,
): Promise<{ reply: ModelReply } | { failure: ModelFailure }> {
  const { clock, records, attempts, random } = parts;
  const { model } = tries.candidate;
  const { retries, breaker } = records.of(model);
  retries.payIn();
  for (let tried = 1; ; tried++) {
    call.signal.throwIfAborted();
    const outcome = await attemptOnce(parts, call, tries);
    if ("reply" in outcome) return outcome;
    const { failure, repeat } = outcome;
    const again = repeat === "soon" || (repeat === "if_alone" && tries.rest.length === 0);
    if (!again || tried >= attempts || !isTransient(failure.code)) return outcome;
    // This failure may have been the one too many.
    if (!breaker.admits) return { failure: { ...failure, retryAfterMs: Math.ceil(breaker.openForMs) } };
    const waitMs = retryPauseMs(failure, { tried, random });
    if (waitMs > call.waitLeftMs || !retries.take()) return outcome;
    parts.onRetry(model);
    call.waitLeftMs -= waitMs;
    await call.time.during(() => clock.sleep(waitMs, call.signal));
  }
}

function attemptOnce(parts: CallParts, call: ModelCall, { candidate, request, show }: Tries): Promise<AttemptOutcome> {
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
