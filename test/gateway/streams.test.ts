/** How answers travel: what is sent when, what is said of an answer that breaks off, and what becomes of one nobody waits for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import type { ModelGateway, ModelReply, ModelRequest } from "../../src/gateway/model-gateway.ts";
import { createVirtualClock } from "../../src/testing/virtual-clock.ts";
import { startGateway, type GatewayOptions } from "../support/gateway-service.ts";

const hello = [{ role: "user" as const, content: "Hello" }];
const model = "compatible/llama";

/** A model that does what the test does. */
function modelOfTest(act: (request: ModelRequest) => Promise<Partial<ModelReply> | void>): ModelGateway {
  const usage = { input: 10, cached: 0, output: 5, reasoning: 0, estimated: false };
  const silent = { finish: "stop" as const, model, usage, costMicros: 0, ttftMs: 0, tpotMs: 0, attempts: [] };
  return { call: async (request) => ({ parts: [], ...silent, ...(await act(request)) }) };
}

const start = (gateway: ModelGateway, options: Partial<GatewayOptions> = {}) =>
  startGateway({ script: [], holdfast: { parts: { gateway } }, ...options });

/** Says something, waits until it was read, breaks off and begins anew. */
function brokenOnce() {
  const read = Promise.withResolvers<void>();
  const gateway = modelOfTest(async ({ onDelta }) => {
    onDelta({ type: "text", text: "This is not" });
    await read.promise;
    onDelta({ type: "restart" });
    onDelta({ type: "text", text: "Here." });
    return { parts: [{ type: "text", text: "Here." }] };
  });
  return { gateway, read };
}

test("a stream that begins anew after some of it was sent ends as an error", async () => {
  const { gateway, read } = brokenOnce();
  await using service = await start(gateway);
  const stream = await service.openai.chat.completions.create({ model, messages: hello, stream: true });
  await assert.rejects(
    async () => {
      for await (const { choices } of stream) if (choices[0]?.delta.content) read.resolve();
    },
    { code: "stream_restarted" },
  );
});

test("where restarts are wanted a chunk says that what came is void", async () => {
  const { gateway, read } = brokenOnce();
  await using service = await start(gateway);
  const streamOptions: object = { include_restarts: true };
  const stream = await service.openai.chat.completions.create({
    model,
    messages: hello,
    stream: true,
    stream_options: streamOptions,
  });
  let text = "";
  for await (const chunk of stream) {
    if ("restart" in chunk) text = "";
    text += chunk.choices[0]?.delta.content ?? "";
    if (text !== "") read.resolve();
  }
  assert.equal(text, "Here.");
});

test("a response that begins anew ends as an error, too", async () => {
  const { gateway, read } = brokenOnce();
  await using service = await start(gateway);
  const stream = await service.openai.responses.create({ model, input: "Hello", stream: true });
  await assert.rejects(
    async () => {
      for await (const event of stream) if (event.type === "response.output_text.delta") read.resolve();
    },
    { code: "stream_restarted" },
  );
});

test("a plain answer is what the last attempt said", async () => {
  const { gateway, read } = brokenOnce();
  read.resolve();
  await using service = await start(gateway);
  const { choices } = await service.openai.chat.completions.create({ model, messages: hello });
  assert.equal(choices[0]?.message.content, "Here.");
});

for (const stream of [false, true]) {
  test(`a client that leaves a ${stream ? "streamed" : "plain"} answer ends the call`, async () => {
    const called = Promise.withResolvers<ModelRequest>();
    const ended = Promise.withResolvers<void>();
    const gateway = modelOfTest(async (request) => {
      request.onDelta({ type: "text", text: "Let me think" });
      called.resolve(request);
      await new Promise((resolve) => request.interruption!.addEventListener("abort", resolve));
      ended.resolve();
      return { finish: "interrupted" };
    });
    await using service = await start(gateway);
    const leave = new AbortController();
    const asked = service.openai.chat.completions.create({ model, messages: hello, stream }, { signal: leave.signal });
    await called.promise;
    const lost = assert.rejects(async () => {
      const answer = await asked;
      if ("controller" in answer) {
        for await (const _ of answer) leave.abort();
        throw new OpenAI.APIUserAbortError();
      }
    });
    if (!stream) leave.abort();
    await ended.promise;
    await lost;
  });
}

test("while a model thinks in silence the connection shows signs of life", async () => {
  const speak = Promise.withResolvers<void>();
  const gateway = modelOfTest(async ({ onDelta }) => {
    await speak.promise;
    onDelta({ type: "text", text: "Here." });
    return { parts: [{ type: "text", text: "Here." }] };
  });
  const clock = createVirtualClock();
  await using service = await start(gateway, { http: { clock, heartbeatMs: 1_000 } });
  const asked = service.post("/v1/chat/completions", { model, messages: hello, stream: true });
  let answered = false;
  const response = asked.finally(() => (answered = true));
  // Nothing is said of it before: it may yet fail with a status of its own.
  while (!answered) {
    await clock.advance(500);
    await new Promise(setImmediate);
  }
  const reader = (await response).body!.getReader();
  let text = "";
  const decoder = new TextDecoder();
  while (!text.includes(": heartbeat")) {
    const next = reader.read();
    await clock.advance(1_000);
    text += decoder.decode((await next).value);
  }
  speak.resolve();
  for (let next = await reader.read(); !next.done; next = await reader.read()) text += decoder.decode(next.value);
  assert.match(text, /"content":"Here\."[^]*data: \[DONE\]\n\n$/);
});

test("an answer that was at hand, without deltas, is streamed all the same", async () => {
  const gateway = modelOfTest(async () => ({
    parts: [
      { type: "reasoning", text: "Known." },
      { type: "text", text: "Here." },
    ],
    hit: "cache",
  }));
  await using service = await start(gateway);
  const stream = service.openai.chat.completions.stream({ model, messages: hello });
  assert.equal(await stream.finalContent(), "Here.");
});
