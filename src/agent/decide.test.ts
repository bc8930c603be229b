import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  answer,
  briefOf,
  callOf,
  end,
  failure,
  intent,
  invalidCall,
  outcome,
  question,
  replay,
  stateAfter,
  turn,
  type Told,
} from "../../test/support/journal-builders.ts";
import { decide, type Action } from "./decide.ts";
import type { Limits } from "./definition.ts";

const now = 1_000;

/** What a task with these limits does after this journal. */
function next(limits: Partial<Limits>, ...told: Told[]): Action {
  return decide(stateAfter(briefOf(limits), ...told), now);
}

function idsToRun(action: Action): string[] {
  assert.equal(action.type, "run_tools");
  return action.type === "run_tools" ? action.calls.map(({ call }) => call.id) : [];
}

/** Kind and call of each question. */
function asked(action: Action): [string, string | null][] {
  assert.equal(action.type, "ask");
  return action.type === "ask" ? action.questions.map((each) => [each.question, each.callId]) : [];
}

/** The same call, asked for and answered in this many turns. */
function repeated(times: number): Told[] {
  return Array.from({ length: times }, () => [
    turn({ calls: [callOf("c1", { input: { b: 1, a: 2 } })] }),
    outcome("c1"),
  ]).flat();
}

describe("The loop", () => {
  test("a new task calls the model, with all the room there is", () => {
    const brief = briefOf({ tokens: 1_000 }, { prompt: "x".repeat(400), overheadTokens: 300 });
    assert.deepEqual(decide(stateAfter(brief), now), { type: "call_model", maxOutputTokens: 600 });
  });

  test("a turn that asks for nothing is the answer", () => {
    assert.deepEqual(next({}, turn({ text: "Hi." })), { type: "finish", error: null });
  });

  test("the free calls of a turn run together, and the model is called when all have an outcome", () => {
    const calls = [callOf("c1"), callOf("c2"), callOf("c3")];
    assert.deepEqual(idsToRun(next({}, turn({ calls }))), ["c1", "c2", "c3"]);
    assert.deepEqual(idsToRun(next({}, turn({ calls }), outcome("c2"))), ["c1", "c3"]);
    assert.equal(next({}, turn({ calls }), outcome("c2"), outcome("c3"), outcome("c1")).type, "call_model");
  });

  test("an answer without text is an empty one and says so", () => {
    assert.deepEqual(next({}, turn()), { type: "finish", error: "empty_answer" });
    const earlier = [turn({ text: "Let me look.", calls: [callOf("c1")] }), outcome("c1")];
    assert.deepEqual(next({}, ...earlier, turn()), { type: "finish", error: "empty_answer" });
  });

  test("an answer cut off by its length is partial, one withheld by the provider fails", () => {
    assert.deepEqual(next({}, turn({ text: "Once", finish: "length" })), {
      type: "finish",
      error: "token_budget_exceeded",
    });
    const withheld = next({}, turn({ finish: "content_filter" }));
    assert.equal(withheld.type === "fail" && withheld.error, "model_content_policy");
  });

  test("an ended task waits for ever", () => {
    assert.deepEqual(next({}, turn({ calls: [callOf("c1")] }), end()), { type: "wait", until: null });
  });
});

