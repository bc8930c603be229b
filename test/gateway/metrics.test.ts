/** What is measured of calls that programs make: as much as of those of tasks, and nothing that was not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ModelGateway } from "../../src/gateway/model-gateway.ts";
import { startGateway, type GatewayService } from "../support/gateway-service.ts";
import { until } from "../support/running-holdfast.ts";

const model = "compatible/llama";
const hello = [{ role: "user" as const, content: "Hello" }];
const usage = { input: 100, cached: 40, output: 50, reasoning: 0 };

/** The value of a metric, of one model or of all; 0 where there is none. */
async function measured({ url }: GatewayService, name: string, labels = ""): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split("\n").find((each) => each.startsWith(`${name}${labels}`));
  return Number(line?.split(" ").at(-1) ?? 0);
}

const ofModel = `{gen_ai_request_model="${model}"}`;
const firstToken = "gen_ai_client_operation_time_to_first_chunk_count";
const perToken = "gen_ai_client_operation_time_per_output_chunk_count";

test("calls over /v1, plain and streamed, are in the histograms of their model, and the gateway's own time apart", async () => {
  await using gateway = await startGateway({
    script: [
      { text: "One.", usage },
      { text: "Two.", usage },
      { text: "Three.", usage },
    ],
  });
  const { openai } = gateway;
  await openai.chat.completions.create({ model, messages: hello });
  const stream = await openai.chat.completions.create({ model, messages: hello, stream: true });
  for await (const _ of stream);
  await openai.responses.create({ model, input: "Hello" });
  const counts = [
    await measured(gateway, firstToken, ofModel),
    await measured(gateway, perToken, ofModel),
    await measured(gateway, "holdfast_gateway_overhead_count"),
    await measured(gateway, "holdfast_model_tokens_cached_total", ofModel),
  ];
  assert.deepEqual(counts, [3, 3, 3, 120]);
});

test("a task of an agent is measured in the same way as the call of a program", async () => {
  await using gateway = await startGateway({ script: [{ text: "One.", usage }] });
  await gateway.openai.chat.completions.create({ model: "agent/helper", messages: hello });
  assert.deepEqual([await measured(gateway, firstToken, ofModel), await measured(gateway, perToken, ofModel)], [1, 1]);
});

test("an answer that is given again is no answer of a model, and is not measured as one", async () => {
  await using gateway = await startGateway({ script: [{ text: "One.", usage }] });
  const headers = { "x-holdfast-cache-ttl": "60" };
  for (let call = 0; call < 3; call++)
    await gateway.openai.chat.completions.create({ model, messages: hello }, { headers });
  assert.deepEqual([await measured(gateway, firstToken, ofModel), await measured(gateway, perToken, ofModel)], [1, 1]);
});

test("a call that was cut off before the first token has no time to it", async () => {
  const asked = Promise.withResolvers<void>();
  const nothing = { input: 10, cached: 0, output: 0, reasoning: 0, estimated: true };
  const cutOff = {
    finish: "interrupted" as const,
    model,
    usage: nothing,
    costMicros: 0,
    ttftMs: 0,
    tpotMs: 0,
    attempts: [],
  };
  const silent: ModelGateway = {
    async call({ interruption }) {
      asked.resolve();
      await new Promise((resolve) => interruption?.addEventListener("abort", resolve));
      return { parts: [], ...cutOff };
    },
  };
  await using gateway = await startGateway({ script: [], holdfast: { parts: { gateway: silent } } });
  const leave = new AbortController();
  const call = gateway.openai.chat.completions.create({ model, messages: hello }, { signal: leave.signal });
  await asked.promise;
  leave.abort();
  await assert.rejects(call);
  await until(async () => (await measured(gateway, "gen_ai_client_token_usage_total")) > 0);
  assert.deepEqual([await measured(gateway, firstToken), await measured(gateway, perToken)], [0, 0]);
});
