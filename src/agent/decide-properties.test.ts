/**
 * Properties of the heart, over two kinds of random journals: any entries in any order, and whole lives of tasks in
 * which a random model, random tools, a random human and random crashes do what `decide` asks for.
 *
 * A life is played from a tape of numbers. When the tape is at its end every choice is the first one, and the first one
 * always leads towards an end; so a life that does not end is a fault of `decide`. fast-check prints seed and tape.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  answer,
  briefOf,
  callOf,
  end,
  failure,
  intent,
  message,
  replay,
  turn,
  type Told,
} from "../../test/support/journal-builders.ts";
import type { ToolOutcome } from "./conversation.ts";
import { decide, type Action } from "./decide.ts";
import type { Limits } from "./definition.ts";
import type { Answer, Effect, Entry, EntryBody, PlannedCall, QuestionEntry } from "./journal.ts";
import type { Json } from "./json.ts";
import { begin, fold, type Brief, type State } from "./state.ts";

type Choose = (options: number) => number;

/** What a life is watched for, kept apart from the state that is judged by it. */
interface Life {
  readonly brief: Brief;
  readonly choose: Choose;
  readonly entries: Entry[];
  state: State;
  now: number;
  actions: number;
  /** By key: how often a call has begun to run, was sent again by a human, was approved, was denied. */
  readonly begun: Map<string, number>;
  readonly retried: Map<string, number>;
  readonly approved: Set<string>;
  readonly refused: Set<string>;
}

const effects: readonly Effect[] = ["read", "idempotent", "once"];

function play(brief: Brief, tape: readonly number[]): Life {
  let position = 0;
  const life: Life = {
    brief,
    choose: (options) => (tape[position++] ?? 0) % options,
    entries: [],
    state: freeze(begin(brief)),
    now: 0,
    actions: 0,
    begun: new Map(),
    retried: new Map(),
    approved: new Set(),
    refused: new Set(),
  };
  const bound = 2 * tape.length + 30;
  while (step(life)) assert.ok(++life.actions <= bound, `no end after ${bound} actions`);
  return life;
}

/** Does what `decide` asks for; false when the task has ended for good. */
function step(life: Life): boolean {
  const action = decide(life.state, life.now);
  life.now += life.choose(20);
  switch (action.type) {
    case "call_model":
      checkModelCall(life.state, action);
      tell(life, modelReply(life, action));
      return true;
    case "run_tools":
      runTools(life, action);
      return true;
    case "ask":
      assert.ok(action.questions.length > 0);
      for (const [index, asked] of action.questions.entries()) {
        tell(life, { kind: "question", approvalId: `${life.entries.length}-${index}`, inputHash: "", ...asked });
      }
      return true;
    case "wait":
      return pass(life, action);
    case "finish":
      tell(life, { kind: "end", status: "completed", error: action.error, message: "" });
      return true;
    case "fail":
      tell(life, { kind: "end", status: "failed", error: action.error, message: action.message });
      return true;
  }
}

function tell(life: Life, body: EntryBody): void {
  const entry = freeze({ ...body, seq: life.entries.length + 1, at: life.now });
  life.entries.push(entry);
  life.state = freeze(fold(life.state, entry));
}

function checkModelCall(state: State, action: Action & { type: "call_model" }): void {
  const { limits, spent, spentBefore, contextTokens, messages } = state;
  assert.ok(spent.steps - spentBefore.steps < limits.maxSteps, "a model call beyond the steps");
  const tokens = spent.tokens - spentBefore.tokens + contextTokens + action.maxOutputTokens;
  assert.ok(tokens <= limits.tokens, "a model call beyond the token budget");
  assert.ok(action.maxOutputTokens >= 16);
  assert.ok(limits.costMicros === null || spent.costMicros - spentBefore.costMicros < limits.costMicros);
  // Providers refuse a conversation in which a call has no outcome, or has two, or comes in another order.
  let open: string[] = [];
  for (const message of messages) {
    if (message.role === "tool") assert.equal(message.callId, open.shift());
    else assert.deepEqual(open, [], "a call without an outcome");
    if (message.role === "assistant") open = message.parts.flatMap((part) => (part.type === "call" ? [part.id] : []));
  }
  assert.deepEqual(open, [], "a call without an outcome");
}

function modelReply({ state, choose, now }: Life, { maxOutputTokens }: Action & { type: "call_model" }): Told {
  const usage = {
    input: state.contextTokens - choose(Math.min(state.contextTokens + 1, 50)),
    output: choose(8) === 1 ? maxOutputTokens : choose(Math.min(maxOutputTokens, 60) + 1),
    costMicros: choose(4) === 3 ? null : choose(5),
  };
  switch (choose(24)) {
    case 0:
      return turn({ ...usage, text: "Done." });
    case 1:
      return turn({ ...usage, text: "Once upon", finish: "length" });
    case 2:
      return turn({ ...usage, finish: "content_filter" });
    case 3:
      return turn(usage);
    case 4:
      return failure(now + choose(100));
    case 5:
      return failure(null);
    default:
      return turn({ ...usage, calls: randomCalls(choose) });
  }
}

/** One turn in three is of invalid calls alone. */
function randomCalls(choose: Choose): PlannedCall[] {
  const problem = { code: "invalid_arguments", message: "wrong" };
  const invalidTurn = choose(3) === 1;
  return Array.from({ length: 1 + choose(3) }, (_, index) =>
    callOf(`c${index}`, {
      effect: effects[choose(3)] ?? "read",
      input: { n: choose(2) },
      needsApproval: choose(3) === 1,
      ...(invalidTurn || choose(8) === 7 ? { problem } : {}),
    }),
  );
}

