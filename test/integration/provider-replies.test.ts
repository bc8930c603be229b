/**
 * Replies recorded from real providers, served as they stand to the real provider packages: what of each reaches an agent.
 *
 * Of the recordings (see test/support/recorded-replies.ts) a `*.json` is a plain body: of an error,
 * served with its status; or of an answer, which is not what we ask for (we always stream), so it must end as a broken stream
 * and never as an empty answer. The plain answers were recorded apart from the streamed ones and say something else.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import type { AssistantPart, Delta } from "../../src/agent/conversation.ts";
import { createPrices } from "../../src/gateway/cost.ts";
import { createModelGateway } from "../../src/gateway/gateway.ts";
import { ModelCallError, type ModelReply } from "../../src/gateway/model-gateway.ts";
import { createProviders } from "../../src/gateway/providers/registry.ts";
import { neverAborts } from "../../src/platform/abort.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { type MockFault, startMockProvider } from "../../src/testing/mock-provider.ts";
import { plainRoute } from "../../src/agent/route.ts";
import { someCaller } from "../support/model-caller.ts";
import { absent, linesOf, modelOfFolder, readRecorded, recordedFiles, serving } from "../support/recorded-replies.ts";

const grok = { input: 0.3, cached: 0.075, output: 0.5 };

interface Answer {
  readonly parts: readonly Expected[];
  readonly finish: ModelReply["finish"];
  /** input, cached, output, reasoning; null: the reply reports none. */
  readonly usage: readonly [number, number, number, number] | null;
  /** Micro-dollars, computed by hand from the vendors' price lists; null: unknown; absent: what the estimate comes to. */
  readonly cost?: number | null;
}

/** `said`: the text that the deltas of the recording make, where it is too long to stand here, and how it begins and ends. */
type Expected =
  | { readonly text?: string; readonly reasoning?: string; readonly provider?: RegExp }
  | { readonly said: "text" | "reasoning"; readonly field: string; readonly begins: string; readonly ends: string }
  | { readonly call: string; readonly input: unknown; readonly id?: string; readonly provider?: RegExp };

interface Failure {
  readonly status: number;
  readonly code: string;
  readonly retry: unknown;
  readonly attempts: number;
  readonly message: RegExp;
}

