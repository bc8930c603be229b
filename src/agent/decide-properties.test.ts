/**
 * Properties of the heart, over two kinds of random journals: any entries in any order, and whole lives of tasks in
 * which a random model, random tools, a random human and random crashes do what `decide` asks for (played-life.ts).
 * fast-check prints seed and tape.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  answer,
  briefOf,
  callOf,
  compression,
  end,
  failure,
  intent,
  message,
  refusal,
  replay,
  turn,
} from "../../test/support/journal-builders.ts";
import { assertReadable, effects, freeze, play } from "../../test/support/played-life.ts";
import type { ToolOutcome } from "./conversation.ts";
import { decide } from "./decide.ts";
import type { Limits } from "./definition.ts";
import type { Answer, CompressionEntry, Entry, EntryBody, PlannedCall } from "./journal.ts";
import type { Json } from "./json.ts";
import { begin, fold, type State } from "./state.ts";

const limits: fc.Arbitrary<Limits> = fc.record({
  maxSteps: fc.integer({ min: 1, max: 20 }),
  tokens: fc.oneof(fc.integer({ min: 1, max: 3_000 }), fc.constant(100_000)),
  costMicros: fc.option(fc.integer({ min: 1, max: 40 })),
  deadlineMs: fc.option(fc.integer({ min: 1, max: 2_000 })),
  onLimit: fc.constantFrom("stop", "ask"),
});
const tape = fc.array(fc.noBias(fc.nat({ max: 9_999 })), { maxLength: 400, size: "max" });

/** What was said before, and what the models can take; here and there far too little. */
const rooms = fc.record({
  overheadTokens: fc.constantFrom(10, 200),
  historyTokens: fc.constantFrom(0, 100, 3_000),
  windowTokens: fc.constantFrom(null, null, 200, 2_000),
});

test("whatever the model, the tools and the humans do, a task ends, within its limits, and no effect happens unasked", () => {
  const endings = new Map<string, number>();
  const compressions = new Set<string>();
  fc.assert(
    fc.property(limits, rooms, tape, (given, room, choices) => {
      const { state, entries } = play(briefOf(given, room), choices);
      assert.ok(state.ended);
      assert.equal(
        entries.filter(({ kind }) => kind === "end").length,
        1 + entries.filter(({ kind }) => kind === "replay").length,
      );
      assert.ok(state.spent.tokens - state.spentBefore.tokens <= state.limits.tokens, "the token budget is overspent");
      const ending = `${state.ended.status} ${state.ended.error}`;
      endings.set(ending, (endings.get(ending) ?? 0) + 1);
      for (const each of entries)
        if (each.kind === "compression") compressions.add(each.summary === null ? "cut" : "summary");
    }),
    { numRuns: 2_000 },
  );
  // The lives are worth watching only if they end in every way there is.
  assert.deepEqual([...endings.keys()].sort(), [
    "cancelled null",
    "completed cost_budget_exceeded",
    "completed empty_answer",
    "completed max_steps_reached",
    "completed null",
    "completed stuttering",
    "completed token_budget_exceeded",
    "failed deadline_exceeded",
    "failed invalid_tool_calls",
    "failed model_content_policy",
    "failed model_context_too_long",
    "failed model_unavailable",
    "failed null",
  ]);
  assert.deepEqual([...compressions].sort(), ["cut", "summary"]);
});

const callId = fc.constantFrom("c0", "c1", "c2");
const approvalId = fc.constantFrom("a0", "a1");
const comment = fc.constantFrom("", "because");
const json = fc.jsonValue({ maxDepth: 2 }).map((value) => value as Json);
const tokens = fc.nat({ max: 500 });

const anyCall: fc.Arbitrary<PlannedCall> = fc
  .tuple(callId, fc.constantFrom(...effects), fc.boolean(), fc.boolean(), json)
  .map(([id, effect, needsApproval, wrong, input]) =>
    callOf(id, { effect, needsApproval, input, ...(wrong ? { problem: { code: "x", message: "wrong" } } : {}) }),
  );

const anyAnswer: fc.Arbitrary<Answer> = fc.oneof(
  fc.record({ decision: fc.constantFrom("approve", "retry", "end") }),
  fc.record({ decision: fc.constantFrom("deny", "failed"), comment }),
  fc.record({ decision: fc.constant("edit"), input: json }),
  fc.record({ decision: fc.constant("succeeded"), output: json }),
  fc.record({
    decision: fc.constant("continue"),
    advice: comment,
    limits: fc.record({ maxSteps: fc.nat({ max: 20 }), tokens, costMicros: tokens }, { requiredKeys: [] }),
  }),
);

const anyCompression: fc.Arbitrary<Partial<CompressionEntry>> = fc.record({
  keptTurns: fc.nat({ max: 4 }),
  outcomeChars: fc.option(fc.nat({ max: 300 }), { nil: null }),
  summary: fc.option(fc.constantFrom("Notes.", "More notes."), { nil: null }),
  tokensAfter: tokens,
});

