import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { modelLimits } from "./model-limits.ts";
import { saidLimits } from "./rate-limit-headers.ts";
import { TenantQueue } from "./tenant-queue.ts";

describe("Configured limits", () => {
  test("of a model are those of the pattern that says most", () => {
    const limitsOf = modelLimits({
      "*": { maxConcurrent: 1 },
      "openai/*": { maxConcurrent: 2 },
      "openai/gpt-5": { maxConcurrent: 3 },
      "*/gpt-4.1*": { maxConcurrent: 4 },
    });
    const found = [
      "google/gemini",
      "openai/o4",
      "openai/gpt-5",
      "openai/gpt-5-mini",
      "azure/gpt-4.1-mini",
      "x/gpt-401",
    ];
    assert.deepEqual(
      found.map((model) => limitsOf(model).maxConcurrent),
      [1, 2, 3, 2, 4, 1],
    );
    assert.deepEqual(modelLimits({ "openai/*": { maxConcurrent: 2 } })("anthropic/claude"), {});
  });

  test("are whole numbers from 1 on", () => {
    for (const wrong of [0, -1, 1.5, Number.NaN, Infinity])
      assert.throws(() => modelLimits({ "openai/*": { tokensPerMinute: wrong } }), {
        code: "invalid_config",
        path: "/gateway/limits/openai~1*/tokensPerMinute",
      });
  });
});

describe("Headers of rate limits", () => {
  test("are read as OpenAI and those who follow it write them", () => {
    const headers = {
      "x-ratelimit-limit-requests": "500",
      "x-ratelimit-limit-tokens": "30000",
      "x-ratelimit-remaining-requests": "499",
      "x-ratelimit-remaining-tokens": "29900.5",
      "x-ratelimit-reset-requests": "120ms",
    };
    const tokens = { limit: 30_000, remaining: 29_900.5 };
    assert.deepEqual(saidLimits(headers), { requests: { limit: 500, remaining: 499 }, tokens });
    assert.deepEqual(saidLimits({ "x-ratelimit-limit-tokens": "9" })?.requests, null);
  });

  test("are read as Anthropic writes them: input and output together, as far as the scarcer one goes", () => {
    const of = (what: string, limit: string, remaining: string): Record<string, string> => ({
      [`anthropic-ratelimit-${what}-limit`]: limit,
      [`anthropic-ratelimit-${what}-remaining`]: remaining,
    });
    const requests = of("requests", "50", "49");
    const both = { ...of("input-tokens", "40000", "40000"), ...of("output-tokens", "8000", "2000") };
    assert.deepEqual(saidLimits({ ...requests, ...both, ...of("tokens", "48000", "42000") }), {
      requests: { limit: 50, remaining: 49 },
      tokens: { limit: 48_000, remaining: 12_000 },
    });
    assert.deepEqual(saidLimits(of("tokens", "48000", "42000"))?.tokens, { limit: 48_000, remaining: 42_000 });
  });

  test("that say nothing, or nothing that can be meant, are no limit", () => {
    assert.equal(saidLimits({}), null);
    const odd = { "x-ratelimit-limit-requests": "0", "x-ratelimit-limit-tokens": "many" };
    assert.equal(saidLimits(odd), null);
    const negative = { "x-ratelimit-limit-requests": "5", "x-ratelimit-remaining-requests": "-1" };
    assert.deepEqual(saidLimits(negative)?.requests, { limit: 5, remaining: null });
  });
});

describe("A queue of tenants", () => {
  const call = (tenant: string, number: number) => ({ tenant, number });
  const names = (calls: readonly { tenant: string; number: number }[]) => calls.map((one) => one.tenant + one.number);

  test("takes from each in turn, in the order it foretold", () => {
    const queue = new TenantQueue<{ tenant: string; number: number }>(100);
    for (const [tenant, count] of [
      ["a", 4],
      ["b", 1],
      ["c", 2],
    ] as const)
      for (let number = 1; number <= count; number++) queue.push(call(tenant, number));
    const order = ["a1", "b1", "c1", "a2", "c2", "a3", "a4"];
    assert.deepEqual(names(queue.upcoming(100)), order);
    assert.deepEqual(names(queue.upcoming(2)), ["a1", "b1"]);
    assert.deepEqual([queue.ahead("a"), queue.ahead("b"), queue.ahead("d")], [7, 5, 3]);
    const taken: string[] = [];
    for (let next = queue.first(); next !== undefined; next = queue.first()) {
      queue.take(next);
      taken.push(...names([next]));
      if (taken.length === 2) queue.push(call("b", 2));
    }
    assert.deepEqual(taken, ["a1", "b1", "c1", "a2", "b2", "c2", "a3", "a4"]);
    assert.equal(queue.size, 0);
  });

  test("forgets a call that is removed, once", () => {
    const queue = new TenantQueue<{ tenant: string; number: number }>(100);
    const [first, second] = [call("a", 1), call("a", 2)];
    queue.push(first);
    queue.push(second);
    assert.deepEqual([queue.remove(first), queue.remove(first)], [true, false]);
    assert.equal(queue.first(), second);
    queue.take(second);
    queue.take(second);
    assert.deepEqual([queue.first(), queue.size], [undefined, 0]);
  });
});
