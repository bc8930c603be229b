import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AnswerExpectation, CallExpectation } from "./cases.ts";
import { checkAnswer, checkCalls, type MadeCall } from "./checks.ts";

function passes(answer: string, expect: Partial<AnswerExpectation>): boolean {
  const checks = checkAnswer(answer, { contains: [], excludes: [], ...expect });
  assert.ok(checks.length > 0);
  return checks.every(({ passed }) => passed);
}

describe("An answer", () => {
  test("is exact but for space around it", () => {
    assert.ok(passes(" 42\n", { exact: "42" }));
    assert.ok(!passes("42.", { exact: "42" }));
    assert.ok(passes("", { exact: "" }));
  });

  test("contains each part in whatever case, and none of what is excluded", () => {
    assert.ok(passes("It was Delivered to Berlin.", { contains: ["delivered", "berlin"], excludes: ["refund"] }));
    assert.ok(!passes("It was delivered.", { contains: ["delivered", "berlin"] }));
    assert.ok(!passes("No refund was made.", { excludes: ["Refund"] }));
  });

  test("matches a pattern, case and all", () => {
    assert.ok(passes("Order A-1001 is here.", { regex: "A-\\d{4}" }));
    assert.ok(!passes("Order a-1001 is here.", { regex: "A-\\d{4}" }));
  });

  test("satisfies a schema, with or without a fence around the JSON", () => {
    const schema = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] };
    assert.ok(passes('{"n": 1}', { schema }));
    assert.ok(passes('```json\n{"n": 1}\n```', { schema }));
    assert.ok(!passes('{"n": "one"}', { schema }));
    assert.ok(!passes("n is 1", { schema }));
  });

  test("that is wrong is told what was expected of it", () => {
    const [check] = checkAnswer("No.", { contains: ["yes"], excludes: [] });
    assert.deepEqual(check, { what: "answer", passed: false, reason: 'Expected: it contains "yes".' });
  });
});

const find = (orderId: string): MadeCall => ({ tool: "find_order", input: { orderId, verbose: true } });
const refund: MadeCall = { tool: "refund", input: { orderId: "A-1", items: [{ sku: "x", n: 2 }] } };

function made(
  calls: readonly MadeCall[],
  expected: CallExpectation["calls"],
  match: CallExpectation["match"],
): boolean {
  return checkCalls(calls, { calls: expected, match }).passed;
}

describe("Calls", () => {
  test("fit by their tool and at least the expected arguments, at every depth", () => {
    assert.ok(made([refund], [{ tool: "refund" }], "exact"));
    assert.ok(made([refund], [{ tool: "refund", input: { items: [{ sku: "x" }] } }], "exact"));
    assert.ok(!made([refund], [{ tool: "refund", input: { items: [{ sku: "x" }, { sku: "y" }] } }], "exact"));
    assert.ok(!made([refund], [{ tool: "refund", input: { orderId: "A-2" } }], "exact"));
    assert.ok(!made([refund], [{ tool: "find_order" }], "exact"));
  });

  test("in any order: each expected one has one of its own, however the vague ones are named first", () => {
    const expected = [{ tool: "find_order" }, { tool: "find_order", input: { orderId: "A-1" } }];
    assert.ok(made([find("A-1"), find("A-2")], expected, "any_order"));
    assert.ok(made([refund, find("A-2"), find("A-1")], expected, "any_order"));
    assert.ok(!made([find("A-1")], expected, "any_order"));
    assert.ok(!made([find("A-2"), find("A-3")], expected, "any_order"));
  });

  test("in order: others may come between", () => {
    const expected = [{ tool: "find_order" }, { tool: "refund" }];
    assert.ok(made([find("A-1"), find("A-2"), refund], expected, "in_order"));
    assert.ok(!made([refund, find("A-1")], expected, "in_order"));
    assert.ok(made([refund, find("A-1"), refund], expected, "in_order"));
  });

  test("exactly: no others, and none at all if none are expected", () => {
    assert.ok(!made([find("A-1"), refund], [{ tool: "refund" }], "exact"));
    assert.ok(made([], [], "exact"));
    assert.ok(!made([refund], [], "exact"));
  });

  test("that are wrong are shown beside those expected", () => {
    const { reason } = checkCalls([], { calls: [{ tool: "refund" }], match: "in_order" });
    assert.equal(reason, "Expected were refund(…), in this order; made were none.");
  });
});
