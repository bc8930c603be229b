import assert from "node:assert/strict";
import { test } from "node:test";
import type { LanguageModelV4Usage } from "@ai-sdk/provider";
import type { AssistantPart } from "../../agent/conversation.ts";
import { usageOf } from "./usage.ts";

const request = { system: "You help.", messages: [{ role: "user" as const, text: "x".repeat(400) }], tools: [] };
const parts: AssistantPart[] = [{ type: "text", text: "y".repeat(200) }];

function reported(
  input: Partial<LanguageModelV4Usage["inputTokens"]>,
  output: Partial<LanguageModelV4Usage["outputTokens"]>,
  raw?: LanguageModelV4Usage["raw"],
): LanguageModelV4Usage {
  return {
    inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined, ...input },
    outputTokens: { total: undefined, text: undefined, reasoning: undefined, ...output },
    ...(raw && { raw }),
  };
}

test("reported tokens are taken as they are", () => {
  assert.deepEqual(usageOf(reported({ total: 100, cacheRead: 40 }, { total: 30, reasoning: 10 }), { request, parts }), {
    input: 100,
    cached: 40,
    output: 30,
    reasoning: 10,
    estimated: false,
  });
});

test("a reply that reports nothing is estimated from its length and says so", () => {
  const usage = usageOf(reported({}, {}), { request, parts });
  assert.equal(usage.estimated, true);
  assert.ok(usage.input >= 100 && usage.input < 150, `input ${usage.input}`);
  assert.ok(usage.output >= 50 && usage.output < 75, `output ${usage.output}`);
});

test("zeros are no report of what was surely sent", () => {
  const usage = usageOf(reported({ total: 0 }, { total: 0 }), { request, parts });
  assert.ok(usage.input > 0 && usage.output > 0 && usage.estimated);
});

test("an empty reply may really have cost no output", () => {
  assert.deepEqual(usageOf(reported({ total: 9 }, { total: 0 }), { request, parts: [] }), {
    input: 9,
    cached: 0,
    output: 0,
    reasoning: 0,
    estimated: false,
  });
});

test("signatures do not count as text", () => {
  const signed: AssistantPart[] = [
    { type: "reasoning", text: "", provider: { openai: { encrypted: "z".repeat(40_000) } } },
  ];
  assert.ok(usageOf(reported({ total: 1 }, {}), { request, parts: signed }).output < 20);
});

test("reasoning that a provider counts beside the output is counted in", () => {
  const apart = reported({ total: 12 }, { total: 500, reasoning: 340 }, { total_tokens: 852 });
  assert.equal(usageOf(apart, { request, parts }).output, 840);
  const within = reported({ total: 12 }, { total: 500, reasoning: 340 }, { total_tokens: 512 });
  assert.equal(usageOf(within, { request, parts }).output, 500);
});
