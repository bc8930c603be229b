import assert from "node:assert/strict";
import { test } from "node:test";
import { RetryBudget } from "./retry-budget.ts";

test("in an outage repeats are a share of the calls, beyond what was saved up", () => {
  const budget = new RetryBudget({ share: 0.25, most: 5 });
  let repeats = 0;
  for (let call = 0; call < 100; call++) {
    budget.payIn();
    while (budget.take()) repeats += 1;
  }
  assert.equal(repeats, 5 + 25 - 1, "the first share is lost, for it was full");
});

test("calm times save up no more than the most", () => {
  const budget = new RetryBudget({ share: 1, most: 3 });
  for (let call = 0; call < 50; call++) budget.payIn();
  assert.equal(budget.left, 3);
  assert.deepEqual([budget.take(), budget.take(), budget.take(), budget.take()], [true, true, true, false]);
});
