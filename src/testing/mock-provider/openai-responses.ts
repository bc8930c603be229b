/** OpenAI's Responses API. Reasoning comes as a summary and an encrypted text, which a client that stores nothing sends back. */
import type { Json, JsonObject } from "../../agent/json.ts";
import { errorType } from "./openai-chat.ts";
import { type FullReply, objectsOf, pieces, plainText, sse, type WireFormat } from "./wire-format.ts";

export const openaiResponses: WireFormat = {
  path: "/v1/responses",
  messagesOf(body) {
    if (typeof body["input"] === "string") return [{ role: "user", text: body["input"] }];
    return objectsOf(body["input"]).map((item) => ({ role: roleOf(item), text: textOf(item) }));
  },
  toolsOf: (body) => objectsOf(body["tools"]).map((tool) => plainText(tool["name"])),
  events(reply) {
    const stream = createStream();
    const opened = response(reply, { status: "in_progress", output: [], usage: null });
    stream.add("response.created", { response: opened });
    stream.add("response.in_progress", { response: opened });
    items(reply).forEach(({ item, opening, between }, index) => {
      stream.add("response.output_item.added", { output_index: index, item: opening });
      for (const { type, data } of between)
        stream.add(type, { item_id: item["id"] ?? "", output_index: index, ...data });
      stream.add("response.output_item.done", { output_index: index, item });
    });
    const closing = reply.finish === "length" || reply.finish === "content_filter" ? "incomplete" : "completed";
    stream.add(`response.${closing}`, { response: closed(reply) });
    return stream.events;
  },
  body: closed,
  error: (status, message) => ({ error: { message, type: errorType(status), param: null, code: null } }),
};

function createStream(): { events: string[]; add(type: string, data: JsonObject): void } {
  const events: string[] = [];
  return {
    events,
    add: (type, data) => void events.push(sse({ type, sequence_number: events.length, ...data }, type)),
  };
}

/** An item of the output: as it ends, as it is announced, and the events between. */
interface Item {
  readonly item: JsonObject;
  readonly opening: JsonObject;
  readonly between: readonly { readonly type: string; readonly data: JsonObject }[];
}

function items(reply: FullReply): Item[] {
  const made: Item[] = [];
  if (reply.reasoning !== "") made.push(reasoningItem(reply));
  if (reply.text !== "") made.push(messageItem(reply));
  reply.calls.forEach((_, index) => made.push(callItem(reply, index)));
  return made;
}

function reasoningItem({ reasoning, chunkChars, request }: FullReply): Item {
  const base = { type: "reasoning", id: `rs_${request.attempt}`, encrypted_content: `encrypted_${request.attempt}` };
  const part = { type: "summary_text", text: "" };
  const deltas = pieces(reasoning, chunkChars).map((delta) => ({
    type: "response.reasoning_summary_text.delta",
    data: { summary_index: 0, delta },
  }));
  return {
    item: { ...base, summary: [{ type: "summary_text", text: reasoning }] },
    opening: { ...base, summary: [] },
    between: [
      { type: "response.reasoning_summary_part.added", data: { summary_index: 0, part } },
      ...deltas,
      { type: "response.reasoning_summary_part.done", data: { summary_index: 0, part: { ...part, text: reasoning } } },
    ],
  };
}

function messageItem({ text, chunkChars, request }: FullReply): Item {
  const base = { type: "message", id: `msg_${request.attempt}`, role: "assistant" };
  const part = { type: "output_text", text: "", annotations: [], logprobs: [] };
  const deltas = pieces(text, chunkChars).map((delta) => ({
    type: "response.output_text.delta",
    data: { content_index: 0, delta, logprobs: [] },
  }));
  return {
    item: { ...base, status: "completed", content: [{ ...part, text }] },
    opening: { ...base, status: "in_progress", content: [] },
    between: [
      { type: "response.content_part.added", data: { content_index: 0, part } },
      ...deltas,
      { type: "response.output_text.done", data: { content_index: 0, text, logprobs: [] } },
      { type: "response.content_part.done", data: { content_index: 0, part: { ...part, text } } },
    ],
  };
}

function callItem(reply: FullReply, index: number): Item {
  const { id = "", name = "", arguments: all = "" } = reply.calls[index] ?? {};
  const base = { type: "function_call", id: `fc_${reply.request.attempt}_${index + 1}`, call_id: id, name };
  const deltas = pieces(all, reply.chunkChars).map((delta) => ({
    type: "response.function_call_arguments.delta",
    data: { delta },
  }));
  return {
    item: { ...base, arguments: all, status: "completed" },
    opening: { ...base, arguments: "", status: "in_progress" },
    between: [...deltas, { type: "response.function_call_arguments.done", data: { arguments: all } }],
  };
}

function closed(reply: FullReply): JsonObject {
  const reasons: Record<string, string> = { length: "max_output_tokens", content_filter: "content_filter" };
  const reason = reasons[reply.finish];
  return response(reply, {
    status: reason === undefined ? "completed" : "incomplete",
    incomplete_details: reason === undefined ? null : { reason },
    output: items(reply).map(({ item }) => item),
    usage: usage(reply),
  });
}

function response({ request }: FullReply, state: JsonObject): JsonObject {
  const id = `resp_${request.attempt}`;
  return {
    id,
    object: "response",
    created_at: 1_700_000_000,
    model: request.model,
    error: null,
    incomplete_details: null,
    ...state,
  };
}

function usage({ usage: tokens }: FullReply): JsonObject | null {
  if (tokens === null) return null;
  return {
    input_tokens: tokens.input,
    input_tokens_details: { cached_tokens: tokens.cached },
    output_tokens: tokens.output,
    output_tokens_details: { reasoning_tokens: tokens.reasoning },
    total_tokens: tokens.input + tokens.output,
  };
}

function roleOf(item: JsonObject): string {
  if (item["type"] === "function_call_output") return "tool";
  if (item["role"] === "developer") return "system";
  return typeof item["role"] === "string" ? item["role"] : "assistant";
}

function textOf(item: JsonObject): string {
  if (item["type"] === "function_call_output") return plainText(item["output"]);
  return plainText(item["content"] ?? (item as Json));
}
