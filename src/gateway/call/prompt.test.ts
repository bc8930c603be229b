import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../agent/conversation.ts";
import { callOptionsOf } from "./prompt.ts";

const options = (messages: readonly Message[], provider = "openai") =>
  callOptionsOf({ system: "Be brief.", messages, tools: [], maxOutputTokens: 1_000 }, provider);
const prompt = (messages: readonly Message[], provider?: string) => options(messages, provider).prompt.slice(1);
const call = (id: string, input: unknown = {}): Message => ({
  role: "assistant",
  parts: [{ type: "call", id, tool: "find_order", input: input as never }],
});
const outcome = (callId: string, text = "ok"): Message => ({
  role: "tool",
  callId,
  tool: "find_order",
  outcome: { ok: true, output: text },
});

test("system, tools and limits are passed on; OpenAI is told to store nothing", () => {
  const tool = { name: "find_order", description: "Finds it.", inputSchema: { type: "object" } };
  const made = callOptionsOf({ system: "Be brief.", messages: [], tools: [tool], maxOutputTokens: 3 }, "openai");
  assert.deepEqual(made, {
    prompt: [{ role: "system", content: "Be brief." }],
    maxOutputTokens: 16,
    tools: [{ type: "function", name: "find_order", description: "Finds it.", inputSchema: { type: "object" } }],
    providerOptions: { openai: { store: false } },
  });
});

test("a provider gets back its own metadata and no other's", () => {
  const said: Message = {
    role: "assistant",
    parts: [
      { type: "reasoning", text: "Hm", provider: { anthropic: { signature: "s" } } },
      { type: "text", text: "", provider: { google: { thoughtSignature: "g" } } },
      { type: "text", text: "Yes." },
    ],
  };
  assert.deepEqual(prompt([said], "anthropic"), [
    {
      role: "assistant",
      content: [
        { type: "reasoning", text: "Hm", providerOptions: { anthropic: { signature: "s" } } },
        { type: "text", text: "Yes." },
      ],
    },
  ]);
  assert.deepEqual(prompt([said], "google")[0]?.content[1], {
    type: "text",
    text: "",
    providerOptions: { google: { thoughtSignature: "g" } },
  });
});

test("an assistant message of which nothing is left is left out", () => {
  assert.deepEqual(prompt([{ role: "assistant", parts: [] }]), []);
});

test("outcomes in a row are one message; failures are errors with their code", () => {
  const failed: Message = {
    role: "tool",
    callId: "b",
    tool: "refund",
    outcome: { ok: false, code: "tool_timeout", message: "No answer within 10 s." },
  };
  const object: Message = { role: "tool", callId: "c", tool: "refund", outcome: { ok: true, output: { id: 1 } } };
  const sent = prompt([call("a"), call("b"), call("c"), outcome("a"), failed, object]).at(-1);
  assert.deepEqual(sent, {
    role: "tool",
    content: [
      { type: "tool-result", toolCallId: "a", toolName: "find_order", output: { type: "text", value: "ok" } },
      {
        type: "tool-result",
        toolCallId: "b",
        toolName: "refund",
        output: { type: "error-text", value: "tool_timeout: No answer within 10 s." },
      },
      { type: "tool-result", toolCallId: "c", toolName: "refund", output: { type: "json", value: { id: 1 } } },
    ],
  });
});

test("a large result says that it is only the beginning, and of how much", () => {
  const large: Message = {
    role: "tool",
    callId: "a",
    tool: "find_order",
    outcome: { ok: true, output: "[1,2,", large: { hash: "0".repeat(64), bytes: 10_485_760 } },
  };
  assert.deepEqual(JSON.parse(JSON.stringify(prompt([call("a"), large]).at(-1))).content[0].output, {
    type: "text",
    value: "[1,2,\n[Cut: this is only the beginning of a result of 10485760 bytes.]",
  });
});

test("a call whose arguments are no object can still be sent", () => {
  for (const input of ['{"a":', null, 7, ["x"]]) {
    const [message] = prompt([call("a", input)]);
    assert.partialDeepStrictEqual(message?.content[0], { input: { unparsed_input: input } });
  }
});

test("ids that a model reuses across turns, or that another provider would refuse, are made fit, and results follow them", () => {
  const wild = `functions.find:${"9".repeat(80)}`;
  const sent = prompt([call("a"), outcome("a"), call("a"), outcome("a"), call(wild), outcome(wild)]);
  const ids = sent.map((message) => (message.content[0] as { toolCallId: string }).toolCallId);
  assert.deepEqual(ids.slice(0, 4), ["a", "a", "a_2", "a_2"]);
  assert.match(ids[4] ?? "", /^functions_find_9{49}$/);
  assert.equal(ids[5], ids[4]);
});
