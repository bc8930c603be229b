/** What a call that stands in no journal used and cost, counted as if it stood in one. */
import { chargesOf, type Charge } from "../agent/charges.ts";
import type { FailedAttempt } from "../agent/journal.ts";
import type { ModelReply } from "./model-gateway.ts";

/** The answer, and every attempt before it that was paid for all the same. */
export function chargesOfReply(reply: ModelReply, at: number): readonly Charge[] {
  return chargesOf({ ...reply, kind: "model", calls: [], seq: 0, at });
}

/** Of a call that got no answer. */
export function chargesOfAttempts(attempts: readonly FailedAttempt[], at: number): readonly Charge[] {
  return chargesOf({ kind: "failure", code: "", message: "", attempts, retryAt: null, seq: 0, at });
}
