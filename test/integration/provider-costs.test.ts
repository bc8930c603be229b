/**
 * A call costs the same however it is answered: as a stream, which is how we ask, or as one body, which a provider reports its
 * usage in just as well. Recorded bodies (see test/support/recorded-replies.ts for where they are) and those of the mock provider.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { plainRoute } from "../../src/agent/route.ts";
import { createPrices, type Prices } from "../../src/gateway/cost.ts";
import { createModelGateway } from "../../src/gateway/gateway.ts";
import { createProviders } from "../../src/gateway/providers/registry.ts";
import { usageOf } from "../../src/gateway/call/usage.ts";
import { neverAborts } from "../../src/platform/abort.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { startMockProvider, type MockProvider, type MockStep } from "../../src/testing/mock-provider.ts";
import { someCaller } from "../support/model-caller.ts";
import { absent, readRecorded } from "../support/recorded-replies.ts";

const prices: Prices = createPrices({
  "compatible/grok-3-mini": { price: { input: 0.3, cached: 0.075, output: 0.5 } },
});

const request = {
  route: plainRoute([]),
  system: "",
  messages: [{ role: "user" as const, text: "Hi" }],
  tools: [],
  maxOutputTokens: 1_000,
  caller: someCaller,
  signal: neverAborts(),
  onDelta: () => {},
};

function providersAt({ url }: MockProvider) {
  const at = { apiKey: "test", baseURL: `${url}/v1` };
  return createProviders({ openai: at, anthropic: at, google: at, compatible: at });
}

/** What a body comes to, read by the provider's package. */
async function askPlainly(server: MockProvider, model: string) {
  const reply = await providersAt(server)
    .model(model)
    .doGenerate({ prompt: [{ role: "user", content: [{ type: "text", text: "Hi" }] }] });
  const parts = reply.content.length === 0 ? [] : [{ type: "text" as const, text: "something" }];
  const usage = usageOf(reply.usage, { request, parts });
  const cacheWritten = reply.usage.inputTokens.cacheWrite;
  return { usage, costMicros: prices.costMicros(model, usage, { at: systemClock.now(), cacheWritten }) };
}

async function askStreaming(server: MockProvider, model: string) {
  const gateway = createModelGateway({ providers: providersAt(server), prices, clock: systemClock, random: () => 0 });
  const { usage, costMicros } = await gateway.call({ ...request, route: plainRoute([model]) });
  return { usage, costMicros };
}

describe("A plain call costs what a streamed one does", () => {
  const usage = { input: 1_000, cached: 400, output: 300, reasoning: 120 };
  const steps: [what: string, step: MockStep][] = [
    ["an answer", { text: "The answer is 42.", usage }],
    ["an answer in many pieces", { text: "The answer is 42.", usage, chunkChars: 2 }],
    ["calls", { calls: [{ name: "look", input: { at: "it" } }], usage }],
    ["an answer cut off at the limit", { text: "The answer", finish: "length", usage }],
  ];
  // Anthropic counts reasoning among the output, and does not tell.
  for (const model of ["openai/gpt-5", "anthropic/claude-sonnet-4-6", "compatible/grok-3-mini"]) {
    for (const [what, step] of steps) {
      test(`${what}, by ${model}`, async () => {
        await using server = await startMockProvider({ script: () => step });
        const streamed = await askStreaming(server, model);
        assert.deepEqual(await askPlainly(server, model), streamed);
        const { input, cached, output, estimated } = streamed.usage;
        assert.deepEqual(
          { input, cached, output, estimated },
          { input: 1_000, cached: 400, output: 300, estimated: false },
        );
        assert.ok(streamed.costMicros !== null && streamed.costMicros > 0);
      });
    }
  }
});

interface Expected {
  readonly model: string;
  /** input, cached, output, reasoning */
  readonly usage: readonly [number, number, number, number];
  readonly cost: number | null;
}

const sonnet = "anthropic/claude-sonnet-4-6";
const gemini = "google/gemini-3-pro-preview";

const bodies: Record<string, Expected> = {
  "anthropic/anthropic-text.json": { model: sonnet, usage: [12, 0, 29, 0], cost: 12 * 3 + 29 * 15 },
  "anthropic/anthropic-refusal.json": { model: sonnet, usage: [18, 0, 5, 0], cost: 18 * 3 + 5 * 15 },
  "anthropic/anthropic-json-tool.1.json": { model: sonnet, usage: [1_151, 0, 87, 0], cost: 1_151 * 3 + 87 * 15 },
  "anthropic/anthropic-claude-opus-5-reasoning-high.1.json": {
    model: sonnet,
    usage: [51, 0, 1_699, 139],
    cost: 51 * 3 + 1_699 * 15,
  },
  "google/google-text.json": { model: gemini, usage: [9, 0, 28 + 244, 244], cost: 9 * 2 + (28 + 244) * 12 },
  "google/google-tool-call.json": { model: gemini, usage: [29, 0, 15 + 893, 893], cost: 29 * 2 + (15 + 893) * 12 },
  "openai-chat/openai-text.json": { model: "compatible/gpt-4.1-nano", usage: [16, 0, 363, 0], cost: null },
  // As the reply itself says: 1,641,500 ticks, of which a micro-dollar has 10,000.
  "openai-compatible/xai-text.json": {
    model: "compatible/grok-3-mini",
    usage: [12, 2, 322, 320],
    cost: Math.ceil(1_641_500 / 10_000),
  },
  "openai-responses/parallel-tool-call-wrapper.1.json": {
    model: "openai/gpt-5",
    usage: [34, 0, 28, 0],
    cost: Math.ceil(34 * 1.25 + 28 * 10),
  },
};

describe("A recorded body has its usage and its cost", { skip: absent }, () => {
  for (const [file, { model, usage, cost }] of absent ? [] : Object.entries(bodies)) {
    test(file, async () => {
      const body = readRecorded(file);
      const raw: MockStep = { fault: "raw", contentType: "application/json", body };
      await using server = await startMockProvider({ script: () => raw });
      const reply = await askPlainly(server, model);
      const [input, cached, output, reasoning] = usage;
      assert.deepEqual(reply, { usage: { input, cached, output, reasoning, estimated: false }, costMicros: cost });
    });
  }
});
