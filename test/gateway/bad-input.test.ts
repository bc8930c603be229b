/** What the gateway's endpoints refuse: always a 4xx in OpenAI's shape that names the field, never a 500, and nobody is asked. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startGateway, type GatewayService } from "../support/gateway-service.ts";

let gateway: GatewayService;
before(async () => {
  gateway = await startGateway({ script: () => ({ text: "Yes" }) });
});
after(() => gateway[Symbol.asyncDispose]());

const model = "compatible/llama";
const user = { role: "user", content: "Hello" };
const chat = { model, messages: [user] };
const tool = { type: "function", function: { name: "find" } };
const image = { type: "image_url", image_url: { url: "data:," } };
const call = { id: "c", type: "function", function: { name: "find", arguments: "{}" } };

type Case = [what: string, body: unknown, param: string | null, code?: string, status?: number];

const ofChat: Case[] = [
  ["no body", {}, "model"],
  ["a list", [], null],
  ["no model", { messages: [user] }, "model"],
  ["no messages", { model }, "messages"],
  ["no message", { model, messages: [] }, "messages"],
  ["an unknown field", { ...chat, temprature: 1 }, "temprature"],
  ["a model of nobody", { ...chat, model: "nobody/x" }, "model", "model_not_found", 404],
  ["a model without a provider", { ...chat, model: "gpt-5" }, "model", "model_not_found", 404],
  ["an agent of the prototype", { ...chat, model: "agent/__proto__" }, "model", "model_not_found", 404],
  ["an unknown agent", { ...chat, model: "agent/nobody" }, "model", "model_not_found", 404],
  ["a role of nobody", { ...chat, messages: [{ role: "judge", content: "x" }] }, "messages[0].role"],
  ["a message without content", { ...chat, messages: [{ role: "user" }] }, "messages[0].content"],
  ["a number for content", { ...chat, messages: [{ role: "user", content: 7 }] }, "messages[0].content"],
  [
    "an image",
    { ...chat, messages: [{ role: "user", content: [{ type: "text", text: "x" }, image] }] },
    "messages[0].content[1].type",
    "unsupported_parameter",
  ],
  [
    "audio",
    { ...chat, messages: [{ role: "user", content: [{ type: "input_audio", input_audio: {} }] }] },
    "messages[0].content[0].type",
    "unsupported_parameter",
  ],
  [
    "text that is none",
    { ...chat, messages: [{ role: "user", content: [{ type: "text" }] }] },
    "messages[0].content[0].text",
  ],
  [
    "a result without its call",
    { ...chat, messages: [user, { role: "tool", tool_call_id: "x", content: "1" }] },
    "messages[1].tool_call_id",
  ],
  [
    "a call of something else",
    { ...chat, messages: [user, { role: "assistant", tool_calls: [{ ...call, type: "custom" }] }] },
    "messages[1].tool_calls[0].type",
    "unsupported_parameter",
  ],
  ["several answers", { ...chat, n: 2 }, "n", "unsupported_parameter"],
  ["logprobs", { ...chat, logprobs: true }, "logprobs", "unsupported_parameter"],
  ["a bias", { ...chat, logit_bias: { 1: 5 } }, "logit_bias", "unsupported_parameter"],
  ["speech", { ...chat, modalities: ["text", "audio"] }, "modalities", "unsupported_parameter"],
  ["functions", { ...chat, functions: [] }, "functions", "unsupported_parameter"],
  ["a tool of another type", { ...chat, tools: [{ type: "web_search" }] }, "tools[0].type", "unsupported_parameter"],
  ["a tool without its function", { ...chat, tools: [{ type: "function" }] }, "tools[0].function"],
  [
    "a tool with a name of spaces",
    { ...chat, tools: [{ ...tool, function: { name: "a b" } }] },
    "tools[0].function.name",
  ],
  ["a choice without tools", { ...chat, tool_choice: "required" }, "tool_choice"],
  [
    "a choice of another tool",
    { ...chat, tools: [tool], tool_choice: { type: "function", function: { name: "x" } } },
    "tool_choice",
  ],
  [
    "a choice of tools",
    { ...chat, tools: [tool], tool_choice: { type: "allowed_tools" } },
    "tool_choice.type",
    "unsupported_parameter",
  ],
  ["a temperature over its bound", { ...chat, temperature: 3 }, "temperature"],
  ["no tokens", { ...chat, max_tokens: 0 }, "max_tokens"],
  ["tokens as text", { ...chat, max_tokens: "5" }, "max_tokens"],
  ["five stops", { ...chat, stop: ["1", "2", "3", "4", "5"] }, "stop"],
  ["a format without its schema", { ...chat, response_format: { type: "json_schema" } }, "response_format.json_schema"],
  [
    "a schema that is none",
    { ...chat, response_format: { type: "json_schema", json_schema: { name: "x" } } },
    "response_format.json_schema.schema",
  ],
  ["an unknown format", { ...chat, response_format: { type: "grammar" } }, "response_format.type"],
  ["U+0000", { ...chat, messages: [{ role: "user", content: "\0" }] }, "messages[0].content"],
  ["half a surrogate pair", { ...chat, messages: [{ role: "user", content: "\ud800" }] }, "messages[0].content"],
  ["a key of the prototype", '{"model": "x", "__proto__": {}}', "__proto__"],
  ["no JSON", "{", null, "invalid_json"],
  ["too much", `"${"x".repeat(17 * 1_048_576)}"`, null, "body_too_large", 413],
];

const response = { model, input: "Hello" };
const ofResponses: Case[] = [
  ["no input", { model }, "input"],
  ["an empty list", { model, input: [] }, "input"],
  ["an item of another type", { model, input: [{ type: "computer_call" }] }, "input[0].type", "unsupported_parameter"],
  [
    "an image",
    { model, input: [{ role: "user", content: [{ type: "input_image" }] }] },
    "input[0].content[0].type",
    "unsupported_parameter",
  ],
  ["a message of nobody", { model, input: [{ content: "x" }] }, "input[0].role"],
  [
    "an output without its call",
    { model, input: [{ type: "function_call_output", call_id: "x", output: "1" }] },
    "input[0].call_id",
  ],
  [
    "a call without a name",
    { model, input: [{ type: "function_call", call_id: "x", arguments: "{}" }] },
    "input[0].name",
  ],
  ["a reference to nothing", { model, input: [{ type: "item_reference", id: "msg_x" }] }, "input[0].id"],
  [
    "a tool of the provider",
    { ...response, tools: [{ type: "web_search" }] },
    "tools[0].type",
    "unsupported_parameter",
  ],
  ["work in the background", { ...response, background: true }, "background", "unsupported_parameter"],
  ["a conversation", { ...response, conversation: "conv_1" }, "conversation", "unsupported_parameter"],
  ["truncation", { ...response, truncation: "auto" }, "truncation", "unsupported_parameter"],
  [
    "a schema without a name",
    { ...response, text: { format: { type: "json_schema", schema: {} } } },
    "text.format.name",
  ],
  ["a previous response of a model", { ...response, previous_response_id: "resp_x" }, "previous_response_id"],
];

const ofEmbeddings: Case[] = [
  ["no input", { model }, "input"],
  ["tokens", { model, input: [1, 2] }, "input[0]", "unsupported_parameter"],
  ["an empty text", { model, input: "" }, "input"],
  ["a format of nobody", { model, input: "x", encoding_format: "int8" }, "encoding_format"],
  ["a model without embeddings", { model: "anthropic/claude", input: "x" }, "model", "model_not_found", 404],
  ["a model of nobody", { model: "x", input: "x" }, "model", "model_not_found", 404],
];

const cases: Record<string, Case[]> = {
  "/v1/chat/completions": ofChat,
  "/v1/responses": ofResponses,
  "/v1/embeddings": ofEmbeddings,
};

for (const [path, bad] of Object.entries(cases)) {
  describe(path, () => {
    for (const [what, body, param, code = "invalid_request", status = 400] of bad) {
      test(`${what} is refused`, async () => {
        const answer = await gateway.post(path, body);
        const text = await answer.text();
        assert.equal(answer.status, status, text.slice(0, 500));
        const { error } = JSON.parse(text) as { error: Record<string, unknown> };
        assert.deepEqual([error["code"], error["param"]], [code, param], text.slice(0, 500));
        assert.ok(String(error["message"]).length > 10 && text.length < 2_000, text.slice(0, 500));
        assert.equal(gateway.provider.requests.length, 0, "A model was asked.");
      });
    }
  });
}

test("what is not there, and what is no JSON, is refused in the same shape", async () => {
  const answers = await Promise.all([
    fetch(`${gateway.baseURL}/completions`, { method: "POST" }),
    fetch(`${gateway.baseURL}/models`, { method: "DELETE" }),
    fetch(`${gateway.baseURL}/chat/completions`, { method: "POST", body: "model=x" }),
  ]);
  assert.deepEqual(
    answers.map(({ status }) => status),
    [404, 405, 415],
  );
  for (const answer of answers)
    assert.equal(typeof ((await answer.json()) as { error: { code: string } }).error.code, "string");
});

test("fields that are null are as good as absent", async () => {
  const messages = [
    { role: "assistant", content: null, refusal: null, audio: null, function_call: null, tool_calls: null },
    { ...user, name: null },
  ];
  const nothing = { temperature: null, stop: null, tools: null, n: null, logprobs: null, response_format: null };
  const answer = await gateway.post("/v1/chat/completions", { ...chat, ...nothing, messages });
  assert.equal(answer.status, 200, await answer.text());
});
