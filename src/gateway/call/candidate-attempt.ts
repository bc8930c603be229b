/**
 * One attempt at one candidate, with all that stands around it: the breaker may forbid it, the gate may let it wait, and
 * both are told how it ended, as are the records; and whatever comes to nothing is written down, with what it cost.
 */
import type { Delta } from "../../agent/conversation.ts";
import type { Candidate } from "../../agent/route.ts";
import { HoldfastError } from "../../platform/errors.ts";
import { newProgress, runAttempt, type AttemptResult } from "./attempt.ts";
import { struckBy } from "../experiments/fault-strike.ts";
import { answerOf, failedAttempt, lost, type CallParts, type Lane, type ModelCall } from "./model-call.ts";
import type { ModelReply, ModelRequest } from "../model-gateway.ts";
import { splitModelName } from "../model-name.ts";
import { admitWaiting, type Admission, type Refusal } from "../resilience/admission.ts";
import type { Outcome } from "../resilience/repeats.ts";
import { callOptionsOf } from "./prompt.ts";

export type AttemptOutcome = Outcome<ModelReply>;

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

/** @throws the signal's reason when the call's own aborts; nothing else */
export async function attemptCandidate(
  parts: CallParts,
  call: ModelCall,
  options: AttemptOptions,
): Promise<AttemptOutcome> {
  const { clock } = parts;
  const lane: Lane = {
    candidate: options.candidate,
    at: clock.now(),
    startedAt: clock.monotonic(),
    progress: newProgress(),
    strike: null,
  };
  const admission = await enter(parts, call, options);
  if ("failure" in admission) {
    const { failure, code } = admission;
    call.failed.push(failedAttempt(call, lane, { ...parts, code, message: failure.message, paid: false }));
    return { failure, repeat: "never" };
  }
  call.lanes.add(lane);
  const attempt = { ...options, lane, admission };
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
  readonly admission: Admission;
}

async function enter(
  parts: CallParts,
  call: ModelCall,
  { candidate: { model }, signal }: AttemptOptions,
): Promise<Admission | Refusal> {
  const { request, plan } = call;
  const tokens = plan.contextTokens + request.maxOutputTokens;
  try {
    return await admitWaiting(parts, call, { model, tenant: request.caller.tenant, tokens, signal });
  } catch {
    if (call.signal.aborted) throw call.signal.reason;
    return { failure: { code: "model_unavailable", message: lost.message, retryAfterMs: null }, code: lost.code };
  }
}

async function runLane(parts: CallParts, call: ModelCall, attempt: RunningAttempt): Promise<AttemptResult> {
  const { candidate, request, lane, admission } = attempt;
  const { providers, clock } = parts;
  const model = providers.model(candidate.model, admission.key);
  const options = callOptionsOf(request, splitModelName(candidate.model).provider);
  const timeouts = { ...parts.timeouts, ...candidate.timeouts };
  const { signal, onFirstToken, onDelta } = attempt;
  const { progress } = lane;
  lane.strike = parts.faults?.draw(candidate.model) ?? null;
  // Only a stream can be cut or delayed in its middle, and tells whether its first token is late.
  const mayBeWhole = request.whole === true && lane.strike === null && !request.route.hedge;
  const whole = mayBeWhole && parts.records.of(candidate.model).replies.areQuick(timeouts);
  const asked = { model, options, signal, clock, timeouts, whole, progress, onFirstToken, onDelta };
  return call.time.during(() => struckBy(lane.strike, asked, runAttempt));
}

function succeed(
  { prices, records }: CallParts,
  call: ModelCall,
  { result, lane, admission }: RunningAttempt & { readonly result: AttemptResult },
): ModelReply {
  const reply = answerOf(call, result, { ...lane, prices });
  const { usage, ttftMs, tpotMs } = reply;
  admission.answered({ usedTokens: usage.input + usage.output, headers: lane.progress.headers });
  const record = records.of(lane.candidate.model);
  record.replies.took(result.wholeMs);
  if (reply.whole === true) return reply;
  record.ttftMs.add(ttftMs);
  record.tpotMs.add(tpotMs);
  return reply;
}

function fail(
  parts: CallParts,
  call: ModelCall,
  { thrown, lane, admission, signal }: RunningAttempt & { readonly thrown: unknown },
): AttemptOutcome {
  const { accepted, headers, firstAt } = lane.progress;
  if (call.signal.aborted || signal.aborted) {
    admission.givenUp({ headers });
    if (call.signal.aborted) throw call.signal.reason;
    // It would have taken longer still: left out, slow answers would look ever rarer, and be given ever less time.
    parts.records.of(lane.candidate.model).ttftMs.add(parts.clock.monotonic() - lane.startedAt);
    call.failed.push(failedAttempt(call, lane, { ...parts, ...lost, paid: true }));
    return { failure: { code: "model_unavailable", message: lost.message, retryAfterMs: null }, repeat: "never" };
  }
  const { failure, code } = admission.failed(thrown, headers);
  const timedOut = code === "model_timeout";
  if (timedOut) parts.records.of(lane.candidate.model).replies.took(parts.clock.monotonic() - lane.startedAt);
  // A provider bills what it has begun to say, and what it was working on when we hung up.
  const paid = firstAt !== null || (timedOut && accepted);
  call.failed.push(failedAttempt(call, lane, { ...parts, code, message: failure.message, paid }));
  return { failure, repeat: timedOut || firstAt !== null ? "if_alone" : "soon" };
}
