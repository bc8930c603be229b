import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidInputError } from "../platform/errors.ts";
import { createPrices, type ModelFacts } from "./cost.ts";

const usage = { input: 1_000_000, cached: 400_000, output: 100_000, reasoning: 50_000, estimated: false };
const at = Date.UTC(2026, 5, 1);
const listed = createPrices();

test("cached tokens cost less than fresh ones, written ones more", () => {
  // gpt-5: $1.25 per million in, $0.125 cached, $10 out.
  assert.equal(
    listed.costMicros("openai/gpt-5", usage, { at }),
    0.6 * 1_250_000 + 0.4 * 125_000 + 0.1 * 10 * 1_000_000,
  );
  // claude-sonnet-4-6: $3 in, $0.30 cached, $3.75 written, $15 out.
  assert.equal(
    listed.costMicros("anthropic/claude-sonnet-4-6", usage, { at, cacheWritten: 200_000 }),
    0.4 * 3_000_000 + 0.2 * 3_750_000 + 0.4 * 300_000 + 1_500_000,
  );
});

test("a call that costs anything costs at least a micro-dollar", () => {
  const tiny = { input: 1, cached: 0, output: 0, reasoning: 0, estimated: false };
  assert.equal(listed.costMicros("openai/gpt-5-nano", tiny, { at }), 1);
  const dear = createPrices({ "compatible/own": { price: { input: 0.01, output: 0.01 } } });
  assert.equal(dear.costMicros("compatible/own", tiny, { at }), 1);
});

test("an unknown model has no price; the rules cost nothing; a private server's price is its owner's secret", () => {
  for (const model of ["openai/gpt-unheard-of", "nobody/gpt-5", "compatible/gpt-5", "constructor/gpt-5", "gpt-5", ""]) {
    assert.equal(listed.costMicros(model, usage, { at }), null, model);
    assert.equal(listed.contextWindow(model), null, model);
  }
  assert.equal(listed.costMicros("rules/default", usage, { at }), 0);
});

test("the context window is that of the list", () => {
  assert.equal(listed.contextWindow("openai/gpt-5"), 400_000);
  assert.equal(listed.contextWindow("anthropic/claude-sonnet-4-6"), 1_000_000);
});

test("what the configuration says of a model wins, and says nothing of another", () => {
  const own = createPrices({
    "compatible/llama": { price: { input: 0.2, output: 0.6 }, contextWindow: 131_072 },
    "openai/gpt-5": { price: { input: 1, cached: 0.5, cacheWrite: 2, output: 4 } },
    "anthropic/claude-sonnet-4-6": { contextWindow: 200_000 },
    "compatible/free": { price: { input: 0, output: 0 } },
  });
  // Without a price of their own, cached tokens cost what fresh ones do.
  assert.equal(own.costMicros("compatible/llama", usage, { at, cacheWritten: 100 }), 200_000 + 60_000);
  assert.equal(own.contextWindow("compatible/llama"), 131_072);
  assert.equal(
    own.costMicros("openai/gpt-5", usage, { at, cacheWritten: 100_000 }),
    500_000 + 0.4 * 500_000 + 0.1 * 2_000_000 + 0.1 * 4_000_000,
  );
  assert.equal(own.contextWindow("openai/gpt-5"), 400_000, "the list knows the rest");
  assert.equal(own.contextWindow("anthropic/claude-sonnet-4-6"), 200_000);
  assert.equal(own.costMicros("anthropic/claude-sonnet-4-6", usage, { at }), 1_800_000 + 120_000 + 1_500_000);
  assert.equal(own.costMicros("compatible/free", usage, { at }), 0, "a price of 0 is a price");
  assert.equal(own.costMicros("compatible/other", usage, { at }), null);
});

const wrong: [what: string, models: Record<string, ModelFacts>, path: string][] = [
  ["a price below 0", { "a/b": { price: { input: -1, output: 0 } } }, "/models/a~1b/price/input"],
  ["a price that is no number", { "a/b": { price: { input: 1, output: Number.NaN } } }, "/models/a~1b/price/output"],
  ["half a price", { "a/b": { price: { input: 1 } as never } }, "/models/a~1b/price/output"],
  ["a window of half a token", { "a/b": { contextWindow: 0.5 } }, "/models/a~1b/contextWindow"],
  ["a model without a provider", { "gpt-5": {} }, "/models/gpt-5"],
];

for (const [what, models, path] of wrong) {
  test(`${what} is refused`, () => {
    assert.throws(
      () => createPrices(models),
      (error) => error instanceof InvalidInputError && error.code === "invalid_config" && error.path === path,
    );
  });
}
