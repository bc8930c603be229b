/** Replies that are asked for whole, of the real provider packages: when they are, and that they say what a stream says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { plainRoute } from "../../src/agent/route.ts";
import { createModelGateway } from "../../src/gateway/gateway.ts";
import type { ModelGateway, ModelReply, ModelRequest } from "../../src/gateway/model-gateway.ts";
import { createProviders } from "../../src/gateway/providers/registry.ts";
import { type Clock, systemClock } from "../../src/platform/clock.ts";
import { type MockProvider, type MockStep, startMockProvider } from "../../src/testing/mock-provider.ts";
import { createVirtualClock } from "../../src/testing/virtual-clock.ts";
import { someRequest } from "../support/model-caller.ts";

const enough = 100;
const models = ["openai/gpt-5", "anthropic/claude-sonnet-4-6", "compatible/llama"] as const;
type Model = (typeof models)[number];

interface Wired extends AsyncDisposable {
  readonly server: MockProvider;
  readonly gateway: ModelGateway;
  readonly request: ModelRequest;
  /** The next of them is what the model answers. */
  readonly next: MockStep[];
}

/** A model of which a hundred replies were quick. */
async function wire(model: Model, clock: Clock = systemClock): Promise<Wired> {
  const next: MockStep[] = [];
  const server = await startMockProvider({ script: () => next.shift() ?? { text: "Hello." } });
  const at = { apiKey: "test", baseURL: `${server.url}/v1` };
  const providers = createProviders({ openai: at, anthropic: at, compatible: at });
  const gateway = createModelGateway({ providers, clock, random: () => 0, attempts: 2 });
  const request = { ...someRequest(plainRoute([model])), tools, whole: true };
  for (let round = 0; round < enough; round++) await gateway.call(request);
  assert.ok(server.requests.every(({ stream }) => stream));
  return { server, gateway, request, next, [Symbol.asyncDispose]: () => server.close() };
}

const tools = [{ name: "find_order", description: "Finds an order.", inputSchema: { type: "object", properties: {} } }];
const usage = { input: 1_000, cached: 600, output: 300, reasoning: 100 };
const steps: Readonly<Record<string, MockStep>> = {
  text: { text: "It was shipped.", chunkChars: 4, usage },
  reasoning: { reasoning: "Let me see.", text: "It was.", usage },
  calls: { text: "Let me look.", calls: [1, 2].map((n) => ({ id: `call_${n}`, name: "find_order", input: { n } })) },
  "broken arguments": { calls: [{ id: "call_1", name: "find_order", input: '{"id": "A-1' }] },
  "an answer cut short": { text: "It was", finish: "length" },
  "an answer withheld": { text: "No", finish: "content_filter" },
  "no usage": { text: "x".repeat(400), usage: null },
};

/** The ids that the provider gives out anew with each reply are left out. */
function said({ parts, finish, usage: used, costMicros, model }: ModelReply): unknown {
  const known = JSON.stringify(parts).replace(/"(msg|rs|fc|signature|encrypted)_[\d_]+"/g, '"$1"');
  return { parts: JSON.parse(known), finish, used, costMicros, model };
}

for (const model of models) {
  test(`${model}: what comes whole says and costs what a stream does`, async () => {
    await using wired = await wire(model);
    const { server, gateway, request, next } = wired;
    for (const [what, step] of Object.entries(steps)) {
      // Anthropic's whole replies have arguments as JSON, which is never broken.
      if (what === "broken arguments" && model.startsWith("anthropic/")) continue;
      next.push(step, step);
      const streamed = await gateway.call({ ...request, whole: false });
      const whole = await gateway.call(request);
      assert.deepEqual(
        server.requests.slice(-2).map(({ stream }) => stream),
        [true, false],
      );
      assert.deepEqual(said(whole), said(streamed), what);
      assert.deepEqual([whole.whole, streamed.whole], [true, undefined]);
    }
  });

  test(`${model}: what is refused or broken has the same class, whole or not`, async () => {
    await using wired = await wire(model);
    const { gateway, request, next } = wired;
    const faults: MockStep[] = [
      { fault: "status", status: 400 },
      { fault: "status", status: 401 },
      { fault: "status", status: 429, retryAfter: 30 },
      { fault: "status", status: 413 },
    ];
    for (const fault of faults) {
      next.push(fault, fault);
      const codes: unknown[] = [];
      for (const whole of [true, false]) {
        await gateway.call({ ...request, whole }).catch((error: { code: string }) => codes.push(error.code));
      }
      assert.equal(codes.length, 2);
      assert.equal(codes[0], codes[1]);
    }
  });
}

test("a reply that breaks off is asked for again", async () => {
  await using wired = await wire("compatible/llama", { ...systemClock, sleep: () => Promise.resolve() });
  const { gateway, request, next } = wired;
  for (const fault of [
    { fault: "cut", after: 0 } as const,
    { fault: "raw", body: "no JSON", contentType: "application/json" } as const,
  ]) {
    next.push(fault);
    const { attempts, parts } = await gateway.call(request);
    assert.deepEqual(
      attempts.map(({ code }) => code),
      ["model_unavailable"],
    );
    assert.deepEqual(parts, [{ type: "text", text: "Hello." }]);
  }
});

test("a reply that holds nothing was answered all the same, and is paid for", async () => {
  await using wired = await wire("compatible/llama", { ...systemClock, sleep: () => Promise.resolve() });
  const { gateway, request, next } = wired;
  const choices = [{ index: 0, message: { role: "assistant", content: "" }, finish_reason: "unheard_of" }];
  const body = JSON.stringify({ id: "chatcmpl-1", object: "chat.completion", created: 1, model: "llama", choices });
  next.push({ fault: "raw", body, contentType: "application/json" });
  const { attempts } = await gateway.call(request);
  assert.deepEqual(
    attempts.map(({ code, usage: used }) => [code, used?.estimated, (used?.input ?? 0) > 0]),
    [["model_stream_broken", true, true]],
  );
});

test("one that is not there in time is given up, and the next ones are streamed again", async () => {
  const clock = createVirtualClock();
  await using wired = await wire("compatible/llama", clock);
  const { server, gateway, request, next } = wired;
  next.push({ fault: "hang" });
  const reply = gateway.call(request);
  await untilRequests(server, enough + 1);
  assert.equal(server.requests.at(-1)?.stream, false);
  await clock.advance(60_000);
  await untilRequests(server, enough + 2, clock);
  assert.deepEqual(
    (await reply).attempts.map(({ code }) => code),
    ["model_timeout"],
  );
  assert.equal(server.requests.at(-1)?.stream, true);
});

async function untilRequests(server: MockProvider, count: number, clock?: { advance(ms: number): Promise<void> }) {
  while (server.requests.length < count) {
    await new Promise((resolve) => setImmediate(resolve));
    await clock?.advance(500);
  }
}

test("with hedging, or where the answer may give way to a larger model, it is streamed", async () => {
  await using wired = await wire("compatible/llama");
  const { server, gateway, request } = wired;
  await gateway.call({ ...request, route: { ...request.route, hedge: true } });
  assert.equal(server.requests.at(-1)?.stream, true);
  const [candidate] = request.route.candidates;
  const larger = { ...candidate!, model: "openai/gpt-5", rank: candidate!.rank + 1 };
  const route = { ...request.route, strategy: "small_first" as const, candidates: [candidate!, larger] };
  await gateway.call({ ...request, route });
  assert.equal(server.requests.at(-1)?.stream, true);
});
