/**
 * One attempt at one candidate, with all that stands around it: the breaker may forbid it, the gate may let it wait, and
 * both are told how it ended, as are the records; and whatever comes to nothing is written down, with what it cost.
 */
import type { Delta } from "../../agent/conversation.ts";
import type { Candidate } from "../../agent/route.ts";
import { HoldfastError, messageOf } from "../../platform/errors.ts";
import { newProgress, runAttempt, type AttemptResult } from "./attempt.ts";
import type { CallOutcome } from "../resilience/breaker.ts";
import { attemptCodeOf, classifyFailure, type ModelFailure } from "./classify.ts";
import { struckBy } from "../experiments/fault-strike.ts";
import type { CallEnd, Pass } from "../gate/gate.ts";
import { answerOf, failedAttempt, lost, type CallParts, type Lane, type ModelCall } from "./model-call.ts";
import type { ModelReply, ModelRequest } from "../model-gateway.ts";
import type { ModelRecord } from "../resilience/model-records.ts";
import { splitModelName } from "../model-name.ts";
import { callOptionsOf } from "./prompt.ts";

export type AttemptOutcome =
  | { readonly reply: ModelReply }
  | {
      readonly failure: ModelFailure;
      readonly repeat: Repeat;
    };

/**
 * Whether to ask the same candidate again: not if it was not even asked this time; only where there is nobody else, if it
 * took its time to fail.
 */
export type Repeat = "soon" | "if_alone" | "never";

export interface AttemptOptions {
  readonly candidate: Candidate;
  /** As this candidate is to see it. */
  readonly request: ModelRequest;
  /** Aborts with the call's, or with a `HedgeLost` where another attempt was faster. */
  readonly signal: AbortSignal;
  readonly onFirstToken: () => void;
  readonly onDelta: (delta: Delta) => void;
}

/** Why an attempt ends that another one was faster than. */
export class HedgeLost extends HoldfastError {
  constructor() {
    super(lost.code, lost.message);
    this.name = "HedgeLost";
  }
}

const unused: CallEnd = { usedTokens: null, headers: {}, rateLimited: null };
/** When to come again while a probe is under way. */
const probeMs = 1_000;

/** @throws the signal's reason when the call's own aborts; nothing else */
export async function attemptCandidate(
  parts: CallParts,
  call: ModelCall,
  options: AttemptOptions,
): Promise<AttemptOutcome> {
  const { clock, records } = parts;
  const { candidate } = options;
  const lane: Lane = {
    candidate,
    at: clock.now(),
    startedAt: clock.monotonic(),
    progress: newProgress(),
    strike: null,
  };
  const record = records.of(candidate.model);
  // First of all: nobody waits in the gate for a model that is out.
  if (!record.breaker.admits) return skipOut(parts, call, { lane, record });
  const entered = await enterGate(parts, call, options);
  if ("failure" in entered) return skip(call, { lane, record, parts }, entered);
  const tellBreaker = record.breaker.admit();
  if (tellBreaker === null) {
    entered.leave({ ...unused, usedTokens: 0 });
    return skipOut(parts, call, { lane, record });
  }
  call.lanes.add(lane);
  const attempt = { ...options, lane, record, pass: entered, tellBreaker };
  try {
    const result = await runLane(parts, call, attempt);
    return { reply: succeed(parts, call, { ...attempt, result }) };
  } catch (thrown) {
    return fail(parts, call, { ...attempt, thrown });
  } finally {
    if (!call.signal.aborted) call.lanes.delete(lane);
  }
}

interface RunningAttempt extends AttemptOptions {
  readonly lane: Lane;
  readonly record: ModelRecord;
  readonly pass: Pass;
  readonly tellBreaker: (outcome: CallOutcome) => void;
}

async function runLane(parts: CallParts, call: ModelCall, attempt: RunningAttempt): Promise<AttemptResult> {
  const { candidate, request, lane, pass } = attempt;
  const { providers, clock } = parts;
  const model = providers.model(candidate.model, pass.key);
  const options = callOptionsOf(request, splitModelName(candidate.model).provider);
  const timeouts = { ...parts.timeouts, ...candidate.timeouts };
  const { signal, onFirstToken, onDelta } = attempt;
  const { progress } = lane;
  lane.strike = parts.faults?.draw(candidate.model) ?? null;
  return call.time.during(() =>
    struckBy(lane.strike, { model, options, signal, clock, timeouts, progress, onFirstToken, onDelta }, runAttempt),
  );
}

async function enterGate(
  { gate, clock }: CallParts,
  call: ModelCall,
  { candidate: { model }, signal }: AttemptOptions,
): Promise<Pass | { failure: ModelFailure; code: string }> {
  const { request, plan } = call;
  const startedAt = clock.monotonic();
  try {
    const tokens = plan.contextTokens + request.maxOutputTokens;
    const { tenant } = request.caller;
    const longestWaitMs = call.waitLeftMs;
    return await call.time.during(() => gate.enter({ model, tenant, tokens, signal, longestWaitMs }));
  } catch (thrown) {
    if (call.signal.aborted) throw call.signal.reason;
    const retry = thrown instanceof HoldfastError ? thrown.retry : "now";
    const failure: ModelFailure = {
      code: "model_rate_limited",
      message: messageOf(thrown),
      retryAfterMs: typeof retry === "object" ? retry.afterMs : null,
    };
    return { failure, code: thrown instanceof HoldfastError ? thrown.code : "model_gate_full" };
  } finally {
    call.waitLeftMs = Math.max(0, call.waitLeftMs - (clock.monotonic() - startedAt));
  }
}

