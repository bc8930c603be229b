/**
 * What the calls of an entry used and cost: the answer, and every attempt that came to nothing and was paid for all the
 * same. Budgets and the ledger both count by this, so they cannot disagree.
 */
import type { Usage } from "./conversation.ts";
import { judgedCode, type Assignment, type Entry, type FailedAttempt } from "./journal.ts";

export interface Charge {
  readonly model: string;
  /** Why it gave no answer that counts; null: it answered. */
  readonly code: string | null;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly usage: Usage;
  /** Micro-dollars; null: the price of the model is unknown. */
  readonly costMicros: number | null;
}

/** Only what used something: a refused connection is no charge, nor is an answer that was at hand. */
export function chargesOf(entry: Entry): readonly Charge[] {
  if (entry.kind === "assignment") return chargeOfAssignment(entry);
  if (entry.kind !== "model" && entry.kind !== "compression" && entry.kind !== "failure") return [];
  const attempts = entry.attempts.flatMap((attempt) => chargeOf(attempt, entry.at));
  if (entry.kind === "failure" || entry.model === null || isNothing(entry.usage)) return attempts;
  const { model, at, usage, costMicros } = entry;
  return [...attempts, { model, code: null, at, usage, costMicros }];
}

function chargeOfAssignment({ at, model, usage, costMicros = null }: Assignment & { at: number }): Charge[] {
  return model === undefined || usage === undefined ? [] : [{ model, code: null, at, usage, costMicros }];
}

function chargeOf({ model, code, usage, costMicros = null, ...attempt }: FailedAttempt, entryAt: number): Charge[] {
  if (usage === undefined || isNothing(usage)) return [];
  // A judge has answered, whatever it said of the answer that it judged.
  const failedWith = code === judgedCode ? null : code;
  return [{ model, code: failedWith, at: attempt.at ?? entryAt, usage, costMicros }];
}

function isNothing({ input, output }: Usage): boolean {
  return input + output === 0;
}
