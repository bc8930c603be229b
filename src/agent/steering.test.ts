/** Messages of the user while the task is at work: where they stand, and whether they are heard at all. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  answer,
  briefOf,
  callOf,
  end,
  failure,
  journalOf,
  message,
  outcome,
  question,
  replay,
  stateAfter,
  turn,
  type Told,
} from "../../test/support/journal-builders.ts";
import type { Message } from "./conversation.ts";
import { decide, hears, listens } from "./decide.ts";
import { begin, fold, type State } from "./state.ts";

const calls = [callOf("a"), callOf("b")];
const cut = (text: string): Told => turn({ text, finish: "interrupted" });
const said = (state: State): string[] =>
  [...state.messages].map((each) =>
    each.role === "user" ? each.text : each.role === "tool" ? each.callId : `model ${each.parts.length}`,
  );

describe("A message", () => {
  test("stands before the first turn, after a turn's outcomes, and after an answer", () => {
    const state = stateAfter(
      briefOf(),
      message("1"),
      turn({ calls }),
      outcome("b"),
      outcome("a"),
      message("2"),
      turn({ text: "So." }),
      message("3"),
    );
    assert.deepEqual(said(state), ["1", "model 2", "a", "b", "2", "model 1", "3"]);
    assert.equal(decide(state, 0).type, "call_model");
  });

  test("that comes between a call and its outcome stands after all of them", () => {
    const state = stateAfter(briefOf(), turn({ calls }), message("1"), outcome("b"), message("2"), outcome("a"));
    assert.deepEqual(said(state), ["model 2", "a", "b", "1", "2"]);
  });

  test("is shown with its context, and takes room in the next call", () => {
    const before = stateAfter(briefOf());
    const state = stateAfter(briefOf(), message("Here.", { page: 7 }));
    assert.deepEqual(said(state), ['Here.\n\nContext:\n{\n  "page": 7\n}']);
    assert.ok(state.contextTokens > before.contextTokens);
  });

  test("brings no steps, no tokens and no time", () => {
    const one = stateAfter(briefOf(), turn({ text: "So.", input: 3, output: 4 }));
    const two = stateAfter(briefOf(), turn({ text: "So.", input: 3, output: 4 }), message("More."));
    const { spent, limits, startedAt } = one;
    assert.deepEqual({ spent, limits, startedAt }, { spent: two.spent, limits: two.limits, startedAt: two.startedAt });
  });

  test("is forgotten by a replay from the start, and kept by one from where it stopped", () => {
    const journal = [message("1"), turn({ calls: [callOf("a")] }), outcome("a"), failure(null), end()];
    assert.deepEqual(said(stateAfter(briefOf(), ...journal, replay(null))), ["1", "model 1", "a"]);
    assert.deepEqual(said(stateAfter(briefOf(), ...journal, replay("Else."))), []);
  });
});

describe("Whether it is heard", () => {
  const more = [{ prompt: "More.", context: null }];
  const heard = (state: State, now = 0): [boolean, boolean] => [listens(state, now), hears(state, more, now)];

  test("before a turn and after an answer it is", () => {
    assert.deepEqual(heard(stateAfter(briefOf())), [true, true]);
    assert.deepEqual(heard(stateAfter(briefOf(), turn({ text: "So." }))), [true, true]);
    assert.deepEqual(heard(stateAfter(briefOf(), cut("So"))), [true, true]);
  });

  test("while calls are open, a human is asked, or the task is to be tried again later it is not yet", () => {
    for (const state of [
      stateAfter(briefOf(), turn({ calls })),
      stateAfter(briefOf(), turn({ calls }), outcome("a")),
      stateAfter(briefOf(), turn({ calls }), question("tool", "q", { call: "a" })),
      stateAfter(briefOf(), failure(50)),
    ]) {
      assert.deepEqual(heard(state), [false, false]);
    }
  });

  test("where no turn would answer to it, it is not: a limit, a failure, a human's end, a withheld answer, no time", () => {
    const ended = [question("limit", "q"), answer("q", { decision: "end" })];
    for (const [state, now] of [
      [stateAfter(briefOf({ maxSteps: 1 }), turn({ text: "So." })), 0],
      [stateAfter(briefOf({ maxSteps: 1, onLimit: "ask" }), turn({ text: "So." })), 0],
      [stateAfter(briefOf({ tokens: 100 }), turn({ text: "So.", input: 40, output: 40 })), 0],
      [stateAfter(briefOf(), failure(null)), 0],
      [stateAfter(briefOf(), ...ended), 0],
      [stateAfter(briefOf(), turn({ finish: "content_filter" })), 0],
      [stateAfter(briefOf({ deadlineMs: 10 }), turn({ text: "So." })), 11],
      [stateAfter(briefOf(), turn({ text: "So." }), end("completed")), 0],
    ] as const) {
      assert.equal(heard(state, now)[1], false);
    }
  });

  test("one that is too long for what is left is not, though another turn without it would be allowed", () => {
    const state = stateAfter(
      briefOf({ tokens: 200 }),
      turn({ calls: [callOf("a")], input: 20, output: 20 }),
      outcome("a"),
    );
    assert.equal(decide(state, 0).type, "call_model");
    assert.equal(hears(state, [{ prompt: "x".repeat(800), context: null }], 0), false);
  });
});

describe("An interrupted turn", () => {
  test("is no answer: the next turn sees what it said, and the message", () => {
    const state = stateAfter(briefOf(), cut("Once upon"), message("A poem."));
    assert.deepEqual(said(state), ["model 1", "A poem."]);
    assert.equal(decide(state, 0).type, "call_model");
    assert.equal(state.spent.steps, 1);
  });

  test("with no room for the message the task ends with what it had said", () => {
    const state = stateAfter(briefOf({ maxSteps: 1 }), cut("Once upon"));
    assert.deepEqual(decide(state, 0), { type: "finish", error: "interrupted" });
    assert.equal(state.messages.text, "Once upon");
  });
});

/** What happens to a task of tools, told by a tape: which outcome comes next, and what users say in between. */
const happening = fc.oneof(
  { weight: 3, arbitrary: fc.constant("outcome" as const) },
  { weight: 2, arbitrary: fc.constant("message" as const) },
  { weight: 1, arbitrary: fc.constant("deny" as const) },
);
const turns = fc.array(
  fc.record({ calls: fc.nat({ max: 3 }), cut: fc.boolean(), order: fc.array(fc.nat({ max: 9 }), { maxLength: 4 }) }),
  { maxLength: 6 },
);