describe("Limits", () => {
  const oneTurn = [
    turn({ text: "So far.", calls: [callOf("c1")], input: 100, output: 50, costMicros: 7 }),
    outcome("c1"),
  ];
  const cases: [string, Partial<Limits>, { used: number; ceiling: number }][] = [
    ["max_steps_reached", { maxSteps: 1 }, { used: 1, ceiling: 1 }],
    ["token_budget_exceeded", { tokens: 310 }, { used: 150, ceiling: 310 }],
    ["cost_budget_exceeded", { costMicros: 7 }, { used: 7, ceiling: 7 }],
  ];
  for (const [limit, limits, { used, ceiling }] of cases) {
    const raised = question("limit", "a1", { input: { limit, used, ceiling } });

    test(`${limit}: ends with the partial answer`, () => {
      assert.deepEqual(next(limits, ...oneTurn), { type: "finish", error: limit });
    });

    test(`${limit}: or asks a human, if the agent says so`, () => {
      const action = next({ ...limits, onLimit: "ask" }, ...oneTurn);
      assert.deepEqual(action.type === "ask" && action.questions, [
        {
          question: "limit",
          callId: null,
          tool: null,
          input: { limit, used, ceiling },
          reason: `The task has used ${used} of ${ceiling} and wants to go on.`,
        },
      ]);
    });

    test(`${limit}: a human lets it go on, or ends it`, () => {
      const asking = { ...limits, onLimit: "ask" as const };
      const goOn = answer("a1", { decision: "continue", advice: "", limits: {} });
      assert.equal(next(asking, ...oneTurn, raised, goOn).type, "call_model");
      assert.deepEqual(next(asking, ...oneTurn, raised, answer("a1", { decision: "end" })), {
        type: "finish",
        error: limit,
      });
    });
  }

  test("the last step allowed is made, and calls of the last turn still run", () => {
    const one = turn({ calls: [callOf("c1")] });
    assert.equal(next({ maxSteps: 2 }, one, outcome("c1")).type, "call_model");
    assert.deepEqual(idsToRun(next({ maxSteps: 1 }, one)), ["c1"]);
  });

  test("a call gets what the token budget leaves after its context, and at least 16 tokens or none", () => {
    const maxTokens = (tokens: number): number | undefined => {
      const action = next({ tokens }, turn({ calls: [callOf("c1")], input: 100, output: 50 }), outcome("c1", ""));
      return action.type === "call_model" ? action.maxOutputTokens : undefined;
    };
    // 150 spent, 150 to send again, and the outcome: {"ok":true,"output":""} is 23 characters, 6 tokens.
    assert.equal(maxTokens(306 + 16), 16);
    assert.equal(maxTokens(306 + 15), undefined);
    assert.equal(maxTokens(1_000_000), 8_192);
  });

  test("a cost just under the ceiling lets another call through, and an unknown price counts as nothing", () => {
    const spent = (costMicros: number | null): Told[] => [turn({ calls: [callOf("c1")], costMicros }), outcome("c1")];
    assert.equal(next({ costMicros: 7 }, ...spent(6)).type, "call_model");
    assert.equal(next({ costMicros: 7 }, ...spent(null)).type, "call_model");
  });
});

describe("The deadline", () => {
  const working = turn({ calls: [callOf("c1")], at: 10 });

  test("ends a task that has worked for too long, before its tools run", () => {
    const action = next({ deadlineMs: 1_000 }, working);
    assert.equal(action.type === "fail" && action.error, "deadline_exceeded");
    assert.equal(next({ deadlineMs: 1_001 }, working).type, "run_tools");
  });

  test("does not count the time a human was waited for, from the first question to the last answer", () => {
    const asking = [
      turn({ calls: [callOf("c1", { needsApproval: true }), callOf("c2", { needsApproval: true })], at: 10 }),
      question("tool", "a1", { call: "c1", at: 100 }),
      question("tool", "a2", { call: "c2", at: 150 }),
    ];
    assert.deepEqual(next({ deadlineMs: 50 }, ...asking), { type: "wait", until: null });
    const answered = [answer("a1", { decision: "approve" }, 600), answer("a2", { decision: "approve" }, 900)];
    const state = stateAfter(briefOf({ deadlineMs: 150 }), ...asking, ...answered);
    assert.equal(state.humanMs, 800);
    assert.equal(decide(state, 949).type, "run_tools");
    assert.equal(decide(state, 950).type, "fail");
  });

  test("does not cut off the question whether an effect happened", () => {
    const once = turn({ calls: [callOf("c1", { effect: "once" })], at: 10 });
    assert.deepEqual(asked(next({ deadlineMs: 50 }, once, intent("c1"))), [["uncertain", "c1"]]);
  });

  test("fails a task whose turn it cut off, and a replay asks the model again", () => {
    const cut = turn({ text: "Let me", finish: "interrupted", at: 10 });
    const action = next({ deadlineMs: 1_000 }, cut);
    assert.equal(action.type === "fail" && action.error, "deadline_exceeded");
    const again = stateAfter(briefOf({ deadlineMs: 1_000 }), cut, end(), replay(null, 900));
    assert.deepEqual([decide(again, now).type, again.messages.length], ["call_model", 0]);
  });

  test("counts anew from a replay", () => {
    assert.equal(next({ deadlineMs: 500 }, working, end(), replay(null, 600)).type, "run_tools");
  });
});

