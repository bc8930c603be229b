import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { askHuman } from "./ask-human.ts";
import type { Line, LineReader } from "./line-reader.ts";
import { plain, type Terminal } from "./terminal.ts";
import type { Asked } from "./wording.ts";

const refund: Asked & { reason: string } = {
  kind: "tool",
  tool: "refund",
  input: { orderId: "A-1", amountUsd: 80 },
  reason: "It is much.",
};

/** Asks somebody who types these lines. */
async function ask(asked: Asked & { reason: string }, ...typed: (string | Line)[]) {
  const printed: string[] = [];
  const prefilled: (string | undefined)[] = [];
  const reader: LineReader = {
    next: () => assert.fail("a decision is not taken from what was pasted"),
    ask: async (_question, prefill) => {
      prefilled.push(prefill);
      const line = typed.shift() ?? assert.fail("it asked again");
      return typeof line === "string" ? { type: "text", text: line } : line;
    },
  };
  const terminal = { print: (line = "") => printed.push(line), paint: plain } as Partial<Terminal> as Terminal;
  return { given: await askHuman(asked, { terminal, reader }), printed, prefilled };
}

describe("Asking a human", () => {
  test("shows the whole call and takes the beginning of a word", async () => {
    const { given, printed } = await ask(refund, "ap");
    assert.deepEqual(given, { type: "answer", body: { decision: "approve" } });
    assert.deepEqual(printed, ['? May refund(orderId: "A-1", amountUsd: 80) run?', "  It is much."]);
  });

  test("takes neither an empty line nor another word for a decision", async () => {
    const { given, printed } = await ask(refund, "", "yes", "d", "Too much.");
    assert.deepEqual(given, { type: "answer", body: { decision: "deny", comment: "Too much." } });
    assert.equal(printed.filter((line) => line.includes("Type one of")).length, 2);
  });

  test("lets the arguments be changed, and asks again when they are no JSON", async () => {
    const { given, prefilled, printed } = await ask(refund, "e", "{", "e", '{"amountUsd":20}');
    assert.deepEqual(given, { type: "answer", body: { decision: "edit", input: { amountUsd: 20 } } });
    assert.equal(prefilled[1], '{"orderId":"A-1","amountUsd":80}');
    assert.match(printed.at(-1) ?? "", /not JSON/);
  });

  test("Ctrl-D leaves it for later, and takes back a decision that needs more; Ctrl-C is passed on", async () => {
    assert.deepEqual((await ask(refund, { type: "end" })).given, { type: "later" });
    assert.deepEqual((await ask(refund, "deny", { type: "end" }, "later")).given, { type: "later" });
    assert.deepEqual((await ask(refund, { type: "interrupt" })).given, { type: "interrupt" });
    assert.deepEqual((await ask(refund, "edit", { type: "interrupt" })).given, { type: "interrupt" });
  });

  test("an uncertain call is answered with what it came to", async () => {
    const uncertain = { ...refund, kind: "uncertain" as const };
    assert.deepEqual((await ask(uncertain, "s", '{"refundId":"R-1"}')).given, {
      type: "answer",
      body: { decision: "succeeded", output: { refundId: "R-1" } },
    });
    assert.deepEqual((await ask(uncertain, "s", "")).given, {
      type: "answer",
      body: { decision: "succeeded", output: null },
    });
    assert.deepEqual((await ask(uncertain, "r")).given, { type: "answer", body: { decision: "retry" } });
  });

  test("a limit is raised in its own unit, a repetition goes on with advice", async () => {
    const limit = (code: string) => ({
      kind: "limit" as const,
      tool: null,
      input: { limit: code, used: 9, ceiling: 9 },
      reason: "",
    });
    const raised: [code: string, typed: string, limits: object][] = [
      ["max_steps_reached", "20", { max_steps: 20 }],
      ["token_budget_exceeded", "9000", { tokens: 9000 }],
      ["cost_budget_exceeded", "$0.50", { cost_usd: 0.5 }],
      ["max_steps_reached", "", {}],
    ];
    for (const [code, typed, limits] of raised) {
      assert.deepEqual((await ask(limit(code), "c", typed)).given, {
        type: "answer",
        body: { decision: "continue", limits },
      });
    }
    assert.deepEqual((await ask(limit("max_steps_reached"), "c", "many", "e")).given, {
      type: "answer",
      body: { decision: "end" },
    });
    const stutter = { ...refund, kind: "stutter" as const };
    assert.deepEqual((await ask(stutter, "c", "Ask first.")).given, {
      type: "answer",
      body: { decision: "continue", advice: "Ask first." },
    });
  });
});
