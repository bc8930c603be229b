import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  briefOf,
  callOf,
  compression,
  failure,
  message,
  outcome,
  refusal,
  replay,
  stateAfter,
  turn,
  type Told,
} from "../../test/support/journal-builders.ts";
import { coveredBy, planCompression, shownMessages } from "./compression.ts";
import type { Message } from "./conversation.ts";
import { decide, hears, listens, nextCall, type Action } from "./decide.ts";
import { digestOf } from "./digest.ts";
import { shorten } from "./shorten.ts";
import type { State } from "./state.ts";

const roomy = { maxSteps: 99, tokens: 1_000_000 };

/** A turn that calls, and its outcome of so many characters. */
function step(id: string, chars = 2_000): Told[] {
  return [turn({ calls: [callOf(id)] }), outcome(id, "x".repeat(chars))];
}

const steps = (count: number, chars?: number): Told[] =>
  Array.from({ length: count }, (_, index) => step(`c${index + 1}`, chars)).flat();

/** With a context that is as long as it looks. */
function long(told: Told[], brief: Parameters<typeof briefOf>[1] = {}): State {
  const state = stateAfter(briefOf(roomy, brief), ...told);
  return { ...state, contextTokens: Math.ceil(JSON.stringify([...state.messages]).length / 4) + 10 };
}

function compressing(state: State): Action & { type: "compress" } {
  const action = decide(state, 0);
  assert.ok(action.type === "compress", action.type);
  return action;
}

describe("When a conversation does not fit", () => {
  test("it is made shorter after a refusal, and the model is called again", () => {
    const told = [...steps(8), refusal()];
    const { plan } = compressing(long(told));
    assert.ok(plan.keptTurns >= 1 && plan.keptTurns < 8);
    assert.ok(plan.digestChars !== null && plan.outcomeChars === null);
    const after = stateAfter(briefOf(roomy), ...told, compression({ keptTurns: plan.keptTurns }));
    assert.deepEqual([decide(after, 0).type, after.tooLong, after.fatal], ["call_model", null, null]);
    assert.deepEqual([after.spent.steps, after.contextTokens], [8, 50], "it is no step");
  });

  test("it is made shorter before a call that no window of the route has room for, an answer included", () => {
    const at = (windowTokens: number | null): string => decide(long(steps(8), { windowTokens }), 0).type;
    const needed = long(steps(8)).contextTokens;
    assert.deepEqual(
      [at(null), at(needed * 2), at(needed + 10), at(needed)],
      ["call_model", "call_model", "compress", "compress"],
    );
  });

  test("other failures are no reason, and do not make a refusal forgotten", () => {
    assert.equal(decide(long([...steps(8), failure(null)]), 0).type, "fail");
    const lost = long([...steps(8), refusal(), failure(5)]);
    assert.deepEqual([decide(lost, 0).type, decide(lost, 5).type], ["wait", "compress"]);
  });

  test("the call that is lost with a worker is the one for the notes, and none where outcomes are only cut", () => {
    const due = nextCall(long([...steps(8), refusal()]));
    assert.ok(due?.type === "summary" && due.inputTokens > 400);
    assert.equal(nextCall(long([...step("c1", 40_000), refusal()])), null);
    assert.equal(nextCall(long(steps(8)))?.type, "turn");
  });

  test("a message has its place before the notes, too", () => {
    const state = long([...steps(8), refusal()]);
    const said = { prompt: "Stop.", context: null };
    assert.deepEqual([listens(state, 0), hears(state, [said], 0)], [true, true]);
  });

  test("a limit comes first: notes that the task cannot pay for are not asked for", () => {
    const { contextTokens } = long(steps(8));
    const limits = { maxSteps: 99, tokens: Math.ceil(contextTokens / 4) };
    const state = { ...stateAfter(briefOf(limits), ...steps(8), refusal()), contextTokens };
    assert.deepEqual(decide(state, 0), { type: "finish", error: "token_budget_exceeded" });
  });

  test("what cannot be made shorter fails at once, and so does the fourth try", () => {
    const short = decide(stateAfter(briefOf(roomy, { prompt: "x".repeat(9_000) }), refusal("Too long.")), 0);
    assert.ok(short.type === "fail" && short.error === "model_context_too_long");
    assert.match(short.message, /^Too long\. Nothing can be left out/);
    const cuts = [1, 2, 3].flatMap(() => [refusal(), compression({ keptTurns: 8, summary: null, tokensAfter: 9_000 })]);
    const told = [...steps(8), ...cuts, refusal("Too long.")];
    const again = decide(long(told), 0);
    assert.ok(again.type === "fail");
    assert.match(again.message, /^Too long\. It was made shorter/);
    assert.equal(decide(long([...told, replay(null)]), 0).type, "call_model", "a dead letter may be tried again");
  });
});

