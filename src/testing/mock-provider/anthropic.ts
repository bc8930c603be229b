/** Anthropic's messages. Reasoning comes as a thinking block with a signature, which a client must send back unchanged. */
import { type Json, type JsonObject } from "../../agent/json.ts";
import { type FullReply, objectsOf, pieces, plainText, sse, type WireFormat } from "./wire-format.ts";

export const anthropic: WireFormat = {
  path: "/v1/messages",
  messagesOf(body) {
    const system = body["system"] === undefined ? [] : [{ role: "system", text: plainText(body["system"]) }];
    const said = objectsOf(body["messages"]).map((message) => ({
      role: holdsResults(message) ? "tool" : plainText(message["role"]),
      text: plainText(message["content"]),
    }));
    return [...system, ...said];
  },
  toolsOf: (body) => objectsOf(body["tools"]).map((tool) => plainText(tool["name"])),
  events(reply) {
    const open = { ...message(reply, []), stop_reason: null, usage: usage({ ...reply, usage: opening(reply) }) };
    const events = [event("message_start", { message: open })];
    blocks(reply).forEach((block, index) => events.push(...blockEvents(block, index)));
    const delta = { stop_reason: stopReason(reply), stop_sequence: null };
    return [...events, event("message_delta", { delta, usage: usage(reply) }), event("message_stop", {})];
  },
  body: (reply) =>
    message(
      reply,
      blocks(reply).map(({ whole }) => whole),
    ),
  error: (status, text) => ({ type: "error", error: { type: errorType(status), message: text } }),
};

interface Block {
  readonly whole: JsonObject;
  readonly start: JsonObject;
  readonly deltas: JsonObject[];
}

function blocks(reply: FullReply): Block[] {
  const { chunkChars } = reply;
  const made: Block[] = [];
  if (reply.reasoning !== "") {
    const signature = `signature_${reply.request.attempt}`;
    const thoughts = pieces(reply.reasoning, chunkChars).map((thinking) => ({ type: "thinking_delta", thinking }));
    made.push({
      whole: { type: "thinking", thinking: reply.reasoning, signature },
      start: { type: "thinking", thinking: "", signature: "" },
      deltas: [...thoughts, { type: "signature_delta", signature }],
    });
  }
  if (reply.text !== "") {
    made.push({
      whole: { type: "text", text: reply.text },
      start: { type: "text", text: "" },
      deltas: pieces(reply.text, chunkChars).map((text) => ({ type: "text_delta", text })),
    });
  }
  for (const { id, name, arguments: all } of reply.calls) {
    made.push({
      whole: { type: "tool_use", id, name, input: parsed(all) },
      start: { type: "tool_use", id, name, input: {} },
      deltas: pieces(all, chunkChars).map((partial) => ({ type: "input_json_delta", partial_json: partial })),
    });
  }
  return made;
}

function blockEvents({ start, deltas }: Block, index: number): string[] {
  return [
    event("content_block_start", { index, content_block: start }),
    ...deltas.map((delta) => event("content_block_delta", { index, delta })),
    event("content_block_stop", { index }),
  ];
}

function event(type: string, data: JsonObject): string {
  return sse({ type, ...data }, type);
}

function message(reply: FullReply, content: JsonObject[]): JsonObject {
  return {
    id: `msg_${reply.request.attempt}`,
    type: "message",
    role: "assistant",
    model: reply.request.model,
    content,
    stop_reason: stopReason(reply),
    stop_sequence: null,
    usage: usage(reply),
  };
}

/** The first event knows the input and hardly any output. */
function opening({ usage: tokens }: FullReply): FullReply["usage"] {
  return tokens && { ...tokens, output: 1, reasoning: 0 };
}

/** Anthropic's input tokens leave the cached ones out. A client insists on numbers, so no report is one of zeros. */
function usage({ usage: tokens }: FullReply): JsonObject {
  const { input = 0, cached = 0, output = 0, reasoning = 0 } = tokens ?? {};
  return {
    input_tokens: input - cached,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached,
    output_tokens: output,
    output_tokens_details: { thinking_tokens: reasoning },
  };
}

function stopReason({ finish }: FullReply): string {
  return { stop: "end_turn", calls: "tool_use", length: "max_tokens", content_filter: "refusal" }[finish];
}

function errorType(status: number): string {
  const known: Record<number, string> = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
  };
  return known[status] ?? (status >= 500 ? "api_error" : "invalid_request_error");
}

function holdsResults(message: JsonObject): boolean {
  return objectsOf(message["content"]).some((part) => part["type"] === "tool_result");
}

function parsed(json: string): Json {
  try {
    return JSON.parse(json) as Json;
  } catch {
    return {};
  }
}
