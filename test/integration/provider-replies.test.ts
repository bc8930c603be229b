/**
 * Replies recorded from real providers, served as they stand to the real provider packages: what of each reaches an agent.
 *
 * The recordings are no part of this repository. They are looked for beside it, under shared/data, or under the directory that
 * HOLDFAST_TEST_DATA names; where they are absent this test says so and is left out.
 *
 * `*.chunks.txt` holds one server-sent event's data per line, `*.sse` the stream itself. `*.json` is a plain body: of an error,
 * served with its status; or of an answer, which is not what we ask for (we always stream), so it must end as a broken stream
 * and never as an empty answer. The plain answers were recorded apart from the streamed ones and say something else.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { AssistantPart, Delta } from "../../src/agent/conversation.ts";
import { createModelGateway } from "../../src/gateway/gateway.ts";
import { ModelCallError, type ModelReply } from "../../src/gateway/model-gateway.ts";
import { createProviders } from "../../src/gateway/providers/registry.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { type MockFault, startMockProvider } from "../../src/testing/mock-provider.ts";

const data = process.env["HOLDFAST_TEST_DATA"] ?? path.resolve(import.meta.dirname, "../../../shared/data");
const root = path.join(data, "provider-replies");
const absent = existsSync(root) ? false : `left out: there are no recorded replies at ${root}`;

const routes: Record<string, string> = {
  "openai-responses": "openai/gpt-5",
  anthropic: "anthropic/claude-sonnet-4-6",
  google: "google/gemini-3-pro-preview",
  // Chat completions, whoever serves them, are read by the package for compatible servers.
  "openai-chat": "compatible/gpt-4.1-nano",
  "openai-compatible": "compatible/grok-3-mini",
};

interface Answer {
  readonly parts: readonly Expected[];
  readonly finish: ModelReply["finish"];
  /** input, cached, output, reasoning; null: the reply reports none. */
  readonly usage: readonly [number, number, number, number] | null;
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
  },
  // The code ran at the provider; of its calls nothing is ours to run.
  "anthropic/anthropic-code-execution-20260120-prompt-cache.1.chunks.txt": {
    parts: [{ text: "The sum of the squares of the numbers 1 through 12 is **650**." }],
    finish: "stop",
    usage: [6 + 3_337 + 6_289, 6_289, 198, 0],
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
  },
  "anthropic/anthropic-json-tool.1.json": notStreamed,
  "anthropic/anthropic-refusal.chunks.txt": { parts: [], finish: "content_filter", usage: [18, 0, 5, 0] },
  "anthropic/anthropic-refusal.json": notStreamed,
  "anthropic/anthropic-text.chunks.txt": {
    parts: [
      {
        text: "Hello! I'm doing well, thank you for asking. How are you doing today? Is there anything I can help you with?",
      },
    ],
    finish: "stop",
    usage: [12, 0, 30, 0],
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
  },
  "google/google-stream-tool-call-arguments.chunks.txt": {
    parts: [
      { call: "getWeather", input: { location: "Boston" }, provider: /"google":\{"thoughtSignature":"CiMBjz1r/ },
      { call: "getWeather", input: { location: "San Francisco" } },
    ],
    finish: "calls",
    usage: [26, 0, 23 + 132, 132],
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
  },
  "google/google-text.json": notStreamed,
  "google/google-tool-call.chunks.txt": {
    parts: [
      { call: "weather", input: { location: "San Francisco" }, provider: /"google":\{"thoughtSignature":"EqUCCqIC/ },
    ],
    finish: "calls",
    usage: [29, 0, 15 + 45, 45],
  },
  "google/google-tool-call.json": notStreamed,
  "openai-chat/openai-text.chunks.txt": {
    parts: [{ said: "text", field: "content", begins: "**Holiday Name:** Harmony Day", ends: "respect." }],
    finish: "stop",
    usage: [16, 0, 300, 0],
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

function serving(file: string, status: number): MockFault {
  const text = readFileSync(path.join(root, file), "utf8");
  if (file.endsWith(".json")) return { fault: "raw", status, contentType: "application/json", body: text };
  if (file.endsWith(".sse")) return { fault: "raw", contentType: "text/event-stream", body: text };
  return { fault: "raw", chunks: text.split("\n").filter((line) => line !== "") };
}

/** @param shown takes the deltas */
async function callWith(file: string, { step, shown }: { step: MockFault; shown: Delta[] }): Promise<ModelReply> {
  await using server = await startMockProvider({ script: () => step });
  const at = { apiKey: "test", baseURL: `${server.url}/v1` };
  const gateway = createModelGateway({
    providers: createProviders({ openai: at, anthropic: at, google: at, compatible: at }),
    clock: { ...systemClock, sleep: async () => {} },
    random: () => 0,
  });
  return await gateway.call({
    route: [routes[path.dirname(file)]!],
    system: "",
    messages: [{ role: "user", text: "Hi" }],
    tools: [],
    maxOutputTokens: 1_000,
    signal: new AbortController().signal,
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
  const lines = readFileSync(path.join(root, file), "utf8")
    .split("\n")
    .filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line).choices[0]?.delta?.[field] ?? "").join("");
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
  // What was shown while it came is what stands in the end.
  const shown = deltas.map((delta) => (delta.type === "restart" ? "restart" : delta.text)).join("");
  assert.equal(shown, reply.parts.map((part) => (part.type === "call" ? "" : part.text)).join(""));
}

test("every recorded reply is one of those expected here", { skip: absent }, () => {
  const files = Object.keys(routes).flatMap((folder) =>
    readdirSync(path.join(root, folder)).map((file) => `${folder}/${file}`),
  );
  assert.deepEqual(files.toSorted(), Object.keys(expectations).toSorted());
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
