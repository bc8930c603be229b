/**
 * Consecutive turns of a task share the longest beginning there can be, byte by byte, as each provider is sent it: that is
 * what the providers' own caches of prompts live on.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Json, JsonObject } from "../../src/agent/json.ts";
import { createModelGateway } from "../../src/gateway/gateway.ts";
import { createProviders } from "../../src/gateway/providers/registry.ts";
import { systemClock } from "../../src/platform/clock.ts";
import type { Database } from "../../src/store/database.ts";
import {
  startMockProvider,
  type MockReply,
  type MockRequest,
  type MockScript,
} from "../../src/testing/mock-provider.ts";
import { testDatabases } from "../support/databases.ts";
import { startHoldfast, toolOf } from "../support/running-holdfast.ts";

/** What a wire format calls what grows, and what stands before it in the order in which the provider reads. */
const formats = {
  "openai/gpt-5": { grows: "input", fixed: ["model", "tools"] },
  "anthropic/claude-sonnet-4-6": { grows: "messages", fixed: ["model", "tools", "system"] },
  "compatible/llama": { grows: "messages", fixed: ["model", "tools"] },
  "google/gemini-2.5-pro": { grows: "contents", fixed: ["tools", "systemInstruction"] },
} as const;

const calls = (...ids: number[]) => ids.map((id) => ({ name: "find", input: { id, z: 1, a: { y: 2, b: "é\n" } } }));

const turns: MockReply[] = [
  { reasoning: "First this.", text: "I look. ", calls: calls(1) },
  { calls: calls(2, 3, 4) },
  { reasoning: "Then that.", calls: calls(5) },
  { text: " Found. " },
  { text: "Gladly." },
];

/** The mock provider does not speak Gemini: its replies are given as they stand. */
const script: MockScript = ({ attempt, format }) => {
  const turn = turns[attempt - 1]!;
  return format === "other" ? { fault: "raw", chunks: [JSON.stringify(geminiOf(turn))] } : turn;
};

function geminiOf({ text, calls: asked = [] }: MockReply): JsonObject {
  const functionCalls = asked.map(({ name, input }) => ({ functionCall: { name, args: input } }));
  const parts: JsonObject[] = [...(text === undefined ? [] : [{ text }]), ...functionCalls];
  return { candidates: [{ content: { role: "model", parts }, finishReason: "STOP" }] };
}

const [embedded] = await testDatabases();

describe("What providers are sent, turn by turn", () => {
  let database: Database;
  before(async () => {
    database = await embedded!.open();
  });
  after(() => database.close());

  /** A task of four turns, and one more in the same conversation. */
  async function requestsTo(model: string): Promise<readonly MockRequest[]> {
    await using provider = await startMockProvider({ script });
    const at = { apiKey: "test", baseURL: `${provider.url}/v1` };
    const providers = createProviders({ openai: at, anthropic: at, compatible: at, google: at });
    const tools = ["find", "keep"].map((name) =>
      toolOf(name, "read", ({ id }) => (id === 3 ? "x" : { id, found: true })),
    );
    const holdfast = await startHoldfast(database, {
      script: [],
      tools,
      agent: { model, limits: { tokens: 100_000 } },
      options: { parts: { gateway: createModelGateway({ providers, clock: systemClock, random: () => 0 }) } },
    });
    try {
      const first = await holdfast.submit({ prompt: "Find all.", context: { z: 1, a: 2 } });
      const { sessionId } = await first.result();
      const second = await holdfast.submit({ prompt: "Thanks!", sessionId });
      assert.equal((await second.result()).output, "Gladly.");
    } finally {
      await holdfast.stop();
    }
    assert.equal(provider.requests.length, 5);
    return provider.requests;
  }

  for (const [model, { grows, fixed }] of Object.entries(formats)) {
    test(`${model}: each begins with the whole of the one before, to the byte`, async () => {
      const requests = await requestsTo(model);
      const read = requests.map(({ body }) => asRead(body, { grows, fixed }));
      for (const [index, text] of read.entries()) {
        const before = read[index - 1] ?? "";
        assert.ok(text.startsWith(before) && text.length > before.length, `turn ${index + 1}\n${before}\n${text}`);
      }
    });
  }

  test("anthropic: marks tools, instructions, the end of the call before and its own, and no more than four", async () => {
    const requests = await requestsTo("anthropic/claude-sonnet-4-6");
    const marks = requests.map(({ body }) => marksOf(body, ""));
    assert.deepEqual(marks[0], ["/system/0", "/messages/0/content/0", "/tools/1"].toSorted());
    // Three results of one turn are one message: the mark is on the last of them.
    assert.deepEqual(marks[2], ["/system/0", "/messages/2/content/0", "/messages/4/content/2", "/tools/1"].toSorted());
    for (const each of marks) assert.ok(each.length <= 4);
  });
});

/** The prompt as one text: every item of what grows on its own, so that what is appended follows what was there. */
function asRead(body: JsonObject, { grows, fixed }: { grows: string; fixed: readonly string[] }): string {
  const items = body[grows] as Json[];
  return [...fixed.map((field) => body[field]), ...items.flatMap(piecesOf)].map(withoutMarks).join("\n");
}

/** A provider reads role and content in order: a message that later grows by a part begins as it was. */
function piecesOf(item: Json): Json[] {
  const { content, parts = content, role, ...rest } = item as JsonObject;
  if (!Array.isArray(parts)) return [item];
  return parts.map((part) => ({ role: role ?? null, part, ...rest }));
}

function withoutMarks(value: Json | undefined): string {
  return JSON.stringify(value ?? null, (key, inner: unknown) => (key === "cache_control" ? undefined : inner));
}

function marksOf(value: unknown, path: string): string[] {
  if (typeof value !== "object" || value === null) return [];
  const inner = Object.entries(value).flatMap(([key, each]) => marksOf(each, `${path}/${key}`));
  return ("cache_control" in value ? [path, ...inner] : inner).toSorted();
}
