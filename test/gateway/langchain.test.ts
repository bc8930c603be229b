/** LangChain's ChatOpenAI against the gateway's endpoints, over chat completions and over responses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  HumanMessage,
  type ToolMessage,
  type AIMessage,
  type AIMessageChunk,
  type BaseMessage,
} from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { z } from "zod";
import { startGateway, type GatewayService } from "../support/gateway-service.ts";

const usage = { input: 1_000, cached: 600, output: 300, reasoning: 100 };
const weather = tool(({ city }) => `${city}: 4 degrees`, {
  name: "weather",
  description: "The weather in a city.",
  schema: z.object({ city: z.string() }),
});
const bothCities = {
  calls: [
    { id: "call_a", name: "weather", input: { city: "Oslo" } },
    { id: "call_b", name: "weather", input: { city: "Rome" } },
  ],
};

/** The package's types make nothing of the metadata of a message of any kind. */
function tokensOf(message: object): unknown[] {
  const { usage_metadata: tokens } = message as { usage_metadata?: { input_tokens: number; output_tokens: number } };
  return [tokens?.input_tokens, tokens?.output_tokens];
}

async function joined(stream: AsyncIterable<AIMessageChunk>): Promise<AIMessageChunk> {
  const chunks: AIMessageChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks.reduce((whole, chunk) => whole.concat(chunk));
}

for (const useResponsesApi of [false, true]) {
  const kind = useResponsesApi ? "responses" : "chat completions";
  const modelOf = ({ baseURL }: GatewayService) =>
    new ChatOpenAI({
      model: "compatible/llama",
      apiKey: "unused",
      maxRetries: 0,
      useResponsesApi,
      configuration: { baseURL },
    });

  test(`${kind}: text and usage`, async () => {
    await using gateway = await startGateway({ script: [{ text: "It was shipped.", usage }] });
    const answer = await modelOf(gateway).invoke("Where is it?");
    assert.equal(answer.text, "It was shipped.");
    assert.deepEqual(tokensOf(answer), [1_000, 300]);
  });

  test(`${kind}: a stream`, async () => {
    await using gateway = await startGateway({ script: [{ text: "It was shipped.", chunkChars: 4, usage }] });
    const whole = await joined(await modelOf(gateway).stream("Where is it?"));
    assert.equal(whole.text, "It was shipped.");
    assert.deepEqual(tokensOf(whole), [1_000, 300]);
  });

  for (const how of ["plain", "streaming"]) {
    test(`${kind}: calls of tools and their results, ${how}`, async () => {
      await using gateway = await startGateway({ script: [bothCities, { text: "Cold in both." }] });
      const model = modelOf(gateway).bindTools([weather]);
      const messages: BaseMessage[] = [new HumanMessage("How is it in Oslo and Rome?")];
      const ask = async (): Promise<AIMessage> => {
        if (how === "plain") return model.invoke(messages);
        return joined(await model.stream(messages));
      };
      const first = await ask();
      assert.deepEqual(
        first.tool_calls?.map(({ args }) => args),
        [{ city: "Oslo" }, { city: "Rome" }],
      );
      messages.push(first);
      for (const call of first.tool_calls ?? []) messages.push((await weather.invoke(call)) as ToolMessage);
      assert.equal((await ask()).text, "Cold in both.");
      assert.match(JSON.stringify(gateway.provider.requests[1]!.body), /Oslo: 4 degrees[^]*Rome: 4 degrees/);
    });
  }

  test(`${kind}: structured output`, async () => {
    await using gateway = await startGateway({ script: [{ text: '{"city":"Oslo"}' }] });
    const schema = z.object({ city: z.string() });
    const model = modelOf(gateway).withStructuredOutput(schema, { name: "place", method: "jsonSchema" });
    assert.deepEqual(await model.invoke("Where?"), { city: "Oslo" });
  });

  test(`${kind}: errors and aborts`, async () => {
    await using gateway = await startGateway({
      script: [{ fault: "hang" }, { fault: "status", status: 429, retryAfter: 60 }],
    });
    const model = modelOf(gateway);
    const leave = new AbortController();
    const asked = model.invoke("Hello", { signal: leave.signal });
    while (gateway.provider.requests.length < 1) await new Promise(setImmediate);
    leave.abort();
    await assert.rejects(asked);
    await assert.rejects(model.invoke("Hello"), { status: 429 });
  });
}

test("embeddings", async () => {
  await using gateway = await startGateway({
    script: ({ body }) => {
      const data = (body["input"] as string[]).map((text, index) => ({ index, embedding: [text.length, 0.5] }));
      return { fault: "raw", body: JSON.stringify({ data, usage: { prompt_tokens: 3, total_tokens: 3 } }) };
    },
  });
  const model = new OpenAIEmbeddings({
    model: "compatible/embed",
    apiKey: "unused",
    configuration: { baseURL: gateway.baseURL },
  });
  assert.deepEqual(await model.embedDocuments(["a", "bb"]), [
    [1, 0.5],
    [2, 0.5],
  ]);
});