const unreadable = (message: RegExp): Failure => ({
  status: 200,
  code: "model_unavailable",
  retry: { afterMs: 10_000 },
  attempts: 3,
  message,
});
const notStreamed = unreadable(/not complete|without a finish reason/);
const outOfCredit = {
  code: "model_rate_limited",
  retry: { afterMs: 300_000 },
  attempts: 1,
  message: /exceeded your current quota/,
};
const calculator = (id: string, input: { a: number; b: number; op: string }): Expected => ({
  call: "calculator",
  id,
  input,
  provider: /"openai":\{"itemId":"fc_/,
});

const expectations: Record<string, Answer | Failure> = {
  "anthropic/anthropic-claude-opus-5-reasoning-high.1.json": notStreamed,
  "anthropic/anthropic-clear-thinking.1.chunks.txt": {
    parts: [
      {
        reasoning: "The previous result was 925. Now I need to divide that by 5.\n\n925 ÷ 5 = 185",
        provider: /"anthropic":\{"signature":"EvQBCkYICxgCKkAx/,
      },
      { text: "925 ÷ 5 = 185" },
    ],
    finish: "stop",
    usage: [69, 0, 53, 0],
    cost: 69 * 3 + 53 * 15,
  },
  // The code ran at the provider; of its calls nothing is ours to run.
  "anthropic/anthropic-code-execution-20260120-prompt-cache.1.chunks.txt": {
    parts: [{ text: "The sum of the squares of the numbers 1 through 12 is **650**." }],
    finish: "stop",
    usage: [6 + 3_337 + 6_289, 6_289, 198, 0],
    // 17,388.45: fresh, written to the cache, read from it, and the answer.
    cost: Math.ceil(6 * 3 + 3_337 * 3.75 + 6_289 * 0.3 + 198 * 15),
  },
  "anthropic/anthropic-json-tool.1.chunks.txt": {
    parts: [
      {
        call: "json",
        id: "toolu_01KFbKqPYSuAKujiL6mTfzYA",
        input: { elements: [{ location: "San Francisco", temperature: 58, condition: "sunny" }] },
      },
    ],
    finish: "calls",
    usage: [849, 0, 47, 0],
    cost: 849 * 3 + 47 * 15,
  },
  "anthropic/anthropic-json-tool.1.json": notStreamed,
  "anthropic/anthropic-refusal.chunks.txt": {
    parts: [],
    finish: "content_filter",
    usage: [18, 0, 5, 0],
    cost: 18 * 3 + 5 * 15,
  },
  "anthropic/anthropic-refusal.json": notStreamed,
  "anthropic/anthropic-text.chunks.txt": {
    parts: [
      {
        text: "Hello! I'm doing well, thank you for asking. How are you doing today? Is there anything I can help you with?",
      },
    ],
    finish: "stop",
    usage: [12, 0, 30, 0],
    cost: 12 * 3 + 30 * 15,
  },
  "anthropic/anthropic-text.json": notStreamed,
  // Another message begins while a call of the first one is open: neither may run.
  "anthropic/spliced-message-start.chunks.txt": unreadable(/message_start for message "msg_second"/),
  "google/google-429-retry-info.json": {
    status: 429,
    code: "model_rate_limited",
    retry: { afterMs: 34_400 },
    attempts: 1,
    message: /exceeded your current quota/,
  },
  "google/google-reasoning.chunks.txt": {
    parts: [
      {
        text: 'There are **3** "r"s in strawberry.\n\nHere is the breakdown: st**r**awbe**rr**y.',
        provider: /"google":\{"thoughtSignature":"Eo0HCooHAb4/,
      },
    ],
    finish: "stop",
    usage: [9, 0, 29 + 256, 256],
    cost: 9 * 2 + (29 + 256) * 12,
  },
  "google/google-stream-tool-call-arguments.chunks.txt": {
    parts: [
      { call: "getWeather", input: { location: "Boston" }, provider: /"google":\{"thoughtSignature":"CiMBjz1r/ },
      { call: "getWeather", input: { location: "San Francisco" } },
    ],
    finish: "calls",
    usage: [26, 0, 23 + 132, 132],
    cost: 26 * 2 + (23 + 132) * 12,
  },
  "google/google-text.chunks.txt": {
    parts: [
      {
        text: 'There are **3** "r"s in strawberry.\n\nst**r**awbe**rr**y',
        provider: /"google":\{"thoughtSignature":"EqsFCqgF/,
      },
    ],
    finish: "stop",
    usage: [9, 0, 23 + 185, 185],
    cost: 9 * 2 + (23 + 185) * 12,
  },
  "google/google-text.json": notStreamed,
  "google/google-tool-call.chunks.txt": {
    parts: [
      { call: "weather", input: { location: "San Francisco" }, provider: /"google":\{"thoughtSignature":"EqUCCqIC/ },
    ],
    finish: "calls",
    usage: [29, 0, 15 + 45, 45],
    cost: 29 * 2 + (15 + 45) * 12,
  },
  "google/google-tool-call.json": notStreamed,
  "openai-chat/openai-text.chunks.txt": {
    parts: [{ said: "text", field: "content", begins: "**Holiday Name:** Harmony Day", ends: "respect." }],
    finish: "stop",
    usage: [16, 0, 300, 0],
    cost: null,
  },
  "openai-chat/openai-text.json": notStreamed,
  // Reports no usage at all.
  "openai-compatible/anthropic-fallback-tool-call.sse": {
    parts: [{ text: "Reading it." }, { call: "read_file", id: "toolu_sanitized", input: { path: "a.txt" } }],
    finish: "calls",
    usage: null,
  },
  // 2 completion tokens and, beside them, 340 of reasoning: 354 in total with the 12 of the prompt.
  "openai-compatible/xai-text.chunks.txt": {
    parts: [
      { said: "reasoning", field: "reasoning_content", begins: 'First, the user said: "Say a single', ends: "" },
      { text: "Grok" },
    ],
    finish: "stop",
    usage: [12, 11, 342, 340],
    // As the reply itself says: 1,721,250 ticks, of which a micro-dollar has 10,000.
    cost: Math.ceil(1_721_250 / 10_000),
  },
  "openai-compatible/xai-text.json": notStreamed,
  "openai-responses/openai-custom-tool.1.chunks.txt": {
    parts: [
      {
        call: "write_sql",
        id: "call_custom_sql_001",
        input: "SELECT * FROM users WHERE age > 25",
        provider: /"openai":\{"itemId":"ct_abc123def456"/,
      },
    ],
    finish: "calls",
    usage: [50, 0, 20, 0],
    cost: Math.ceil(50 * 1.25 + 20 * 10),
  },
  "openai-responses/openai-error.1.chunks.txt": { status: 200, ...outOfCredit },
  "openai-responses/openai-error.1.json": { status: 429, ...outOfCredit },
  // The recording was shortened to two deltas for each of its messages.
  "openai-responses/openai-phase.1.chunks.txt": {
    parts: [
      { text: "Got it", provider: /"openai":\{"itemId":"msg_[0-9a-f]+","phase":"commentary"/ },
      { text: "Here are a few **AI", provider: /"openai":\{"itemId":"msg_[0-9a-f]+","phase":"final_answer"/ },
    ],
    finish: "stop",
    usage: [7_112, 3_072, 463, 64],
    cost: 4_040 * 1.25 + 3_072 * 0.125 + 463 * 10,
  },
  "openai-responses/openai-reasoning-encrypted-content.1.chunks.txt": {
    parts: [
      {
        reasoning:
          "**Calculating step-by-step using calculator**\n\nI'll compute 12 plus 7, then multiply the result by 3, " +
          "and finally multiply that by 10, reporting the final product.",
        provider: /"openai":\{"itemId":"rs_[0-9a-f]+","reasoningEncryptedContent":"gAAAAABpPDIVOKrsHNZ0/,
      },
      calculator("call_AB6AaRZ1FYZB2RwS6A5vbdqn", { a: 12, b: 7, op: "add" }),
      calculator("call_Q6pW65MUgW9vF59BmItYGos3", { a: 19, b: 3, op: "multiply" }),
      calculator("call_Zl5vIMnD7dVAjgU6FkhmiCZh", { a: 57, b: 10, op: "multiply" }),
      { text: "The final result is **570**.", provider: /"openai":\{"itemId":"msg_/ },
    ],
    finish: "calls",
    usage: [299, 0, 12, 0],
    cost: Math.ceil(299 * 1.25 + 12 * 10),
  },
  // The first and the last event lack a closing brace, so the call between them is not to be trusted.
  "openai-responses/parallel-tool-call-wrapper.1.chunks.txt": unreadable(/cannot be read/),
  "openai-responses/parallel-tool-call-wrapper.1.json": notStreamed,
  "openai-responses/reasoning-model-temperature-error.json": {
    status: 400,
    code: "model_bad_request",
    retry: "never",
    attempts: 1,
    message: /'temperature' is not supported with this model/,
  },
};

/** @param shown takes the deltas */
async function callWith(file: string, { step, shown }: { step: MockFault; shown: Delta[] }): Promise<ModelReply> {
  await using server = await startMockProvider({ script: () => step });
  const at = { apiKey: "test", baseURL: `${server.url}/v1` };
  const gateway = createModelGateway({
    providers: createProviders({ openai: at, anthropic: at, google: at, compatible: at }),
    // Dollars for a million tokens: what xAI asks for.
    prices: createPrices({ "compatible/grok-3-mini": { price: grok } }),
    clock: { ...systemClock, sleep: async () => {} },
    random: () => 0,
  });
  return await gateway.call({
    route: plainRoute([modelOfFolder[path.dirname(file)]!]),
    system: "",
    messages: [{ role: "user", text: "Hi" }],
    tools: [],
    maxOutputTokens: 1_000,
    caller: someCaller,
    signal: neverAborts(),
    onDelta: (delta) => shown.push(delta),
  });
}

function checkPart(part: AssistantPart | undefined, expected: Expected, file: string): void {
  if ("provider" in expected) assert.match(JSON.stringify(part?.provider), expected.provider!);
  else assert.equal(part?.provider, undefined);
  if ("call" in expected) {
    assert.ok(part?.type === "call");
    assert.deepEqual([part.tool, part.input], [expected.call, expected.input]);
    if (expected.id === undefined) assert.match(part.id, /^\w+$/);
    else assert.equal(part.id, expected.id);
    return;
  }
  assert.ok(part?.type === "text" || part?.type === "reasoning");
  if ("said" in expected) {
    assert.equal(part.type, expected.said);
    assert.equal(part.text, deltasOf(file, expected.field));
    assert.ok(part.text.startsWith(expected.begins) && part.text.endsWith(expected.ends), part.text);
    return;
  }
  const type = expected.text === undefined ? "reasoning" : "text";
  assert.deepEqual([part.type, part.text], [type, expected.text ?? expected.reasoning]);
}

/** The pieces of a field of the recorded chat completion chunks, joined. */
function deltasOf(file: string, field: string): string {
  return linesOf(readRecorded(file))
    .map((line) => JSON.parse(line).choices[0]?.delta?.[field] ?? "")
    .join("");
}

function checkAnswer(
  reply: ModelReply,
  { expected, deltas, file }: { expected: Answer; deltas: Delta[]; file: string },
): void {
  assert.equal(reply.parts.length, expected.parts.length, JSON.stringify(reply.parts));
  expected.parts.forEach((part, index) => checkPart(reply.parts[index], part, file));
  assert.equal(reply.finish, expected.finish);
  assert.deepEqual(reply.attempts, []);
  if (expected.usage === null) assert.ok(reply.usage.estimated && reply.usage.input > 0 && reply.usage.output > 0);
  else {
    const [input, cached, output, reasoning] = expected.usage;
    assert.deepEqual(reply.usage, { input, cached, output, reasoning, estimated: false });
  }
  const estimate = Math.ceil(reply.usage.input * grok.input + reply.usage.output * grok.output);
  assert.equal(reply.costMicros, expected.cost === undefined ? estimate : expected.cost);
  // What was shown while it came is what stands in the end.
  const shown = deltas.map((delta) => (delta.type === "restart" ? "restart" : delta.text)).join("");
  assert.equal(shown, reply.parts.map((part) => (part.type === "call" ? "" : part.text)).join(""));
}

test("every recorded reply is one of those expected here", { skip: absent }, () => {
  assert.deepEqual(recordedFiles().toSorted(), Object.keys(expectations).toSorted());
});

for (const [file, expected] of absent ? [] : Object.entries(expectations)) {
  const outcome = "code" in expected ? `ends as ${expected.code}` : `finishes with ${expected.finish}`;
  test(`${file} ${outcome}`, async () => {
    const deltas: Delta[] = [];
    const step = serving(file, "status" in expected ? expected.status : 200);
    const reply = callWith(file, { step, shown: deltas });
    if ("parts" in expected) return checkAnswer(await reply, { expected, deltas, file });
    await assert.rejects(reply, (thrown) => {
      assert.ok(thrown instanceof ModelCallError);
      assert.deepEqual(
        [thrown.code, thrown.retry, thrown.attempts.length],
        [expected.code, expected.retry, expected.attempts],
      );
      assert.match(thrown.message, expected.message);
      return true;
    });
  });
}
