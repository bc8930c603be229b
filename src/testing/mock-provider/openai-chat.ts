/** OpenAI's chat completions, as vLLM, llama.cpp, Ollama, LiteLLM and OpenRouter speak them too. */
import { isObject, type Json, type JsonObject } from "../../agent/json.ts";
import { type FullReply, objectsOf, pieces, plainText, sse, type WireFormat } from "./wire-format.ts";

export const openaiChat: WireFormat = {
  path: "/v1/chat/completions",
  messagesOf: (body) =>
    objectsOf(body["messages"]).map((message) => ({
      role: plainText(message["role"]),
      text:
        plainText(message["content"]) +
        objectsOf(message["tool_calls"])
          .map((call) => JSON.stringify(call))
          .join(""),
    })),
  toolsOf: (body) =>
    objectsOf(body["tools"]).map((tool) => plainText(isObject(tool["function"]) && tool["function"]["name"])),
  events(reply) {
    const events = [chunk(reply, { role: "assistant", content: "" })];
    for (const piece of pieces(reply.reasoning, reply.chunkChars))
      events.push(chunk(reply, { reasoning_content: piece }));
    for (const piece of pieces(reply.text, reply.chunkChars)) events.push(chunk(reply, { content: piece }));
    reply.calls.forEach(({ id, name, arguments: all }, index) => {
      events.push(chunk(reply, { tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] }));
      for (const piece of pieces(all, reply.chunkChars)) {
        events.push(chunk(reply, { tool_calls: [{ index, function: { arguments: piece } }] }));
      }
    });
    events.push(chunk(reply, {}, finishReason(reply)));
    if (reply.usage) events.push(sse({ ...head(reply, "chat.completion.chunk"), choices: [], usage: usage(reply) }));
    return [...events, "data: [DONE]\n\n"];
  },
  body: (reply) => ({
    ...head(reply, "chat.completion"),
    choices: [{ index: 0, message: message(reply), finish_reason: finishReason(reply), logprobs: null }],
    ...(reply.usage && { usage: usage(reply) }),
  }),
  error: (status, message) => ({ error: { message, type: errorType(status), param: null, code: null } }),
};

/** Shared with the Responses API. */
export function errorType(status: number): string {
  if (status === 401 || status === 403) return "authentication_error";
  if (status === 429) return "rate_limit_exceeded";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

function chunk(reply: FullReply, delta: JsonObject, finish: string | null = null): string {
  return sse({ ...head(reply, "chat.completion.chunk"), choices: [{ index: 0, delta, finish_reason: finish }] });
}

function head({ request }: FullReply, object: string): JsonObject {
  return { id: `chatcmpl-${request.attempt}`, object, created: 1_700_000_000, model: request.model };
}

function message(reply: FullReply): Json {
  const calls = reply.calls.map(({ id, name, arguments: all }) => ({
    id,
    type: "function",
    function: { name, arguments: all },
  }));
  return {
    role: "assistant",
    content: reply.text || null,
    ...(reply.reasoning && { reasoning_content: reply.reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

function finishReason({ finish }: FullReply): string {
  return finish === "calls" ? "tool_calls" : finish;
}

function usage({ usage: tokens }: FullReply): JsonObject {
  const { input = 0, cached = 0, output = 0, reasoning = 0 } = tokens ?? {};
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: { cached_tokens: cached },
    completion_tokens_details: { reasoning_tokens: reasoning },
  };
}
