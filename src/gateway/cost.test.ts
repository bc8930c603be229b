import assert from "node:assert/strict";
import { test } from "node:test";
import { costMicros } from "./cost.ts";

const usage = { input: 1_000_000, cached: 400_000, output: 100_000, reasoning: 50_000, estimated: false };

test("cached tokens cost less than fresh ones, written ones more", () => {
  // gpt-5: $1.25 per million in, $0.125 cached, $10 out.
  assert.equal(costMicros("openai/gpt-5", usage), 0.6 * 1_250_000 + 0.4 * 125_000 + 1_000_000);
  // claude-sonnet-4-6: $3 in, $0.30 cached, $3.75 written, $15 out.
  assert.equal(
    costMicros("anthropic/claude-sonnet-4-6", usage, 200_000),
    0.4 * 3_000_000 + 0.2 * 3_750_000 + 0.4 * 300_000 + 1_500_000,
  );
});

test("a call that costs anything costs at least a micro-dollar", () => {
  const tiny = { input: 1, cached: 0, output: 0, reasoning: 0, estimated: false };
  assert.equal(costMicros("openai/gpt-5-nano", tiny), 1);
});

test("an unknown model has no price; the rules cost nothing; a private server's price is its owner's secret", () => {
  assert.equal(costMicros("openai/gpt-unheard-of", usage), null);
  assert.equal(costMicros("nobody/gpt-5", usage), null);
  assert.equal(costMicros("compatible/gpt-5", usage), null);
  assert.equal(costMicros("rules/default", usage), 0);
});