describe("Failures", () => {
  test("after a failure the task waits, and then goes on where it was", () => {
    assert.deepEqual(next({}, failure(1_500)), { type: "wait", until: 1_500 });
    assert.equal(next({}, failure(1_000)).type, "call_model");
  });

  test("the wait is no longer than the deadline", () => {
    assert.deepEqual(next({ deadlineMs: 1_200 }, failure(5_000)), { type: "wait", until: 1_200 });
  });

  test("a failure that no retry mends ends the task with its code, and a replay tries again", () => {
    assert.deepEqual(next({}, failure(null)), { type: "fail", error: "model_unavailable", message: "no answer" });
    assert.equal(next({}, failure(null), end(), replay(null)).type, "call_model");
  });

  test("a model turn ends the count of failures in a row", () => {
    const none = { own: 0, outages: 0, outageSince: null };
    const other = { ...failure(3), code: "internal_error" } as const;
    const { failures } = stateAfter(briefOf(), failure(1), other, failure(2));
    assert.deepEqual([failures.own, failures.outages, failures.outageSince !== null], [1, 2, true]);
    assert.deepEqual(stateAfter(briefOf(), failure(1), other, turn({ text: "Hi." })).failures, none);
  });
});

describe("Invalid calls", () => {
  const invalidTurn = [turn({ calls: [invalidCall("c1")] }), outcome("c1", { ok: false, code: "x", message: "wrong" })];

  test("an invalid call is run to become its outcome, and needs no approval", () => {
    const call = { ...invalidCall("c1"), needsApproval: true };
    assert.deepEqual(idsToRun(next({}, turn({ calls: [call] }))), ["c1"]);
  });

  test("three turns of nothing but invalid calls end the task, a valid call between them does not", () => {
    assert.equal(next({}, ...invalidTurn, ...invalidTurn).type, "call_model");
    const third = next({}, ...invalidTurn, ...invalidTurn, ...invalidTurn);
    assert.equal(third.type === "fail" && third.error, "invalid_tool_calls");
    const mixed = [turn({ calls: [invalidCall("c1"), callOf("c2")] }), outcome("c1"), outcome("c2")];
    assert.equal(next({}, ...invalidTurn, ...invalidTurn, ...mixed, ...invalidTurn).type, "call_model");
  });

  test("a replay gives them another three turns", () => {
    assert.equal(next({}, ...invalidTurn, ...invalidTurn, ...invalidTurn, end(), replay(null)).type, "call_model");
  });
});

describe("Stuttering", () => {
  const fourth = [...repeated(3), turn({ calls: [callOf("c1", { input: { a: 2, b: 1 } })] })];
  const goOn = (advice: string): Told => answer("a1", { decision: "continue", advice, limits: {} });

  test("the fourth time the same call is asked for, in any spelling, a human is asked", () => {
    assert.equal(next({}, ...fourth.slice(0, -2)).type, "run_tools");
    assert.deepEqual(asked(next({}, ...fourth)), [["stutter", "c1"]]);
  });

  test("four equal calls in one turn are stuttering too", () => {
    const calls = ["c1", "c2", "c3", "c4"].map((id) => callOf(id, { input: {} }));
    assert.deepEqual(asked(next({}, turn({ calls }))), [["stutter", "c1"]]);
    const advised = [turn({ calls }), question("stutter", "a1", { call: "c1" }), goOn("Try another way.")];
    assert.equal(next({}, ...advised).type, "call_model");
  });

  test("a human lets it run, once more or with advice instead, or ends the task", () => {
    const stuck = [...fourth, question("stutter", "a1", { call: "c1" })];
    assert.deepEqual(next({}, ...stuck), { type: "wait", until: null });
    assert.deepEqual(idsToRun(next({}, ...stuck, goOn(""))), ["c1"]);
    assert.equal(next({}, ...stuck, goOn("Look in the other table.")).type, "call_model");
    const ended = next({}, ...stuck, answer("a1", { decision: "end" }));
    assert.deepEqual(ended, { type: "finish", error: "stuttering" });
  });

  test("a stuttering call that needs approval still needs it after a human let it go on", () => {
    const dangerous = { input: {}, needsApproval: true };
    const calls = ["c1", "c2", "c3", "c4"].map((id) => callOf(id, dangerous));
    const action = next({}, turn({ calls }), question("stutter", "a1", { call: "c1" }), goOn(""));
    assert.deepEqual(
      asked(action),
      calls.map(({ id }) => ["tool", id]),
    );
  });
});

