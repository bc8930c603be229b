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
import type { Message, ToolOutcome } from "./conversation.ts";
import type { Answer, Entry } from "./journal.ts";
import { begin, fold, type State } from "./state.ts";
import { Tally } from "./tally.ts";

function after(...told: Told[]): State {
  return stateAfter(briefOf(), ...told);
}

function statuses(state: State): string[] {
  return state.calls.map(({ call, status }) => `${call.id} ${status}`);
}

/** The outcomes the model reads, in the order it reads them. */
function outcomesIn(state: State): [string, ToolOutcome][] {
  return [...state.messages].flatMap((message) => (message.role === "tool" ? [[message.callId, message.outcome]] : []));
}

const held = [turn({ calls: [callOf("c1", { needsApproval: true })] }), question("tool", "a1", { call: "c1" })];
const uncertain = [
  turn({ calls: [callOf("c1", { effect: "once" })] }),
  intent("c1"),
  question("uncertain", "a1", { call: "c1" }),
];

describe("A model turn", () => {
  test("becomes a message, and its calls are planned under keys that never repeat", () => {
    const state = after(
      turn({ calls: [callOf("c1")] }),
      outcome("c1"),
      turn({ text: "And", calls: [callOf("c1"), callOf("c2")] }),
    );
    assert.deepEqual(
      state.calls.map(({ key, status }) => [key, status]),
      [
        ["3:0", "planned"],
        ["3:1", "planned"],
      ],
    );
    assert.equal(state.messages.length, 3);
    assert.equal(state.messages.text, "And");
    assert.equal(state.lastSeq, 3);
  });

  test("adds up what was spent, and remembers that a price was unknown", () => {
    const state = after(
      turn({ calls: [callOf("c1")], input: 100, output: 20, costMicros: null }),
      outcome("c1"),
      turn({ text: "Hi.", input: 150, output: 30, costMicros: 5 }),
    );
    assert.deepEqual(state.spent, { steps: 2, tokens: 300, costMicros: 5 });
    assert.equal(state.costUnknown, true);
    assert.equal(state.contextTokens, 180);
    assert.equal(state.toolCalls, 1);
  });

  test("counts equal valid calls, in whatever order their arguments are written", () => {
    const one = callOf("c1", { input: { a: 1, b: { c: 2, d: 3 } } });
    const same = callOf("c2", { input: { b: { d: 3, c: 2 }, a: 1 } });
    const state = after(turn({ calls: [one, same, { ...same, id: "c3", tool: "list" }, invalidCall("c4")] }));
    assert.deepEqual(
      state.calls.map(({ repeatKey }) => state.repeats.count(repeatKey)),
      [2, 2, 1, 0],
    );
  });
});

describe("Outcomes", () => {
  test("are read in the order of the calls, in whatever order they came", () => {
    const calls = [callOf("c1"), callOf("c2"), callOf("c3")];
    const state = after(turn({ calls }), outcome("c3", 3), outcome("c1", 1), outcome("c2", 2));
    assert.deepEqual(outcomesIn(state), [
      ["c1", { ok: true, output: 1 }],
      ["c2", { ok: true, output: 2 }],
      ["c3", { ok: true, output: 3 }],
    ]);
    assert.deepEqual(statuses(state), ["c1 done", "c2 done", "c3 done"]);
  });

  test("count once: a second one for a call, or one for a call nobody made, changes nothing", () => {
    const state = after(
      turn({ calls: [callOf("c1")] }),
      outcome("c1", "first"),
      outcome("c1", "second"),
      outcome("c9"),
    );
    assert.deepEqual(outcomesIn(state), [["c1", { ok: true, output: "first" }]]);
  });

  test("count towards the context of the next turn", () => {
    const state = after(turn({ calls: [callOf("c1")], input: 100 }), outcome("c1", "x".repeat(377)));
    assert.equal(state.contextTokens, 100 + 100);
  });
});

