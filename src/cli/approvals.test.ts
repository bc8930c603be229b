import assert from "node:assert/strict";
import { test } from "node:test";
import { toBody } from "./approvals.ts";

test("an answer carries what its decision takes", () => {
  assert.deepEqual(toBody("approve", {}), { decision: "approve" });
  assert.deepEqual(toBody("deny", { comment: "No." }), { decision: "deny", comment: "No." });
  assert.deepEqual(toBody("approve", { comment: "Known customer." }), {
    decision: "approve",
    comment: "Known customer.",
  });
  assert.deepEqual(toBody("edit", { input: '{"amountUsd":20}' }), { decision: "edit", input: { amountUsd: 20 } });
  assert.deepEqual(toBody("succeeded", { output: '"R-7"' }), { decision: "succeeded", output: "R-7" });
  assert.deepEqual(toBody("succeeded", {}), { decision: "succeeded", output: null });
  assert.deepEqual(toBody("continue", { comment: "Ask first." }), { decision: "continue", advice: "Ask first." });
});

test("an option that does not belong to the decision is refused, and so is one that lacks", () => {
  const refused: [Parameters<typeof toBody>, RegExp][] = [
    [["approve", { input: "{}" }], /--input goes with edit/],
    [["retry", { output: "1" }], /--output goes with succeeded/],
    [["end", { comment: "x" }], /--comment goes with/],
    [["edit", {}], /edit needs the new arguments/],
    [["edit", { input: "{amount}" }], /--input is not JSON/],
  ];
  for (const [args, message] of refused) {
    assert.throws(() => toBody(...args), { code: "invalid_usage", message });
  }
});