function skipOut(
  parts: CallParts,
  call: ModelCall,
  { lane, record }: { lane: Lane; record: ModelRecord },
): AttemptOutcome {
  const { openForMs } = record.breaker;
  const last = record.breaker.status().lastFailure;
  const when = openForMs === 0 ? "until a probe has come back" : `for another ${Math.ceil(openForMs / 1_000)} s`;
  const message = `It is out, and not called ${when}. Last failure: ${last?.message ?? "none"}`;
  const retryAfterMs = openForMs === 0 ? probeMs : Math.ceil(openForMs);
  const failure: ModelFailure = { code: "model_unavailable", message, retryAfterMs };
  return skip(call, { lane, record, parts }, { failure, code: "model_breaker_open" });
}

function skip(
  call: ModelCall,
  { lane, record, parts }: { lane: Lane; record: ModelRecord; parts: CallParts },
  { failure, code }: { failure: ModelFailure; code: string },
): AttemptOutcome {
  record.attempts.skipped += 1;
  call.failed.push(failedAttempt(call, lane, { ...parts, code, message: failure.message, paid: false }));
  return { failure, repeat: "never" };
}

function succeed(
  { prices }: CallParts,
  call: ModelCall,
  attempt: RunningAttempt & { readonly result: AttemptResult },
): ModelReply {
  const { result, lane, record, pass, tellBreaker } = attempt;
  tellBreaker({ type: "succeeded" });
  const reply = answerOf(call, result, { ...lane, prices });
  const { usage, ttftMs, tpotMs } = reply;
  pass.leave({ usedTokens: usage.input + usage.output, headers: lane.progress.headers, rateLimited: null });
  record.attempts.answered += 1;
  record.ttftMs.add(ttftMs);
  record.tpotMs.add(tpotMs);
  return reply;
}

function fail(
  parts: CallParts,
  call: ModelCall,
  attempt: RunningAttempt & { readonly thrown: unknown },
): AttemptOutcome {
  const { thrown, lane, record, pass, tellBreaker, signal } = attempt;
  const { clock } = parts;
  const { accepted, headers, firstAt } = lane.progress;
  if (call.signal.aborted || signal.aborted) {
    tellBreaker({ type: "neither" });
    pass.leave({ ...unused, headers });
    if (call.signal.aborted) throw call.signal.reason;
    // It would have taken longer still: left out, slow answers would look ever rarer, and be given ever less time.
    record.ttftMs.add(clock.monotonic() - lane.startedAt);
    call.failed.push(failedAttempt(call, lane, { ...parts, ...lost, paid: true }));
    return { failure: { code: "model_unavailable", message: lost.message, retryAfterMs: null }, repeat: "never" };
  }
  const failure = classifyFailure(thrown, clock.now());
  const code = attemptCodeOf(thrown, failure);
  tellBreaker(outcomeOf(failure, code));
  const { retryAfterMs } = failure;
  const refused = failure.code === "model_rate_limited";
  pass.leave({
    usedTokens: null,
    headers: { ...headers, ...failure.headers },
    rateLimited: refused ? { retryAfterMs } : null,
  });
  record.attempts.failed += 1;
  const timedOut = code === "model_timeout";
  // A provider bills what it has begun to say, and what it was working on when we hung up.
  const paid = firstAt !== null || (timedOut && accepted);
  call.failed.push(failedAttempt(call, lane, { ...parts, code, message: failure.message, paid }));
  const waits = refused ? { retryAfterMs: restMs(parts, lane.candidate.model) ?? retryAfterMs } : {};
  return { failure: { ...failure, ...waits }, repeat: timedOut || firstAt !== null ? "if_alone" : "soon" };
}

/** For how long the provider wants no calls, with whichever key: one may be refused, and another not. Null: nobody keeps it. */
function restMs({ gate }: CallParts, model: string): number | null {
  const rests = gate.status().flatMap((key) => (key.model === model ? [key.blockedForMs] : []));
  return rests.length === 0 ? null : Math.min(...rests);
}

/** What is said of the model's health. Whoever refuses a request is there; whoever has too many of them may be or not. */
function outcomeOf({ code, message }: ModelFailure, why: string): CallOutcome {
  switch (code) {
    case "model_unavailable":
    case "model_auth":
      return { type: "failed", why: { code: why, message } };
    case "model_rate_limited":
      return { type: "neither" };
    case "model_content_policy":
    case "model_bad_request":
    case "model_context_too_long":
      return { type: "succeeded" };
  }
}