describe("Answers of a human", () => {
  const cases: [string, Told[], Answer, string, [string, ToolOutcome][]][] = [
    ["approve", held, { decision: "approve" }, "c1 approved", []],
    ["retry", uncertain, { decision: "retry" }, "c1 approved", []],
    [
      "deny, with the comment",
      held,
      { decision: "deny", comment: "too much" },
      "c1 done",
      [["c1", { ok: false, code: "denied", message: "A human denied this call: too much" }]],
    ],
    [
      "deny, without a comment",
      held,
      { decision: "deny", comment: "" },
      "c1 done",
      [["c1", { ok: false, code: "denied", message: "A human denied this call." }]],
    ],
    [
      "succeeded",
      uncertain,
      { decision: "succeeded", output: { id: 7 } },
      "c1 done",
      [["c1", { ok: true, output: { id: 7 } }]],
    ],
    [
      "failed",
      uncertain,
      { decision: "failed", comment: "no trace of it" },
      "c1 done",
      [["c1", { ok: false, code: "tool_failed", message: "A human reports that this call failed: no trace of it" }]],
    ],
  ];
  for (const [name, told, given, status, outcomes] of cases) {
    test(name, () => {
      const state = after(...told, answer("a1", given));
      assert.deepEqual(statuses(state), [status]);
      assert.deepEqual(outcomesIn(state), outcomes);
      assert.deepEqual(state.openQuestions, []);
    });
  }

  test("edit changes the call and what the model is shown to have asked for", () => {
    const earlier = [turn({ calls: [callOf("c1", { input: "old" })] }), outcome("c1")];
    const state = after(...earlier, ...held, answer("a1", { decision: "edit", input: { amount: 1 } }));
    assert.deepEqual(state.calls[0]?.call.input, { amount: 1 });
    const inputs = [...state.messages].flatMap((message) =>
      message.role === "assistant" ? message.parts.flatMap((part) => (part.type === "call" ? [part.input] : [])) : [],
    );
    assert.deepEqual(inputs, ["old", { amount: 1 }]);
  });

  test("the first answer stands; one to no open question changes nothing", () => {
    const state = after(
      ...held,
      answer("a1", { decision: "deny", comment: "" }),
      answer("a1", { decision: "approve" }),
    );
    assert.deepEqual(statuses(state), ["c1 done"]);
    assert.deepEqual(statuses(after(...held, answer("a9", { decision: "approve" }))), ["c1 asked"]);
  });

  test("an answer that comes after the outcome does not run the call again", () => {
    const late = after(...uncertain, outcome("c1"), answer("a1", { decision: "retry" }));
    assert.deepEqual(statuses(late), ["c1 done"]);
    assert.equal(
      outcomesIn(after(...uncertain, outcome("c1"), answer("a1", { decision: "failed", comment: "" }))).length,
      1,
    );
  });

  test("advice is what the model reads: for a limit as the user's word, for a repetition as every equal call's outcome", () => {
    const advised = answer("a1", { decision: "continue", advice: "Be brief.", limits: {} });
    const limit = question("limit", "a1", { input: { limit: "max_steps_reached", used: 1, ceiling: 10 } });
    const state = after(turn({ calls: [callOf("c1")], input: 10 }), outcome("c1", ""), limit, advised);
    assert.deepEqual(state.messages.last, { role: "user", text: "Be brief." } satisfies Message);
    assert.equal(state.contextTokens, 10 + 6 + 3);

    const calls = [callOf("c1", { input: 1 }), callOf("c2", { input: 2 }), callOf("c3", { input: 1 })];
    const stopped = after(turn({ calls }), question("stutter", "a1", { call: "c1" }), advised);
    assert.deepEqual(statuses(stopped), ["c1 done", "c2 planned", "c3 done"]);
    const told = {
      ok: false,
      code: "stopped_by_human",
      message: "A human stopped this repetition: Be brief.",
    } as const;
    assert.deepEqual(outcomesIn(stopped), [
      ["c1", told],
      ["c3", told],
    ]);
  });

  test("end leaves no call without an outcome, so that a later task of the session can be shown to a model", () => {
    const calls = [callOf("c1"), callOf("c2")];
    const state = after(turn({ calls }), question("stutter", "a1", { call: "c1" }), answer("a1", { decision: "end" }));
    assert.deepEqual(
      outcomesIn(state).map(([id, result]) => [id, result.ok]),
      [
        ["c1", false],
        ["c2", false],
      ],
    );
    assert.equal(state.endedByHuman?.approvalId, "a1");
  });

  test("a ceiling is raised as the human says, and else the reached one is doubled", () => {
    const limits = { maxSteps: 4, tokens: 1_000, costMicros: 50 };
    const raised = (limit: string, given: Partial<typeof limits>): unknown => {
      const asked = question("limit", "a1", { input: { limit } });
      const goOn = answer("a1", { decision: "continue", advice: "", limits: given });
      const { maxSteps, tokens, costMicros } = stateAfter(briefOf(limits), asked, goOn).limits;
      return { maxSteps, tokens, costMicros };
    };
    assert.deepEqual(raised("max_steps_reached", {}), { ...limits, maxSteps: 8 });
    assert.deepEqual(raised("token_budget_exceeded", {}), { ...limits, tokens: 2_000 });
    assert.deepEqual(raised("cost_budget_exceeded", {}), { ...limits, costMicros: 100 });
    assert.deepEqual(raised("cost_budget_exceeded", { costMicros: 60, maxSteps: 5 }), {
      ...limits,
      maxSteps: 5,
      costMicros: 60,
    });
  });
});