describe("What is left out", () => {
  test("the last of three tries keeps nothing but what the user said last", () => {
    const told = [...steps(4), message("And be brief.")];
    const plan = planCompression({ ...long(told), compressions: 2 });
    assert.equal(plan?.keptTurns, 0);
    const state = stateAfter(briefOf(roomy), ...told, compression({ keptTurns: 0 }));
    assert.deepEqual([...state.messages], [{ role: "user", text: "And be brief." }]);
    assert.equal(decide(state, 0).type, "call_model");
  });

  test("an outcome longer than the window is cut in the middle, if that is enough", () => {
    const told = [...steps(2, 100), ...step("big", 60_000), refusal()];
    const { plan } = compressing(long(told));
    assert.deepEqual([plan.digestChars, plan.keptTurns], [null, 3]);
    const state = stateAfter(briefOf(roomy), ...told, compression({ ...plan, summary: null }));
    const [, small, , , , big] = [...state.messages];
    assert.ok(small?.role === "tool" && small.outcome.ok && small.outcome.output === "x".repeat(100));
    assert.ok(big?.role === "tool" && big.outcome.ok && typeof big.outcome.output === "string");
    assert.match(big.outcome.output, /^x+\n\[\d+ characters are left out here; the whole is .* call big\]\nx+$/);
    assert.ok(big.outcome.output.length <= plan.outcomeChars!);
  });

  test("the session's history goes first; then the notes stand for it, and for the notes before them", () => {
    const history: Message[] = [{ role: "user", text: "Long ago." }];
    const before = long([refusal()], { historyTokens: 5_000 });
    const { plan } = compressing({ ...before, contextTokens: 5_000 });
    assert.deepEqual([plan.keptTurns, coveredBy(plan, before, history)], [0, history]);
    const state = stateAfter(briefOf(roomy), ...steps(2), compression({ summary: "Notes." }));
    const [notes, prompt, ...rest] = shownMessages(state, { history, context: null });
    assert.ok(notes?.role === "user" && notes.text.endsWith("\n\nNotes."));
    assert.deepEqual([prompt, rest.length], [{ role: "user", text: "Hello" }, 2]);
    const [first, ...older] = coveredBy({ keptTurns: 0 }, state, history);
    assert.deepEqual([first, older.length], [notes, 2]);
  });

  test("a replay with another prompt shows the history again", () => {
    const state = stateAfter(briefOf(roomy, { historyTokens: 70 }), ...steps(2), compression(), replay("Anew."));
    assert.deepEqual([state.summary, state.contextTokens], [null, 72]);
  });

  test("after a turn the next conversation may be shortened as often again", () => {
    const state = stateAfter(briefOf(roomy), refusal(), compression(), ...steps(1));
    assert.deepEqual([state.compressions, state.tooLong], [0, null]);
  });
});

describe("A text that is made to fit", () => {
  test("is as long as it may be, and never has half of a character", () => {
    const text = fc.string({ unit: "binary", maxLength: 600 });
    fc.assert(
      fc.property(text, fc.nat({ max: 400 }), (given, most) => {
        const short = shorten(given, most);
        assert.ok(short.length <= Math.max(most, 60));
        assert.ok(short.isWellFormed());
        if (given.length <= most) assert.equal(short, given);
      }),
    );
  });

  test("is a digest of what was said that begins with the first and ends with the last, however much it was", () => {
    const texts = fc.array(fc.string({ minLength: 1, maxLength: 3_000 }), { minLength: 1, maxLength: 120 });
    fc.assert(
      fc.property(texts, fc.integer({ min: 400, max: 20_000 }), (given, most) => {
        const said = given.map<Message>((text) => ({ role: "user", text }));
        const digest = digestOf([{ role: "user", text: "first" }, ...said, { role: "user", text: "last" }], most);
        assert.ok(digest.length <= most + 100, `${digest.length} of ${most}`);
        assert.ok(digest.startsWith("User: first") && digest.endsWith("User: last"));
      }),
    );
  });

  test("tells of calls, outcomes and failures", () => {
    const { messages } = stateAfter(
      briefOf(),
      turn({ text: "I look.", calls: [callOf("a"), callOf("b")] }),
      outcome("a"),
      outcome("b", { ok: false, code: "tool_failed", message: "no" }),
    );
    assert.equal(
      digestOf([...messages], 1_000),
      'Agent: I look.\nAgent calls find: {"id":"a"}\nAgent calls find: {"id":"b"}\nfind answers: found\nfind fails: no',
    );
  });
});
