/** An agent as a model: what programs that know only OpenAI's format make of a durable task. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { ChatOpenAI } from "@langchain/openai";
import { generateText } from "ai";
import type OpenAI from "openai";
import { z } from "zod";
import { defineAgent, defineTool } from "../../src/index.ts";
import { startGateway } from "../support/gateway-service.ts";

const findOrder = defineTool({
  name: "find_order",
  version: "1.0.0",
  description: "Finds an order.",
  effect: "read",
  input: z.object({ orderId: z.string() }),
  run: ({ orderId }) => ({ orderId, status: "shipped" }),
});
const refund = defineTool({
  name: "refund",
  version: "1.0.0",
  description: "Refunds an order.",
  effect: "once",
  input: z.object({ orderId: z.string() }),
  approval: true,
  run: () => ({ refunded: true }),
});
const config = {
  agents: [
    defineAgent({
      name: "support",
      instructions: "You work at a support desk.",
      model: "compatible/llama",
      tools: ["find_order", "refund"],
    }),
    defineAgent({ name: "terse", instructions: "Be brief.", model: "compatible/llama", limits: { maxSteps: 1 } }),
  ],
  tools: [findOrder, refund],
};
const model = "agent/support";
const question = [{ role: "user" as const, content: "Where is A-1?" }];
const usage = { input: 100, cached: 40, output: 20, reasoning: 5 };
const lookUp = {
  text: "One moment.",
  calls: [{ name: "find_order", input: { orderId: "A-1" } }],
  usage,
};
const script = [lookUp, { text: "It was shipped.", usage }];

test("a plain answer holds all that the agent said, what it did as reasoning, and the usage of all its turns", async () => {
  await using gateway = await startGateway({ config, script });
  const made = await gateway.openai.chat.completions.create({ model, messages: question });
  const message = made.choices[0]!.message as OpenAI.ChatCompletionMessage & { reasoning_content?: string };
  assert.equal(message.content, "One moment.\n\nIt was shipped.");
  assert.equal(message.reasoning_content, '[find_order {"orderId":"A-1"}]\n[find_order: done]\n');
  assert.equal(made.choices[0]!.finish_reason, "stop");
  assert.deepEqual(made.usage, {
    prompt_tokens: 200,
    completion_tokens: 40,
    total_tokens: 240,
    prompt_tokens_details: { cached_tokens: 80 },
    completion_tokens_details: { reasoning_tokens: 10 },
  });
});

test("a stream says the same as the plain answer, and its id is that of the task", async () => {
  await using gateway = await startGateway({ config, script });
  const stream = await gateway.openai.chat.completions.create({
    model,
    messages: question,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = "";
  let reasoning = "";
  let last: OpenAI.ChatCompletionChunk | undefined;
  for await (const chunk of stream) {
    const delta = chunk.choices[0]?.delta as { content?: string; reasoning_content?: string } | undefined;
    text += delta?.content ?? "";
    reasoning += delta?.reasoning_content ?? "";
    last = chunk;
  }
  assert.equal(text, "One moment.\n\nIt was shipped.");
  assert.match(reasoning, /\[find_order \{"orderId":"A-1"\}\]\n\[find_order: done\]\n/);
  assert.equal(last?.usage?.total_tokens, 240);
  const result = await gateway.holdfast.task(last!.id.replace("chatcmpl-", "")).result();
  assert.deepEqual([result.status, result.tokensUsed], ["completed", 240]);
});

test("what was said before is the agent's history, and instructions are context", async () => {
  await using gateway = await startGateway({ config, script: [{ text: "Yes." }] });
  await gateway.openai.chat.completions.create({
    model,
    messages: [
      { role: "system", content: "Speak like a pirate." },
      { role: "user", content: "Where is A-1?" },
      { role: "assistant", content: "It was shipped." },
      { role: "user", content: "Really?" },
    ],
    user: "ana",
    metadata: { ticket: "7" },
  });
  const told = gateway.provider.requests[0]!.messages;
  assert.deepEqual(
    told.slice(0, 3).map(({ role, text }) => [role, text]),
    [
      ["system", "You work at a support desk."],
      ["user", "Where is A-1?"],
      ["assistant", "It was shipped."],
    ],
  );
  assert.match(told[3]!.text, /^Really\?\n\nContext:\n[^]*Speak like a pirate\./);
  const [task] = await gateway.holdfast.engine.tasks({ tenant: "default", limit: 10 });
  assert.deepEqual([task?.userId, task?.metadata], ["ana", { ticket: "7" }]);
});

test("a response goes on from the one before, in the agent's session", async () => {
  await using gateway = await startGateway({ config, script: [{ text: "It was shipped." }, { text: "Yes." }] });
  const { openai } = gateway;
  const first = await openai.responses.create({ model, input: "Where is A-1?" });
  const second = await openai.responses.create({ model, input: "Really?", previous_response_id: first.id });
  assert.equal(second.output_text, "Yes.");
  const told = gateway.provider.requests[1]!.messages.map(({ text }) => text);
  assert.deepEqual(told.slice(1), ["Where is A-1?", "It was shipped.", "Really?"]);
});

test("a ceiling of the agent ends its answer as one of a model does", async () => {
  await using gateway = await startGateway({ config, script: () => ({ text: "As far as I know", finish: "length" }) });
  const made = await gateway.openai.chat.completions.create({ model: "agent/terse", messages: question });
  assert.equal(made.choices[0]!.finish_reason, "length");
});

test("an agent that fails is an error that says by what", async () => {
  const refused = {
    fault: "status",
    status: 400,
    body: { error: { message: "no", code: "content_policy_violation" } },
  };
  await using gateway = await startGateway({ config, script: () => refused as { fault: "status"; status: 400 } });
  const { openai } = gateway;
  const failure = { status: 400, code: "content_policy_violation" };
  await assert.rejects(openai.chat.completions.create({ model, messages: question }), failure);
  await assert.rejects(openai.chat.completions.create({ model, messages: question, stream: true }), failure);
});

test("a client that leaves cancels the task", async () => {
  await using gateway = await startGateway({ config, script: [{ fault: "hang" }] });
  const leave = new AbortController();
  const asked = gateway.openai.chat.completions.create({ model, messages: question }, { signal: leave.signal });
  while (gateway.provider.requests.length === 0) await new Promise(setImmediate);
  leave.abort();
  await assert.rejects(asked);
  const { engine } = gateway.holdfast;
  const find = async () => (await engine.tasks({ tenant: "default", limit: 1 }))[0];
  for (let task = await find(); task?.status !== "cancelled"; task = await find()) await new Promise(setImmediate);
});

test("what waits for a human is told, and the answer comes when the human has decided", async () => {
  await using gateway = await startGateway({
    config,
    script: [{ calls: [{ name: "refund", input: { orderId: "A-1" } }] }, { text: "It is refunded." }],
  });
  const { engine } = gateway.holdfast;
  const stream = gateway.openai.chat.completions.stream({ model, messages: question });
  const approve = async (): Promise<void> => {
    for (;;) {
      const [open] = await engine.approvals.list({ tenant: "default", status: "pending", taskId: undefined, limit: 1 });
      if (open === undefined) await new Promise(setImmediate);
      else {
        await engine.approvals.answer("default", open.id, { answer: { decision: "approve" }, by: "ana" });
        return;
      }
    }
  };
  await approve();
  assert.equal(await stream.finalContent(), "It is refunded.");
});

test("a repeat with the same idempotency key is answered by the same task", async () => {
  await using gateway = await startGateway({ config, script: [{ text: "It was shipped." }] });
  const body = { model, messages: question };
  const headers = { "idempotency-key": "once" };
  const answers = [await gateway.post("/v1/chat/completions", body, headers)];
  answers.push(await gateway.post("/v1/chat/completions", body, headers));
  const [first, second] = await Promise.all(answers.map((answer) => answer.json() as Promise<{ id: string }>));
  assert.equal(first?.id, second?.id);
});

const notForAgents: [param: string, fields: object][] = [
  ["tools", { tools: [{ type: "function", function: { name: "find" } }] }],
  ["temperature", { temperature: 0 }],
  ["max_tokens", { max_tokens: 10 }],
  ["response_format", { response_format: { type: "json_object" } }],
  ["messages", { messages: [{ role: "assistant", content: "Hello" }] }],
];
for (const [param, fields] of notForAgents) {
  test(`${param} that an agent cannot follow is refused`, async () => {
    await using gateway = await startGateway({ config, script: [] });
    const answer = await gateway.post("/v1/chat/completions", { model, messages: question, ...fields });
    const { error } = (await answer.json()) as { error: { param: string } };
    assert.deepEqual([answer.status, error.param], [400, param]);
  });
}

test("the AI SDK and LangChain show an agent's answer like any other", async () => {
  await using gateway = await startGateway({ config, script: [...script, ...script] });
  const { baseURL } = gateway;
  const provider = createOpenAICompatible({ name: "holdfast", baseURL, includeUsage: true });
  const said = await generateText({ model: provider.chatModel(model), messages: question });
  assert.equal(said.text, "One moment.\n\nIt was shipped.");
  assert.match(said.reasoningText ?? "", /find_order/);
  const langchain = new ChatOpenAI({ model, apiKey: "unused", configuration: { baseURL } });
  assert.equal((await langchain.invoke("Where is A-1?")).text, "One moment.\n\nIt was shipped.");
});