/** Runs the calls one after the other; a crash leaves the rest, and an intent without an outcome. */
function runTools(life: Life, action: Action & { type: "run_tools" }): void {
  assert.ok(action.calls.length > 0);
  assert.deepEqual(life.state.openQuestions, [], "a call runs while a human is asked");
  for (const { call, key } of action.calls) {
    assert.ok(!life.refused.has(key), "a call runs that a human refused");
    if (call.problem === undefined) {
      assert.ok(!call.needsApproval || life.approved.has(key), "a call runs without its approval");
      if (call.effect === "once") {
        const begun = life.begun.get(key) ?? 0;
        assert.equal(begun, life.retried.get(key) ?? 0, "a once call runs twice without a human's word");
        life.begun.set(key, begun + 1);
        tell(life, intent(call.id));
      }
    }
    const fate = life.choose(4);
    if (fate === 3 && call.problem === undefined) return;
    const outcome: ToolOutcome =
      fate === 1 ? { ok: false, code: "tool_failed", message: "no" } : { ok: true, output: "x" };
    tell(life, {
      kind: "tool",
      callId: call.id,
      tool: call.tool,
      outcome: call.problem ? { ok: false, ...call.problem } : outcome,
      ms: 1,
    });
  }
}

/** Time passes, a human answers, or someone ends the task or replays it; false when nothing will ever happen again. */
function pass(life: Life, { until }: Action & { type: "wait" }): boolean {
  const { state, choose } = life;
  if (state.ended !== null) {
    if (choose(4) !== 3) return false;
    tell(life, replay(choose(2) === 1 ? "Again" : null));
    return true;
  }
  const question = state.openQuestions[choose(state.openQuestions.length || 1)];
  if (question === undefined) {
    assert.ok(until !== null && until >= state.lastSeq, "a task waits for nothing");
    life.now = Math.max(life.now, until);
  } else if (choose(8) === 7) {
    tell(life, end(choose(2) === 1 ? "cancelled" : "failed"));
  } else {
    const given = randomAnswer(life, question);
    watchAnswer(life, question, given);
    tell(life, answer(question.approvalId, given));
  }
  return true;
}

function randomAnswer({ choose, state }: Life, { question }: QuestionEntry): Answer {
  const pick = (...answers: [Answer, ...Answer[]]): Answer => answers[choose(answers.length)] ?? answers[0];
  switch (question) {
    case "tool":
      return pick({ decision: "deny", comment: "" }, { decision: "approve" }, { decision: "edit", input: { n: 9 } });
    case "uncertain":
      return pick({ decision: "failed", comment: "" }, { decision: "succeeded", output: 1 }, { decision: "retry" });
    default:
      return pick(
        { decision: "end" },
        { decision: "continue", advice: "", limits: {} },
        { decision: "continue", advice: "Be brief.", limits: { maxSteps: state.limits.maxSteps + 1 } },
      );
  }
}

function watchAnswer(
  { state, approved, refused, retried }: Life,
  { callId, question }: QuestionEntry,
  given: Answer,
): void {
  const key = state.calls.find(({ call }) => call.id === callId)?.key;
  if (given.decision === "end") for (const each of state.calls) refused.add(each.key);
  if (key === undefined) return;
  if (given.decision === "approve" || given.decision === "edit") approved.add(key);
  if (given.decision === "retry") retried.set(key, (retried.get(key) ?? 0) + 1);
  const refusing = question === "stutter" && given.decision === "continue" && given.advice !== "";
  if (refusing || ["deny", "failed", "succeeded"].includes(given.decision)) refused.add(key);
}

/** No part of it can be changed any more: a fold that writes into its arguments throws. */
function freeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.values(value).forEach(freeze);
  return Object.freeze(value);
}

const limits: fc.Arbitrary<Limits> = fc.record({
  maxSteps: fc.integer({ min: 1, max: 20 }),
  tokens: fc.oneof(fc.integer({ min: 1, max: 3_000 }), fc.constant(100_000)),
  costMicros: fc.option(fc.integer({ min: 1, max: 40 })),
  deadlineMs: fc.option(fc.integer({ min: 1, max: 2_000 })),
  onLimit: fc.constantFrom("stop", "ask"),
});
const tape = fc.array(fc.noBias(fc.nat({ max: 9_999 })), { maxLength: 400, size: "max" });

test("whatever the model, the tools and the humans do, a task ends, within its limits, and no effect happens unasked", () => {
  const endings = new Map<string, number>();
  fc.assert(
    fc.property(limits, tape, (given, choices) => {
      const { state, entries } = play(briefOf(given, { overheadTokens: 10 }), choices);
      assert.ok(state.ended);
      assert.equal(
        entries.filter(({ kind }) => kind === "end").length,
        1 + entries.filter(({ kind }) => kind === "replay").length,
      );
      assert.ok(state.spent.tokens - state.spentBefore.tokens <= state.limits.tokens, "the token budget is overspent");
      const ending = `${state.ended.status} ${state.ended.error}`;
      endings.set(ending, (endings.get(ending) ?? 0) + 1);
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
    "failed model_unavailable",
    "failed null",
  ]);
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

const anyEntry: fc.Arbitrary<EntryBody> = fc.oneof(
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