const anyEntry: fc.Arbitrary<EntryBody> = fc.oneof(
  anyCompression.map(compression),
  fc.constant(refusal()),
  fc
    .record({
      text: comment,
      calls: fc.array(anyCall, { maxLength: 3 }),
      finish: fc.constantFrom("stop", "calls", "length", "content_filter", "interrupted"),
      input: tokens,
      output: tokens,
      costMicros: fc.option(tokens),
    })
    .map((options) => turn(options)),
  callId.map(intent),
  fc.tuple(callId, json, fc.boolean()).map(([id, output, ok]): EntryBody => {
    const outcome: ToolOutcome = ok ? { ok, output } : { ok, code: "tool_failed", message: "no" };
    return { kind: "tool", callId: id, tool: "find", outcome, ms: 1 };
  }),
  fc.record({
    kind: fc.constant("question"),
    approvalId,
    question: fc.constantFrom("tool", "uncertain", "limit", "stutter"),
    callId: fc.option(callId),
    tool: fc.constant(null),
    input: fc.oneof(json, fc.record({ limit: fc.constantFrom("max_steps_reached", "cost_budget_exceeded") })),
    inputHash: fc.constant(""),
    reason: fc.constant(""),
  }),
  fc.tuple(approvalId, anyAnswer).map(([id, given]) => answer(id, given)),
  comment.map((prompt) => message(prompt)),
  fc.option(fc.nat({ max: 5_000 })).map(failure),
  fc.constantFrom("completed", "failed", "cancelled").map(end),
  fc.option(comment).map((prompt) => replay(prompt)),
);

const anyJournal: fc.Arbitrary<Entry[]> = fc
  .array(fc.tuple(anyEntry, fc.nat({ max: 3_000 })), { maxLength: 25, size: "max" })
  .map((told) => told.map(([body, at], index) => ({ ...body, seq: index + 1, at })))
  // As a journal keeps it: without -0, undefined and odd prototypes.
  .map((journal) => freeze(JSON.parse(JSON.stringify(journal)) as Entry[]));

test("no journal, however absurd, makes fold or decide throw, or lets a call run or a model be called that may not", () => {
  fc.assert(
    fc.property(limits, anyJournal, fc.nat({ max: 5_000 }), (given, journal, now) => {
      let state = freeze(begin(briefOf(given)));
      for (const entry of journal) {
        state = freeze(fold(state, entry));
        const action = decide(state, now);
        if (state.ended !== null || state.openQuestions.length > 0) assert.equal(action.type, "wait");
        if (action.type === "call_model") {
          const { spent, spentBefore } = state;
          assert.ok(spent.steps - spentBefore.steps < state.limits.maxSteps);
          const room = state.limits.tokens - (spent.tokens - spentBefore.tokens) - state.contextTokens;
          assert.ok(action.maxOutputTokens <= room);
        }
        if (action.type === "run_tools") {
          for (const { call, status } of action.calls) {
            assert.ok(
              status === "approved" || (status === "planned" && (!call.needsApproval || call.problem !== undefined)),
            );
          }
        }
      }
      assert.equal(state.lastSeq, journal.length);
    }),
    { numRuns: 2_000 },
  );
});

test("wherever the calls have their outcomes, a compression leaves a conversation that every provider reads", () => {
  const places = fc.array(fc.tuple(anyCompression, fc.nat({ max: 15 })), { minLength: 1, maxLength: 5 });
  let shortened = 0;
  fc.assert(
    fc.property(limits, tape, places, (given, choices, cuts) => {
      const brief = briefOf(given);
      const { entries } = play(brief, choices);
      let state = begin(brief);
      let whole = begin(brief);
      for (const [index, entry] of entries.entries()) {
        for (const [options, place] of cuts) {
          if (place !== index || state.calls.some(({ status }) => status !== "done")) continue;
          state = fold(state, { ...compression(options), seq: 0, at: 0 } as Entry);
          assertReadable(state.messages);
          if (state.messages.length < whole.messages.length) shortened += 1;
        }
        state = freeze(fold(state, entry));
        whole = fold(whole, entry);
        const action = decide(state, entry.at);
        if (action.type === "call_model" || action.type === "compress") assertReadable(state.messages);
        assert.equal(state.messages.text, whole.messages.text, "the answer is another one");
      }
      const said = [...whole.messages].filter(({ role }) => role === "user").at(-1);
      if (whole.messages.last === said && said !== undefined)
        assert.deepEqual(state.messages.last, said, "what nobody has answered to is gone");
    }),
    { numRuns: 1_000 },
  );
  assert.ok(shortened > 30, `only ${shortened} conversations became shorter`);
});

test("a fold changes no state before it: two journals that go on from one state do not disturb each other", () => {
  fc.assert(
    fc.property(limits, fc.tuple(anyJournal, anyJournal), fc.nat({ max: 25 }), (given, [journal, other], cut) => {
      const start = begin(briefOf(given));
      const shared = journal.slice(0, cut).reduce(fold, start);
      const before = visible(shared);
      const one = journal.slice(cut).reduce(fold, shared);
      const two = other.reduce(fold, shared);
      assert.deepEqual(visible(shared), before);
      assert.deepEqual(visible(one), visible(journal.reduce(fold, start)));
      assert.deepEqual(visible(two), visible([...journal.slice(0, cut), ...other].reduce(fold, start)));
    }),
    { numRuns: 1_000 },
  );
});

/** All that can be seen of a state, as plain data. */
function visible({ messages, repeats, ...rest }: State): unknown {
  const counts = rest.calls.map(({ repeatKey }) => repeats.count(repeatKey));
  return { ...rest, messages: [...messages], text: messages.text, last: messages.last, counts };
}