test("wherever messages come, every call is answered right after its turn, and the messages stand in their order", () => {
  fc.assert(
    fc.property(turns, fc.array(happening, { maxLength: 40 }), (lives, tape) => {
      const told: Told[] = [];
      let sent = 0;
      const say = (): void => void told.push(message(`m${sent++}`));
      for (const [index, life] of lives.entries()) {
        const ids = Array.from({ length: life.calls }, (_, call) => `${index}-${call}`);
        told.push(
          ids.length === 0 && life.cut
            ? cut("So")
            : turn({ text: "So", calls: ids.map((id) => callOf(id, { needsApproval: true })) }),
        );
        const open = [...ids];
        while (open.length > 0) {
          const next = tape.shift() ?? "outcome";
          if (next === "message") {
            say();
            continue;
          }
          const [id = ""] = open.splice((life.order.shift() ?? 0) % open.length, 1);
          if (next === "outcome") told.push(outcome(id));
          else told.push(question("tool", id, { call: id }), answer(id, { decision: "deny", comment: "" }));
        }
        say();
      }
      const state = journalOf(...told).reduce(fold, begin(briefOf({ maxSteps: 99, tokens: 1_000_000 })));
      assertValid([...state.messages]);
      const users = said(state).filter((text) => text.startsWith("m") && !text.startsWith("model"));
      assert.deepEqual(
        users,
        Array.from({ length: sent }, (_, n) => `m${n}`),
      );
    }),
    { numRuns: 1_000 },
  );
});

function assertValid(messages: readonly Message[]): void {
  let open: string[] = [];
  for (const each of messages) {
    if (each.role === "tool") assert.equal(each.callId, open.shift());
    else assert.deepEqual(open, [], "a call without an outcome");
    if (each.role === "assistant") open = each.parts.flatMap((part) => (part.type === "call" ? [part.id] : []));
  }
  assert.deepEqual(open, [], "a call without an outcome");
}

test("what is heard leads to a model call, and what is not heard leaves no trace", () => {
  const limits = fc.record({ maxSteps: fc.integer({ min: 1, max: 4 }), tokens: fc.integer({ min: 1, max: 400 }) });
  const steps = fc.array(fc.constantFrom("call", "outcome", "answer", "cut", "fail", "message"), { maxLength: 8 });
  fc.assert(
    fc.property(limits, steps, fc.nat({ max: 1_500 }), (given, journal, chars) => {
      const told = journal.map((step): Told => {
        if (step === "call") return turn({ calls: [callOf("a")], input: 20, output: 5 });
        if (step === "outcome") return outcome("a");
        if (step === "answer") return turn({ text: "So.", input: 20, output: 5 });
        if (step === "fail") return failure(null);
        return step === "cut" ? cut("So") : message("Hm.");
      });
      const state = stateAfter(briefOf(given), ...told);
      const before = structuredClone(said(state));
      const next = { prompt: "x".repeat(chars), context: null };
      if (hears(state, [next], 0)) {
        const after = fold(state, { ...message(next.prompt), seq: told.length + 1, at: 0 });
        assert.equal(decide(after, 0).type, "call_model");
        assert.equal(after.messages.last?.role, "user");
      }
      assert.deepEqual(said(state), before);
    }),
    { numRuns: 1_000 },
  );
});
