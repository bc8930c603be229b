/**
 * What stands around every request to a provider, whatever it asks for: the breaker may forbid it, the gate may let it wait,
 * and both are told how it ended, as are the records of the model.
 */
import type { Clock } from "../../platform/clock.ts";
import { HoldfastError, messageOf } from "../../platform/errors.ts";
import { attemptCodeOf, classifyFailure, type ModelFailure } from "../call/classify.ts";
import type { CallEnd, Gate, GateCall, Pass } from "../gate/gate.ts";
import type { CallOutcome } from "./breaker.ts";
import type { ModelRecord, ModelRecords } from "./model-records.ts";
import type { Waits } from "./repeats.ts";

export interface Guards {
  readonly gate: Gate;
  readonly records: ModelRecords;
  readonly clock: Clock;
}

/** Why a request came to nothing. */
export interface Refusal {
  readonly failure: ModelFailure;
  /** As the journal has it: our own where we know better what is wrong. */
  readonly code: string;
}

/** The right to send one request; one of the three is called when it is over, exactly once. */
export interface Admission {
  /** Which of the provider's keys to use: an index into its keys. */
  readonly key: number;
  answered(end: Omit<CallEnd, "rateLimited">): void;
  /** @param headers of the reply, if it had begun */
  failed(thrown: unknown, headers?: CallEnd["headers"]): Refusal;
  /** We gave it up ourselves: it says nothing of the model's health. */
  givenUp(end?: Partial<CallEnd>): void;
}

/** When to come again while a probe is under way. */
const probeMs = 1_000;

/** @throws the signal's reason when it aborts; nothing else */
export async function admit(guards: Guards, call: GateCall): Promise<Admission | Refusal> {
  const record = guards.records.of(call.model);
  // First of all: nobody waits in the gate for a model that is out.
  if (!record.breaker.admits) return skipped(record, outBy(record));
  const entered = await enterGate(guards.gate, call);
  if ("failure" in entered) return skipped(record, entered);
  const tellBreaker = record.breaker.admit();
  if (tellBreaker === null) {
    entered.leave({ usedTokens: 0, headers: {}, rateLimited: null });
    return skipped(record, outBy(record));
  }
  return admission(guards, { model: call.model, record, pass: entered, tellBreaker });
}

/** Admits a request of a call that may wait: how long it does is taken off what the call may yet. */
export async function admitWaiting(
  guards: Guards,
  call: Waits,
  request: Omit<GateCall, "longestWaitMs">,
): Promise<Admission | Refusal> {
  const { clock } = guards;
  const startedAt = clock.monotonic();
  try {
    return await call.time.during(() => admit(guards, { ...request, longestWaitMs: call.waitLeftMs }));
  } finally {
    call.waitLeftMs = Math.max(0, call.waitLeftMs - (clock.monotonic() - startedAt));
  }
}

interface Admitted {
  readonly model: string;
  readonly record: ModelRecord;
  readonly pass: Pass;
  readonly tellBreaker: (outcome: CallOutcome) => void;
}

function admission({ gate, clock }: Guards, { model, record, pass, tellBreaker }: Admitted): Admission {
  return {
    key: pass.key,
    answered(end) {
      tellBreaker({ type: "succeeded" });
      pass.leave({ ...end, rateLimited: null });
      record.attempts.answered += 1;
    },
    failed(thrown, headers = {}) {
      const failure = classifyFailure(thrown, clock.now());
      const code = attemptCodeOf(thrown, failure);
      tellBreaker(outcomeOf(failure, code));
      const { retryAfterMs } = failure;
      const refused = failure.code === "model_rate_limited";
      const rateLimited = refused ? { retryAfterMs } : null;
      pass.leave({ usedTokens: null, headers: { ...headers, ...failure.headers }, rateLimited });
      record.attempts.failed += 1;
      const waits = refused ? { retryAfterMs: restMs(gate, model) ?? retryAfterMs } : {};
      return { failure: { ...failure, ...waits }, code };
    },
    givenUp(end = {}) {
      tellBreaker({ type: "neither" });
      pass.leave({ usedTokens: null, headers: {}, rateLimited: null, ...end });
    },
  };
}

async function enterGate(gate: Gate, call: GateCall): Promise<Pass | Refusal> {
  try {
    return await gate.enter(call);
  } catch (thrown) {
    if (call.signal.aborted) throw call.signal.reason;
    const retry = thrown instanceof HoldfastError ? thrown.retry : "now";
    const failure: ModelFailure = {
      code: "model_rate_limited",
      message: messageOf(thrown),
      retryAfterMs: typeof retry === "object" ? retry.afterMs : null,
    };
    return { failure, code: thrown instanceof HoldfastError ? thrown.code : "model_gate_full" };
  }
}

function outBy({ breaker }: ModelRecord): Refusal {
  const { openForMs } = breaker;
  const last = breaker.status().lastFailure;
  const when = openForMs === 0 ? "until a probe has come back" : `for another ${Math.ceil(openForMs / 1_000)} s`;
  const message = `It is out, and not called ${when}. Last failure: ${last?.message ?? "none"}`;
  const retryAfterMs = openForMs === 0 ? probeMs : Math.ceil(openForMs);
  return { failure: { code: "model_unavailable", message, retryAfterMs }, code: "model_breaker_open" };
}

function skipped(record: ModelRecord, refusal: Refusal): Refusal {
  record.attempts.skipped += 1;
  return refusal;
}

/** For how long the provider wants no calls, with whichever key: one may be refused, and another not. Null: nobody keeps it. */
function restMs(gate: Gate, model: string): number | null {
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