describe("An end and a replay", () => {
  test("an end withdraws the open questions; the calls are as they were before they were asked about", () => {
    assert.deepEqual(statuses(after(...held, end())), ["c1 planned"]);
    assert.deepEqual(statuses(after(...uncertain, end())), ["c1 started"]);
    assert.deepEqual(after(...held, end()).openQuestions, []);
  });

  test("a replay with a prompt keeps what was spent on the books but not on the budget", () => {
    const state = after(
      turn({ calls: [callOf("c1")], input: 8, output: 2, costMicros: 3 }),
      end(),
      replay("Again", 70),
    );
    assert.equal(state.prompt, "Again");
    assert.deepEqual([[...state.messages], state.calls, state.ended], [[], [], null]);
    assert.equal(state.repeats, Tally.empty);
    assert.deepEqual(state.spent, { steps: 1, tokens: 10, costMicros: 3 });
    assert.deepEqual(state.spentBefore, state.spent);
    assert.equal(state.startedAt, 70);
  });

  test("a replay forgets failures, whatever they were", () => {
    const state = after(failure(5), failure(null), end(), replay(null));
    assert.deepEqual([state.failures.outages, state.retryAt, state.fatal, state.ended], [0, null, null, null]);
  });
});

test("folding an entry takes as long at the end of a long journal as at the beginning", () => {
  const msPerStep = (steps: number): number => {
    const told = Array.from({ length: steps }, (_, index) => {
      const calls = [callOf(`a${index}`), callOf(`b${index}`)];
      return [turn({ text: "So", calls }), outcome(`b${index}`), outcome(`a${index}`)];
    });
    const journal = told.flat().map((entry, index): Entry => ({ ...entry, seq: index + 1, at: 0 }));
    const runs = Array.from({ length: 3 }, () => {
      const from = performance.now();
      assert.equal(journal.reduce(fold, begin(briefOf())).messages.text, "So");
      return performance.now() - from;
    });
    return Math.min(...runs) / steps;
  };
  msPerStep(500);
  const [short, long] = [msPerStep(500), msPerStep(16_000)];
  // Copying all messages at every entry made it 30 times.
  assert.ok(long < short * 6, `${short * 1_000} µs a step in a short journal, ${long * 1_000} µs in a long one`);
});
