import assert from "node:assert/strict";
import { test } from "node:test";
import { censusOf, drainRate, flowBetween, slide, waitFor, type Flow } from "./drain.ts";

const flowOf = (elapsedMs: number, drained: number): Flow => ({ elapsedMs, drained: new Map([["all", drained]]) });

test("a census adds up tenants and agents", () => {
  const census = censusOf([
    { tenant: "ada", agent: "desk", waiting: 3, submitted: 1 },
    { tenant: "ada", agent: "clerk", waiting: 2, submitted: 0 },
    { tenant: "bob", agent: "desk", waiting: 1, submitted: 4 },
  ]);
  assert.deepEqual(census.get("all"), { waiting: 6, submitted: 5 });
  assert.deepEqual(census.get("tenant ada"), { waiting: 5, submitted: 1 });
  assert.deepEqual(census.get("agent desk"), { waiting: 4, submitted: 5 });
});

test("what waited or came in and waits no more was drained", () => {
  const row = { tenant: "ada", agent: "desk", submitted: 0 };
  const before = censusOf([{ ...row, waiting: 10 }]);
  const after = censusOf([{ ...row, waiting: 8, submitted: 5 }]);
  const { drained } = flowBetween(before, after, 1_000);
  assert.deepEqual([drained.get("all"), drained.get("tenant ada"), drained.get("agent desk")], [7, 7, 7]);
  assert.equal(flowBetween(before, censusOf([]), 1_000).drained.get("tenant ada"), 10);
  const grown = censusOf([{ ...row, waiting: 90 }]);
  assert.equal(flowBetween(before, grown, 1_000).drained.get("all"), 0, "woken tasks are no drain");
});

test("the rate is that of the last half minute", () => {
  let flows: Flow[] = [];
  for (let second = 0; second < 60; second++) flows = slide(flows, flowOf(1_000, second < 30 ? 100 : 10));
  assert.equal(drainRate(flows, "all"), 10);
  assert.equal(flows.length, 30);
});

test("that nothing moved for a moment is no rate, for longer it is", () => {
  assert.equal(drainRate([], "all"), undefined);
  assert.equal(drainRate([flowOf(1_000, 0)], "all"), undefined);
  assert.equal(drainRate([flowOf(5_000, 0)], "all"), 0);
});

test("the time to come again is what waits over what is done a second, within bounds, a little later for some", () => {
  assert.equal(waitFor(300, 20, 0), 15_000);
  assert.equal(waitFor(300, 20, 1), 18_000);
  assert.equal(waitFor(3, 1_000, 0), 1_000);
  assert.equal(waitFor(10_000, 0, 0), 60_000);
  assert.equal(waitFor(10_000, undefined, 0.5), 1_100);
  assert.equal(waitFor(0, 0, 0), 1_000, "what is full is not the queue, but a session that stands still");
});
