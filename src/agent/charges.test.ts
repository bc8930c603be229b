import assert from "node:assert/strict";
import { test } from "node:test";
import { briefOf, compression, failure, stateAfter, turn, type Told } from "../../test/support/journal-builders.ts";
import { chargesOf } from "./charges.ts";
import { nextCall } from "./decide.ts";
import { judgedCode, type Entry, type FailedAttempt } from "./journal.ts";
import type { State } from "./state.ts";

const callsNext = (state: State): boolean => nextCall(state) !== null;
const usage = { input: 100, cached: 0, output: 20, reasoning: 0, estimated: true };
const paid: FailedAttempt = {
  model: "a/slow",
  code: "model_hedge_lost",
  message: "",
  ms: 1,
  at: 5,
  usage,
  costMicros: 3,
};
const unpriced: FailedAttempt = { model: "a/own", code: "model_timeout", message: "", ms: 1, usage };
const refused: FailedAttempt = { model: "a/away", code: "model_unavailable", message: "", ms: 1 };

const entryOf = (told: Told): Entry => ({ ...told, seq: 1, at: 9 });
const failed = (attempts: FailedAttempt[]): Told => ({ ...failure(1), attempts }) as Told;
const answered = (attempts: FailedAttempt[]): Told =>
  ({ ...turn({ text: "Hi.", input: 10, output: 5, costMicros: 7 }), attempts }) as Told;

test("a judge's call is charged as one that answered, whatever it said", () => {
  const [judged] = chargesOf(entryOf(answered([{ ...paid, model: "a/judge", code: judgedCode }])));
  assert.deepEqual(judged, { model: "a/judge", code: null, at: 5, usage, costMicros: 3 });
});

test("an entry is charged with its answer and with every attempt that used something", () => {
  const [slow, own, answer] = chargesOf(entryOf(answered([refused, paid, unpriced])));
  assert.deepEqual(slow, { model: "a/slow", code: "model_hedge_lost", at: 5, usage, costMicros: 3 });
  assert.deepEqual([own?.costMicros, own?.at], [null, 9], "without a price of its own it is unknown, and not 0");
  assert.deepEqual([answer?.model, answer?.code, answer?.at, answer?.costMicros], ["rules/default", null, 9, 7]);
});

test("what used nothing is no charge: an answer that was at hand, a refused connection, what is no call", () => {
  assert.deepEqual(chargesOf(entryOf(turn({ text: "Hi." }))), []);
  assert.deepEqual(chargesOf(entryOf(failed([refused]))), []);
  assert.deepEqual(chargesOf(entryOf({ kind: "end", status: "failed", error: null, message: "" })), []);
});

test("notes on a conversation are charged as an answer is, and those that rules made are not", () => {
  const [paidNotes] = chargesOf(entryOf(compression({ model: "a/notes", usage, costMicros: 7 })));
  assert.deepEqual([paidNotes?.model, paidNotes?.usage, paidNotes?.costMicros], ["a/notes", usage, 7]);
  assert.deepEqual(chargesOf(entryOf(compression({ model: null, usage, costMicros: 0 }))), []);
});

test("budgets count what came to nothing, too, but not as a step", () => {
  const { spent, costUnknown } = stateAfter(briefOf(), failed([paid]), answered([paid, refused]));
  assert.deepEqual([spent, costUnknown], [{ steps: 1, tokens: 120 + 120 + 15, costMicros: 13 }, false]);
  assert.equal(stateAfter(briefOf(), failed([unpriced])).costUnknown, true);
});

test("a model is called next whatever time it is, unless something else is due", () => {
  const deadline = briefOf({ deadlineMs: 10 });
  assert.equal(callsNext(stateAfter(deadline)), true, "the deadline may have passed since");
  assert.equal(callsNext(stateAfter(briefOf(), failure(1_000_000))), true, "it had waited until then");
  assert.equal(callsNext(stateAfter(deadline, failure(11))), false, "its time was over before it could");
  assert.equal(callsNext(stateAfter(briefOf(), turn({ text: "Done." }))), false);
  assert.equal(callsNext(stateAfter(briefOf(), failure(null))), false);
});