describe("Approvals", () => {
  const calls = [callOf("c1"), callOf("c2", { needsApproval: true })];
  const askedFor = [turn({ calls }), outcome("c1"), question("tool", "a1", { call: "c2" })];

  test("free calls run first, then a human is asked about the others, then the task waits", () => {
    assert.deepEqual(idsToRun(next({}, turn({ calls }))), ["c1"]);
    assert.deepEqual(asked(next({}, turn({ calls }), outcome("c1"))), [["tool", "c2"]]);
    assert.deepEqual(next({}, ...askedFor), { type: "wait", until: null });
  });

  test("an approved call runs, a denied one does not", () => {
    assert.deepEqual(idsToRun(next({}, ...askedFor, answer("a1", { decision: "approve" }))), ["c2"]);
    assert.equal(next({}, ...askedFor, answer("a1", { decision: "deny", comment: "" })).type, "call_model");
  });

  test("an edited call runs with the new input", () => {
    const action = next({}, ...askedFor, answer("a1", { decision: "edit", input: { id: "other" } }));
    assert.deepEqual(action.type === "run_tools" && action.calls[0]?.call.input, { id: "other" });
  });

  test("nothing runs before the last question is answered", () => {
    const both = [callOf("c1", { needsApproval: true }), callOf("c2", { needsApproval: true })];
    const open = [
      turn({ calls: both }),
      question("tool", "a1", { call: "c1" }),
      question("tool", "a2", { call: "c2" }),
    ];
    const first = answer("a2", { decision: "approve" });
    assert.equal(next({}, ...open, first).type, "wait");
    assert.deepEqual(idsToRun(next({}, ...open, first, answer("a1", { decision: "approve" }))), ["c1", "c2"]);
  });
});

describe("Uncertain outcomes", () => {
  const started = [turn({ calls: [callOf("c1", { effect: "once" }), callOf("c2")] }), intent("c1")];
  const open = [...started, question("uncertain", "a1", { call: "c1" })];

  test("an intent without an outcome is asked about, and never run by itself", () => {
    assert.deepEqual(asked(next({}, ...started)), [["uncertain", "c1"]]);
    assert.equal(next({}, ...open).type, "wait");
  });

  test("it succeeded or failed: the others go on; again: it runs again", () => {
    assert.deepEqual(idsToRun(next({}, ...open, answer("a1", { decision: "succeeded", output: 1 }))), ["c2"]);
    assert.deepEqual(idsToRun(next({}, ...open, answer("a1", { decision: "failed", comment: "" }))), ["c2"]);
    assert.deepEqual(idsToRun(next({}, ...open, answer("a1", { decision: "retry" }))), ["c1", "c2"]);
  });

  test("a second cut-off is asked about again", () => {
    const again = [...open, answer("a1", { decision: "retry" }), intent("c1")];
    assert.deepEqual(asked(next({}, ...again)), [["uncertain", "c1"]]);
  });
});

describe("Replays", () => {
  test("without a prompt the task goes on where it stopped", () => {
    assert.deepEqual(idsToRun(next({}, turn({ calls: [callOf("c1")] }), end(), replay(null))), ["c1"]);
  });

  test("with a prompt it begins anew, with its budget full and nothing of the old turn left", () => {
    const spent = turn({ calls: [callOf("c1", { effect: "once" })], input: 200, output: 100, costMicros: 5 });
    const action = next({ maxSteps: 1, tokens: 300, costMicros: 5 }, spent, intent("c1"), end(), replay("Again"));
    assert.deepEqual(action, { type: "call_model", maxOutputTokens: 298 });
  });

  test("questions left open by the end are asked again", () => {
    const held = [turn({ calls: [callOf("c1", { needsApproval: true })] }), question("tool", "a1", { call: "c1" })];
    assert.deepEqual(asked(next({}, ...held, end(), replay(null))), [["tool", "c1"]]);
    const cut = [turn({ calls: [callOf("c1", { effect: "once" })] }), intent("c1")];
    const uncertain = question("uncertain", "a1", { call: "c1" });
    assert.deepEqual(asked(next({}, ...cut, uncertain, end(), replay(null))), [["uncertain", "c1"]]);
  });

  test("a withheld answer is asked for again", () => {
    assert.equal(next({}, turn({ text: "I", finish: "content_filter" }), end(), replay(null)).type, "call_model");
  });
});
