/**
 * Whole lives of tasks, in which a random model, random tools, a random human and random crashes do what `decide` asks for.
 *
 * A life is played from a tape of numbers. When the tape is at its end every choice is the first one, and the first one
 * always leads towards an end; so a life that does not end is a fault of `decide`.
 */
import assert from "node:assert/strict";
import { compressed } from "../../src/agent/compression.ts";
import type { Message, ToolOutcome } from "../../src/agent/conversation.ts";
import { decide, type Action } from "../../src/agent/decide.ts";
import type { Answer, Effect, Entry, EntryBody, PlannedCall, QuestionEntry } from "../../src/agent/journal.ts";
import { begin, fold, type Brief, type State } from "../../src/agent/state.ts";
import {
  answer,
  callOf,
  compression,
  end,
  failure,
  intent,
  refusal,
  replay,
  turn,
  type Told,
} from "./journal-builders.ts";

type Choose = (options: number) => number;

/** What a life is watched for, kept apart from the state that is judged by it. */
export interface Life {
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

export const effects: readonly Effect[] = ["read", "idempotent", "once"];

export function play(brief: Brief, tape: readonly number[]): Life {
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
    case "compress":
      tell(life, compressionOf(life, action));
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
  assertReadable(messages);
}

/** Providers refuse a conversation in which a call has no outcome, or has two, or comes in another order. */
export function assertReadable(messages: Iterable<Message>): void {
  let open: string[] = [];
  for (const message of messages) {
    if (message.role === "tool") assert.equal(message.callId, open.shift());
    else assert.deepEqual(open, [], "a call without an outcome");
    if (message.role === "assistant") open = message.parts.flatMap((part) => (part.type === "call" ? [part.id] : []));
  }
  assert.deepEqual(open, [], "a call without an outcome");
}

/** A summary of any length up to what was asked for; or no model is there to write it. */
function compressionOf({ state, choose, now }: Life, { plan }: Action & { type: "compress" }): Told {
  assert.ok(plan.digestChars !== null || plan.outcomeChars !== null, "a compression leaves everything as it is");
  if (plan.digestChars !== null && choose(6) === 5) return failure(now + choose(100));
  const { keptTurns, outcomeChars, inputTokens, outputTokens } = plan;
  const summary = plan.digestChars === null ? null : "s".repeat(1 + choose(plan.summaryChars));
  const told = { keptTurns, outcomeChars, summary };
  const output = summary === null ? 0 : choose(outputTokens + 1);
  const usage = { input: inputTokens, cached: 0, output, reasoning: 0, estimated: false };
  const { contextTokens } = compressed(state, told);
  assert.ok(contextTokens < state.contextTokens, "a compression makes nothing shorter");
  return compression({
    ...told,
    usage,
    costMicros: choose(5),
    tokensBefore: state.contextTokens,
    tokensAfter: contextTokens,
  });
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
    case 6:
      return refusal();
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
      fate === 1
        ? { ok: false, code: "tool_failed", message: "no" }
        : { ok: true, output: "x".repeat(1 + life.choose(9) ** 5) };
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
export function freeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.values(value).forEach(freeze);
  return Object.freeze(value);
}
