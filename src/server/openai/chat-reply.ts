/** A chat completion, plain or in chunks. Calls of tools come whole, at the end: a stream that is cut holds no half of one. */
import { textOf, type AssistantPart, type Usage } from "../../agent/conversation.ts";
import type { JsonObject } from "../../agent/json.ts";
import type { SseEvent } from "../http/sse.ts";
import type { Reply, ReplyEvent } from "./call.ts";
import { toWireIds } from "./call-ids.ts";
import type { ErrorBody } from "./errors.ts";
import { type StreamFormat, unlessVoid } from "./stream-format.ts";

export interface ChatHead {
  readonly id: string;
  readonly model: string;
  /** Seconds since the epoch. */
  readonly created: number;
}

export function toChatCompletion(head: ChatHead, { parts, finish, usage }: Reply): JsonObject {
  const calls = toWireCalls(parts);
  const text = textOf(parts);
  const reasoning = textOf(parts, "reasoning");
  const message = {
    role: "assistant",
    content: text === "" && calls.length > 0 ? null : text,
    refusal: null,
    ...(reasoning !== "" && { reasoning_content: reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
  return {
    ...head,
    object: "chat.completion",
    choices: [{ index: 0, message, logprobs: null, finish_reason: toFinishReason(finish) }],
    usage: toChatUsage(usage),
  };
}

export interface ChunkOptions {
  readonly includeUsage: boolean;
  readonly includeRestarts: boolean;
}

export function chatStream(head: ChatHead, { includeUsage, includeRestarts }: ChunkOptions): StreamFormat {
  const toEvent = (fields: JsonObject): SseEvent => {
    const usage = includeUsage ? { usage: null } : {};
    return { data: JSON.stringify({ ...head, object: "chat.completion.chunk", ...usage, ...fields }) };
  };
  const chunk = (delta: JsonObject, finish: string | null = null): SseEvent =>
    toEvent({ choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }] });

  async function* events(reply: AsyncIterable<ReplyEvent>): AsyncGenerator<SseEvent> {
    let isFirst = true;
    for await (const event of includeRestarts ? reply : unlessVoid(reply)) {
      if (isFirst) yield chunk({ role: "assistant", content: "" });
      isFirst = false;
      switch (event.type) {
        case "text":
          yield chunk({ content: event.text });
          break;
        case "reasoning":
          yield chunk({ reasoning_content: event.text });
          break;
        case "restart":
          yield toEvent({ restart: true, choices: [{ index: 0, delta: {}, logprobs: null, finish_reason: null }] });
          break;
        case "end":
          yield* end(event.reply);
      }
    }
  }

  function* end({ parts, finish, usage }: Reply): Generator<SseEvent> {
    for (const [index, call] of toWireCalls(parts).entries()) yield chunk({ tool_calls: [{ index, ...call }] });
    yield chunk({}, toFinishReason(finish));
    if (includeUsage) yield toEvent({ choices: [], usage: toChatUsage(usage) });
    yield { data: "[DONE]" };
  }

  return { events, failure: (error: ErrorBody) => ({ data: JSON.stringify({ error }) }) };
}

function toWireCalls(parts: readonly AssistantPart[]): JsonObject[] {
  const ids = toWireIds(parts);
  const calls = parts.filter((part) => part.type === "call");
  return calls.map(({ tool, input }, index) => ({
    id: ids[index] ?? "",
    type: "function",
    function: { name: tool, arguments: toArguments(input) },
  }));
}

/** What was no JSON when the model said it is given on as it was. */
export function toArguments(input: unknown): string {
  return typeof input === "string" ? input : JSON.stringify(input);
}

function toFinishReason(finish: Reply["finish"]): string {
  return finish === "calls" ? "tool_calls" : finish;
}

function toChatUsage({ input, cached, output, reasoning, estimated }: Usage): JsonObject {
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: { cached_tokens: cached },
    completion_tokens_details: { reasoning_tokens: reasoning },
    ...(estimated && { estimated }),
  };
}
