/** OpenAI's own package against the gateway's endpoints, in front of a mock provider. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { APIError, type OpenAI } from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import type { MockStep } from "../../src/testing/mock-provider.ts";
import { startGateway } from "../support/gateway-service.ts";

const models = ["compatible/llama", "openai/gpt-5", "anthropic/claude-sonnet-4-6"] as const;
const hello = [{ role: "user" as const, content: "Hello" }];
const usage = { input: 1_000, cached: 600, output: 300, reasoning: 100 };
const weather: OpenAI.ChatCompletionFunctionTool = {
  type: "function",
  function: {
    name: "weather",
    description: "The weather in a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};
const bothCities: MockStep = {
  calls: [
    { id: "call_a", name: "weather", input: { city: "Oslo" } },
    { id: "call_b", name: "weather", input: { city: "Rome" } },
  ],
};

for (const model of models) {
  test(`${model}: a plain completion has text, usage and a reason to finish`, async () => {
    await using gateway = await startGateway({ script: [{ text: "It was shipped.", usage }] });
    const made = await gateway.openai.chat.completions.create({ model, messages: hello });
    assert.match(made.id, /^chatcmpl-[0-9a-f-]{36}$/);
    assert.deepEqual([made.object, made.model], ["chat.completion", model]);
    assert.equal(made.choices[0]?.message.content, "It was shipped.");
    assert.equal(made.choices[0]?.finish_reason, "stop");
    assert.deepEqual(made.usage, {
      prompt_tokens: 1_000,
      completion_tokens: 300,
      total_tokens: 1_300,
      prompt_tokens_details: { cached_tokens: 600 },
      completion_tokens_details: { reasoning_tokens: 100 },
    });
  });

  test(`${model}: a stream brings the text in pieces, and usage in the last chunk`, async () => {
    await using gateway = await startGateway({ script: [{ text: "It was shipped.", chunkChars: 4, usage }] });
    const stream = await gateway.openai.chat.completions.create({
      model,
      messages: hello,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
    assert.equal(text, "It was shipped.");
    assert.ok(chunks.length >= 4, `${chunks.length} chunks`);
    assert.equal(chunks.at(-2)?.choices[0]?.finish_reason, "stop");
    assert.deepEqual([chunks.at(-1)?.choices, chunks.at(-1)?.usage?.total_tokens], [[], 1_300]);
    assert.ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null));
  });

  test(`${model}: calls at the same time, and their results, go there and back`, async () => {
    await using gateway = await startGateway({ script: [bothCities, { text: "Cold and warm." }] });
    const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "How is it in Oslo and Rome?" }];
    const first = await gateway.openai.chat.completions.create({ model, messages, tools: [weather] });
    const { message, finish_reason: finish } = first.choices[0]!;
    assert.equal(finish, "tool_calls");
    assert.deepEqual(
      message.tool_calls?.map((call) => call.type === "function" && [call.function.name, call.function.arguments]),
      [
        ["weather", '{"city":"Oslo"}'],
        ["weather", '{"city":"Rome"}'],
      ],
    );
    messages.push(message);
    for (const { id } of message.tool_calls ?? [])
      messages.push({ role: "tool", tool_call_id: id, content: "4 degrees" });
    const second = await gateway.openai.chat.completions.create({ model, messages, tools: [weather] });
    assert.equal(second.choices[0]?.message.content, "Cold and warm.");
    const told = gateway.provider.requests[1]!.messages.map(({ role, text }) => `${role} ${text}`).join("\n");
    assert.equal(told.match(/4 degrees/g)?.length, 2, told);
    assert.match(told, /call_a[^]*call_b/);
  });

  test(`${model}: a stream of calls adds up to the calls`, async () => {
    await using gateway = await startGateway({ script: [{ text: "Let me see.", ...bothCities }] });
    const runner = gateway.openai.chat.completions.stream({ model, messages: hello, tools: [weather] });
    const { choices } = await runner.finalChatCompletion();
    assert.equal(choices[0]?.message.content, "Let me see.");
    assert.deepEqual(
      choices[0]?.message.tool_calls?.map((call) => call.type === "function" && call.function.arguments),
      ['{"city":"Oslo"}', '{"city":"Rome"}'],
    );
  });

  test(`${model}: structured output is asked for by its schema, and parsed`, async () => {
    await using gateway = await startGateway({
      script: [{ text: '{"city":"Oslo"}' }],
    });
    const { choices } = await gateway.openai.chat.completions.parse({
      model,
      messages: hello,
      response_format: zodResponseFormat(z.object({ city: z.string() }), "place"),
    });
    assert.deepEqual(choices[0]?.message.parsed, { city: "Oslo" });
    assert.match(JSON.stringify(gateway.provider.requests[0]?.body), /"city":\{"type":"string"/);
  });

  test(`${model}: errors come as the package knows them`, async () => {
    const cases: [step: MockStep, status: number, code: string][] = [
      [{ fault: "status", status: 429, retryAfter: 60 }, 429, "rate_limit_exceeded"],
      [{ fault: "status", status: 400 }, 400, "model_bad_request"],
      [{ fault: "status", status: 413 }, 400, "context_length_exceeded"],
      [{ fault: "status", status: 401 }, 502, "model_auth"],
    ];
    // A model of its own for each: what one call learns of a model holds for the next.
    const script = ({ model: asked }: { model: string }) => cases[Number(asked.at(-1))]![0];
    await using gateway = await startGateway({ script });
    for (const [index, [, status, code]] of cases.entries()) {
      for (const stream of [false, true]) {
        const failed = gateway.openai.chat.completions.create({
          model: `${model}-${index}`,
          messages: hello,
          stream,
        });
        await assert.rejects(failed, (error: unknown) => {
          assert.ok(error instanceof APIError);
          assert.deepEqual([error.status, error.code], [status, code]);
          const seconds = Number(error.headers?.get("retry-after") ?? 0);
          assert.ok(status === 429 ? seconds > 50 && seconds <= 60 : seconds === 0, `${seconds} s`);
          return true;
        });
      }
    }
  });
}

test("settings reach the provider", async () => {
  await using gateway = await startGateway({ script: [{ text: "Yes" }] });
  await gateway.openai.chat.completions.create({
    model: "compatible/llama",
    messages: [{ role: "developer", content: "Be brief." }, ...hello],
    temperature: 0.3,
    top_p: 0.9,
    stop: ["END"],
    seed: 7,
    max_completion_tokens: 50,
    presence_penalty: 0.5,
    frequency_penalty: 0.25,
    tools: [weather],
    tool_choice: "required",
    parallel_tool_calls: false,
    reasoning_effort: "low",
    n: 1,
    logprobs: false,
    store: true,
  });
  const { body } = gateway.provider.requests[0]!;
  const { model: _model, messages, tools: _tools, stream: _stream, stream_options: _options, ...settings } = body;
  assert.deepEqual(settings, {
    temperature: 0.3,
    top_p: 0.9,
    stop: ["END"],
    seed: 7,
    max_tokens: 50,
    presence_penalty: 0.5,
    frequency_penalty: 0.25,
    tool_choice: "required",
    parallel_tool_calls: false,
    reasoning_effort: "low",
  });
  assert.deepEqual((messages as unknown[])[0], { role: "system", content: "Be brief." });
});

test("a setting that the model cannot follow is refused, and not left out", async () => {
  await using gateway = await startGateway({ script: () => ({ text: "Yes" }) });
  const { openai } = gateway;
  for (const setting of [{ stop: ["END"] }, { temperature: 0.3 }, { presence_penalty: 1 }]) {
    const asked = openai.chat.completions.create({ model: "openai/gpt-5", messages: hello, ...setting });
    await assert.rejects(asked, { status: 400, code: "model_bad_request" });
  }
});

test("the signature that a provider wants back with a call comes back within its id", async () => {
  const model = "anthropic/claude-sonnet-4-6";
  await using gateway = await startGateway({
    script: [{ reasoning: "Look it up.", ...bothCities }, { text: "Cold and warm." }],
  });
  const messages: OpenAI.ChatCompletionMessageParam[] = [...hello];
  const first = await gateway.openai.chat.completions.create({ model, messages, tools: [weather] });
  const calls = first.choices[0]!.message.tool_calls!;
  // What other programs keep of an assistant's message.
  messages.push({ role: "assistant", content: null, tool_calls: calls });
  for (const { id } of calls) messages.push({ role: "tool", tool_call_id: id, content: "4 degrees" });
  await gateway.openai.chat.completions.create({ model, messages, tools: [weather] });
  const sent = gateway.provider.requests[1]!.body["messages"] as { role: string; content: { type: string }[] }[];
  const [thinking, ...uses] = sent.find(({ role }) => role === "assistant")!.content;
  assert.deepEqual(thinking, { type: "thinking", thinking: "Look it up.", signature: "signature_1" });
  assert.deepEqual(
    uses.map((use) => [use.type, (use as unknown as { id: string }).id]),
    [
      ["tool_use", "call_a"],
      ["tool_use", "call_b"],
    ],
  );
});

test("embeddings, as floats and as the base64 that the package asks for by itself", async () => {
  const script = ({ body }: { body: Record<string, unknown> }) => {
    const data = (body["input"] as string[]).map((text, index) => ({ index, embedding: [text.length, 0.5] }));
    return { fault: "raw" as const, body: JSON.stringify({ data, usage: { prompt_tokens: 7, total_tokens: 7 } }) };
  };
  await using gateway = await startGateway({ script });
  for (const format of [undefined, "float", "base64"] as const) {
    const made = await gateway.openai.embeddings.create({
      model: "openai/text-embedding-3-small",
      input: ["a", "bb"],
      dimensions: 2,
      ...(format !== undefined && { encoding_format: format }),
    });
    const vectors = made.data.map(({ embedding }) => (format === "base64" ? floatsOf(embedding) : embedding));
    assert.deepEqual(vectors, [
      [1, 0.5],
      [2, 0.5],
    ]);
    assert.deepEqual(made.usage, { prompt_tokens: 7, total_tokens: 7 });
  }
  assert.equal(gateway.provider.requests[0]!.body["dimensions"], 2);
});

test("the models that are known by name, and any one that can be called", async () => {
  await using gateway = await startGateway({ script: [] });
  const { models: list } = gateway.openai;
  const names = [];
  for await (const { id, owned_by: owner } of list.list()) names.push([id, owner]);
  assert.deepEqual(names, [
    ["agent/helper", "agent"],
    ["compatible/llama", "compatible"],
  ]);
  assert.equal((await list.retrieve("agent/helper")).id, "agent/helper");
  assert.equal((await list.retrieve("openai/gpt-5")).id, "openai/gpt-5");
  await assert.rejects(list.retrieve("agent/nobody"), { status: 404, code: "model_not_found" });
});

/** The package's types know nothing of base64. */
function floatsOf(embedding: unknown): number[] {
  const bytes = Buffer.from(String(embedding), "base64");
  return [bytes.readFloatLE(0), bytes.readFloatLE(4)];
}

test("a route of the configuration is a model, whose candidates stand in for one another", async () => {
  const script = ({ model: asked }: { model: string }): MockStep =>
    asked === "down" ? { fault: "status", status: 401 } : { text: `I am ${asked}.` };
  const config = { gateway: { routes: { fast: ["compatible/down", "compatible/up"] } } };
  await using gateway = await startGateway({ script, config });
  const made = await gateway.openai.chat.completions.create({ model: "fast", messages: hello });
  assert.deepEqual([made.model, made.choices[0]?.message.content], ["fast", "I am up."]);
  assert.equal((await gateway.openai.models.retrieve("fast")).owned_by, "holdfast");
});

test("what would fail again is not tried again by the package", async () => {
  await using gateway = await startGateway({ script: () => ({ fault: "status", status: 401 }) });
  const client = gateway.clientWith("unused").withOptions({ maxRetries: 2 });
  await assert.rejects(client.chat.completions.create({ model: "compatible/llama", messages: hello }), { status: 502 });
  assert.equal(gateway.provider.requests.length, 1);
});
