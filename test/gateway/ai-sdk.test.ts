/** The AI SDK against the gateway's endpoints: its package for compatible servers, and its package for OpenAI. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  APICallError,
  embedMany,
  generateText,
  isStepCount,
  Output,
  streamText,
  tool,
  type EmbeddingModel,
  type LanguageModel,
} from "ai";
import { z } from "zod";
import { startGateway, type GatewayService } from "../support/gateway-service.ts";

const name = "compatible/llama";
const kinds: Record<string, (gateway: GatewayService) => LanguageModel> = {
  "the package for compatible servers": ({ baseURL }) =>
    createOpenAICompatible({
      name: "holdfast",
      baseURL,
      includeUsage: true,
      supportsStructuredOutputs: true,
    }).chatModel(name),
  "OpenAI's chat completions": ({ baseURL }) => createOpenAI({ baseURL, apiKey: "unused" }).chat(name),
  "OpenAI's responses": ({ baseURL }) => createOpenAI({ baseURL, apiKey: "unused" }).responses(name),
};
const usage = { input: 1_000, cached: 600, output: 300, reasoning: 100 };
const weather = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: ({ city }) => `${city}: 4 degrees`,
});
const bothCities = {
  calls: [
    { id: "call_a", name: "weather", input: { city: "Oslo" } },
    { id: "call_b", name: "weather", input: { city: "Rome" } },
  ],
};

for (const [kind, modelOf] of Object.entries(kinds)) {
  test(`${kind}: text, reasoning and usage`, async () => {
    await using gateway = await startGateway({
      script: [{ reasoning: "Let me think.", text: "It was shipped.", usage }],
    });
    const result = await generateText({ model: modelOf(gateway), prompt: "Where is it?" });
    assert.deepEqual([result.text, result.finishReason], ["It was shipped.", "stop"]);
    const { inputTokens, outputTokens } = result.usage;
    assert.deepEqual([inputTokens, outputTokens], [1_000, 300]);
  });

  test(`${kind}: a stream`, async () => {
    await using gateway = await startGateway({ script: [{ text: "It was shipped.", chunkChars: 4, usage }] });
    const result = streamText({ model: modelOf(gateway), prompt: "Where is it?" });
    const pieces = [];
    for await (const piece of result.textStream) pieces.push(piece);
    assert.equal(pieces.join(""), "It was shipped.");
    assert.deepEqual([await result.finishReason, (await result.usage).outputTokens], ["stop", 300]);
  });

  for (const [how, run] of [
    ["plain", (options: Parameters<typeof generateText>[0]) => generateText(options).then(({ text }) => text)],
    ["streaming", async (options: Parameters<typeof streamText>[0]) => await streamText(options).text],
  ] as const) {
    test(`${kind}: tools in a loop, ${how}`, async () => {
      await using gateway = await startGateway({
        script: [{ reasoning: "Look it up.", ...bothCities }, { text: "Cold in both." }],
      });
      const text = await run({
        model: modelOf(gateway),
        prompt: "How is it in Oslo and Rome?",
        tools: { weather },
        stopWhen: isStepCount(3),
      });
      assert.equal(text, "Cold in both.");
      const told = JSON.stringify(gateway.provider.requests[1]!.body);
      assert.match(told, /Oslo: 4 degrees[^]*Rome: 4 degrees/);
    });
  }

  test(`${kind}: structured output`, async () => {
    await using gateway = await startGateway({ script: [{ text: '{"city":"Oslo"}' }] });
    const { output } = await generateText({
      model: modelOf(gateway),
      prompt: "Where?",
      output: Output.object({ schema: z.object({ city: z.string() }) }),
    });
    assert.deepEqual(output, { city: "Oslo" });
    const { response_format: format } = gateway.provider.requests[0]!.body as { response_format: { type: string } };
    assert.equal(format.type, "json_schema");
  });

  test(`${kind}: errors and aborts`, async () => {
    await using gateway = await startGateway({
      script: [{ fault: "status", status: 400 }, { fault: "hang" }],
    });
    const model = modelOf(gateway);
    await assert.rejects(generateText({ model, prompt: "Hello", maxRetries: 0 }), (error: unknown) => {
      assert.ok(APICallError.isInstance(error));
      assert.deepEqual([error.statusCode, error.isRetryable], [400, false]);
      return true;
    });
    const leave = new AbortController();
    const asked = generateText({ model, prompt: "Hello", abortSignal: leave.signal, maxRetries: 0 });
    while (gateway.provider.requests.length < 2) await new Promise(setImmediate);
    leave.abort(new Error("enough"));
    await assert.rejects(asked);
  });
}

test("embeddings", async () => {
  await using gateway = await startGateway({
    script: ({ body }) => ({ fault: "raw", body: JSON.stringify(embeddingsOf(body["input"] as string[])) }),
  });
  const provider = createOpenAICompatible({ name: "holdfast", baseURL: gateway.baseURL });
  const model: EmbeddingModel = provider.embeddingModel("compatible/embed");
  const { embeddings, usage: used } = await embedMany({ model, values: ["a", "bb", "ccc"] });
  assert.deepEqual(embeddings, [[1], [2], [3]]);
  assert.equal(used.tokens, 6);
});

function embeddingsOf(texts: readonly string[]) {
  const data = texts.map(({ length }, index) => ({ object: "embedding", index, embedding: [length] }));
  const tokens = texts.join("").length;
  return { object: "list", data, model: "embed", usage: { prompt_tokens: tokens, total_tokens: tokens } };
}
