import assert from "node:assert/strict";
import { test } from "node:test";
import { Samples } from "./samples.ts";

test("percentiles are values that were measured, by nearest rank", () => {
  const samples = new Samples();
  assert.deepEqual(samples.percentiles(0.5), [null]);
  for (let value = 100; value >= 1; value--) samples.add(value);
  assert.deepEqual(samples.percentiles(0.5, 0.95, 0.99, 1), [50, 95, 99, 100]);
});

test("only the last measurements count", () => {
  const samples = new Samples();
  for (let round = 0; round < 300; round++) samples.add(1_000);
  for (let round = 0; round < 256; round++) samples.add(1);
  assert.deepEqual([samples.percentiles(1), samples.count], [[1], 256]);
});
