/** OpenAI's own package and responses: the events are those its own accumulator takes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { startGateway } from "../support/gateway-service.ts";

const models = ["compatible/llama", "openai/gpt-5", "anthropic/claude-sonnet-4-6"] as const;
const usage = { input: 1_000, cached: 600, output: 300, reasoning: 100 };
const weather: OpenAI.Responses.FunctionTool = {
  type: "function",
  name: "weather",
  strict: null,
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
const bothCities = {
  calls: [
    { id: "call_a", name: "weather", input: { city: "Oslo" } },
    { id: "call_b", name: "weather", input: { city: "Rome" } },
  ],
};

for (const model of models) {
  test(`${model}: a plain response has text and usage`, async () => {
    await using gateway = await startGateway({ script: [{ text: "It was shipped.", usage }] });
    const made = await gateway.openai.responses.create({ model, instructions: "Be brief.", input: "Where is it?" });
    assert.match(made.id, /^resp_[0-9a-f-]{36}$/);
    assert.deepEqual([made.status, made.output_text], ["completed", "It was shipped."]);
    assert.deepEqual(made.usage, {
      input_tokens: 1_000,
      input_tokens_details: { cached_tokens: 600 },
      output_tokens: 300,
      output_tokens_details: { reasoning_tokens: 100 },
      total_tokens: 1_300,
    });
    const told = gateway.provider.requests[0]!.messages.map(({ role, text }) => `${role}: ${text}`);
    assert.match(told.join("\n"), /(system|developer): Be brief\.\nuser: Where is it\?/);
  });

  test(`${model}: a stream adds up to the plain response`, async () => {
    const said = { reasoning: "Let me think.", text: "It was shipped.", ...bothCities, chunkChars: 5, usage };
    await using gateway = await startGateway({ script: [said, said] });
    const request = { model, input: "Where is it?", tools: [weather] };
    const runner = gateway.openai.responses.stream(request);
    const events: OpenAI.Responses.ResponseStreamEvent[] = [];
    for await (const event of runner) events.push(event);
    const streamed = await runner.finalResponse();
    const plain = await gateway.openai.responses.create(request);
    assert.deepEqual(
      events.map((event) => event.sequence_number),
      events.map((_, index) => index),
    );
    const shape = ({ output }: OpenAI.Responses.Response) =>
      output.map((item) => {
        if (item.type === "message") return item.content.map((part) => part.type === "output_text" && part.text);
        if (item.type === "reasoning") return item.summary;
        return item.type === "function_call" && [item.name, item.arguments];
      });
    assert.deepEqual(shape(streamed as OpenAI.Responses.Response), [
      [{ type: "summary_text", text: "Let me think." }],
      ["It was shipped."],
      ["weather", '{"city":"Oslo"}'],
      ["weather", '{"city":"Rome"}'],
    ]);
    assert.deepEqual(shape(plain), shape(streamed as OpenAI.Responses.Response));
    assert.deepEqual(plain.usage, streamed.usage);
  });

  test(`${model}: calls and their results go there and back`, async () => {
    await using gateway = await startGateway({
      script: [{ reasoning: "Look it up.", ...bothCities }, { text: "Cold and warm." }],
    });
    const input: OpenAI.Responses.ResponseInputItem[] = [{ role: "user", content: "How is it in Oslo and Rome?" }];
    const first = await gateway.openai.responses.create({ model, input, tools: [weather] });
    for (const item of first.output) input.push(item as OpenAI.Responses.ResponseInputItem);
    for (const item of first.output) {
      if (item.type !== "function_call") continue;
      input.push({ type: "function_call_output", call_id: item.call_id, output: "4 degrees" });
    }
    const second = await gateway.openai.responses.create({ model, input, tools: [weather] });
    assert.equal(second.output_text, "Cold and warm.");
    const told = JSON.stringify(gateway.provider.requests[1]!.body);
    assert.equal(told.match(/4 degrees/g)?.length, 2, told);
    if (model.startsWith("anthropic")) assert.match(told, /"signature":"signature_1"/);
  });

  test(`${model}: structured output is parsed`, async () => {
    await using gateway = await startGateway({ script: [{ text: '{"city":"Oslo"}' }] });
    const { output_parsed: parsed } = await gateway.openai.responses.parse({
      model,
      input: "Where?",
      text: { format: zodTextFormat(z.object({ city: z.string() }), "place") },
    });
    assert.deepEqual(parsed, { city: "Oslo" });
  });
}

test("an answer that was cut short says by what", async () => {
  await using gateway = await startGateway({
    script: [
      { text: "It was", finish: "length" },
      { text: "It was", finish: "length" },
      { text: "No", finish: "content_filter" },
    ],
  });
  const ask = { model: "compatible/llama", input: "Where is it?", max_output_tokens: 20 };
  const cut = await gateway.openai.responses.create(ask);
  assert.deepEqual([cut.status, cut.incomplete_details], ["incomplete", { reason: "max_output_tokens" }]);
  const events = await gateway.openai.responses.create({ ...ask, stream: true });
  const types = [];
  for await (const { type } of events) types.push(type);
  assert.equal(types.at(-1), "response.incomplete");
  const withheld = await gateway.openai.responses.create(ask);
  assert.deepEqual(withheld.incomplete_details, { reason: "content_filter" });
});

test("an answer of a model cannot be gone on from: nothing is kept", async () => {
  await using gateway = await startGateway({ script: [] });
  const previous = "resp_01890000-0000-7000-8000-000000000000";
  const asked = gateway.openai.responses.create({
    model: "compatible/llama",
    input: "And then?",
    previous_response_id: previous,
  });
  await assert.rejects(asked, { status: 400, param: "previous_response_id" });
});
