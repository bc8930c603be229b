/**
 * A response, plain or as the events that build it. Both are made by one fold, so that they cannot differ: each event of the
 * answer adds to the items of the output, and says so.
 */
import type { Usage } from "../../agent/conversation.ts";
import type { JsonObject } from "../../agent/json.ts";
import type { SseEvent } from "../http/sse.ts";
import type { Reply, ReplyEvent } from "./call.ts";
import { toWireIds } from "./call-ids.ts";
import { toArguments } from "./chat-reply.ts";
import type { ErrorBody } from "./errors.ts";
import type { ResponseBody } from "./request-schemas.ts";
import { type StreamFormat, unlessVoid } from "./stream-format.ts";

export interface ResponseHead {
  readonly id: string;
  /** Seconds since the epoch. */
  readonly created: number;
  /** What was asked for, which the answer repeats. */
  readonly body: ResponseBody;
}

/** Keeps what was said under the ids of its items, for programs that refer to it afterwards. */
export type Keep = (messages: readonly SaidMessage[]) => Promise<void>;

export interface SaidMessage {
  readonly id: string;
  readonly text: string;
}

export async function toResponse(head: ResponseHead, reply: Reply, keep: Keep): Promise<JsonObject> {
  const fold = new ResponseFold(head);
  fold.begin();
  for (const part of reply.parts) {
    if (part.type !== "call" && part.text !== "") fold.say({ type: part.type, text: part.text });
  }
  const { response } = fold.end(reply);
  await keep(fold.messages);
  return response;
}

export function responseStream(head: ResponseHead, keep: Keep): StreamFormat {
  const fold = new ResponseFold(head);
  async function* events(reply: AsyncIterable<ReplyEvent>): AsyncGenerator<SseEvent> {
    let isFirst = true;
    for await (const event of unlessVoid(reply)) {
      if (isFirst) yield* fold.begin().map(toEvent);
      isFirst = false;
      if (event.type === "end") {
        const { events: last } = fold.end(event.reply);
        // Before its end is told: whoever hears of it may refer to it at once.
        await keep(fold.messages);
        yield* last.map(toEvent);
      } else if (event.type !== "restart") yield* fold.say(event).map(toEvent);
    }
  }
  return { events, failure: (error) => toEvent(fold.fail(error)) };
}

function toEvent(event: ResponseEvent): SseEvent {
  return { event: event.type, data: JSON.stringify(event) };
}

type ResponseEvent = JsonObject & { readonly type: string };

/** What is being said: a message or reasoning. Calls are no such thing, for they come whole. */
interface OpenItem {
  readonly type: "text" | "reasoning";
  readonly id: string;
  readonly index: number;
  text: string;
}

class ResponseFold {
  readonly #head: ResponseHead;
  readonly #output: JsonObject[] = [];
  #open: OpenItem | null = null;
  #sequence = 0;

  constructor(head: ResponseHead) {
    this.#head = head;
  }

  /** What was said in messages that are whole. */
  readonly messages: SaidMessage[] = [];

  begin(): ResponseEvent[] {
    const response = this.#response({ status: "in_progress" });
    return [this.#event("response.created", { response }), this.#event("response.in_progress", { response })];
  }

  say({ type, text }: { type: "text" | "reasoning"; text: string }): ResponseEvent[] {
    const events: ResponseEvent[] = [];
    if (this.#open?.type !== type) events.push(...this.#close(), ...this.#openItem(type));
    const open = this.#open!;
    open.text += text;
    const name = type === "text" ? "response.output_text.delta" : "response.reasoning_summary_text.delta";
    events.push(this.#event(name, { ...placeOf(open), delta: text, ...(type === "text" && { logprobs: [] }) }));
    return events;
  }

  end({ parts, finish, usage }: Reply): { events: ResponseEvent[]; response: JsonObject } {
    const events = this.#close();
    const ids = toWireIds(parts);
    const calls = parts.filter((part) => part.type === "call");
    for (const [index, { tool, input }] of calls.entries()) {
      events.push(...this.#call({ call_id: ids[index] ?? "", name: tool, arguments: toArguments(input) }));
    }
    const cut = finish === "length" ? "max_output_tokens" : finish === "content_filter" ? "content_filter" : null;
    const response = this.#response({
      status: cut === null ? "completed" : "incomplete",
      ...(cut !== null && { incomplete_details: { reason: cut } }),
      usage: toResponseUsage(usage),
    });
    events.push(this.#event(cut === null ? "response.completed" : "response.incomplete", { response }));
    return { events, response };
  }

  fail({ code, message, param }: ErrorBody): ResponseEvent {
    return this.#event("error", { code, message, param });
  }

  #openItem(type: OpenItem["type"]): ResponseEvent[] {
    const index = this.#output.length;
    const open: OpenItem = { type, id: this.#itemId(type === "text" ? "msg" : "rs", index), index, text: "" };
    this.#open = open;
    this.#output.push(itemOf(open, "in_progress"));
    const item =
      type === "text"
        ? { ...itemOf(open, "in_progress"), content: [] }
        : { ...itemOf(open, "in_progress"), summary: [] };
    const added = type === "text" ? "response.content_part.added" : "response.reasoning_summary_part.added";
    return [
      this.#event("response.output_item.added", { output_index: index, item }),
      this.#event(added, { ...placeOf(open), part: partOf(open) }),
    ];
  }

  #close(): ResponseEvent[] {
    const open = this.#open;
    if (open === null) return [];
    this.#open = null;
    const item = itemOf(open, "completed");
    this.#output[open.index] = item;
    if (open.type === "text") this.messages.push({ id: open.id, text: open.text });
    const text = { ...placeOf(open), text: open.text };
    const part = { ...placeOf(open), part: partOf(open) };
    const said =
      open.type === "reasoning"
        ? [
            this.#event("response.reasoning_summary_text.done", text),
            this.#event("response.reasoning_summary_part.done", part),
          ]
        : [
            this.#event("response.output_text.done", { ...text, logprobs: [] }),
            this.#event("response.content_part.done", part),
          ];
    return [...said, this.#event("response.output_item.done", { output_index: open.index, item })];
  }

  #call(call: { call_id: string; name: string; arguments: string }): ResponseEvent[] {
    const index = this.#output.length;
    const id = this.#itemId("fc", index);
    const item: JsonObject = { type: "function_call", id, ...call, status: "completed" };
    this.#output.push(item);
    const place = { item_id: id, output_index: index };
    const begun = { ...item, arguments: "", status: "in_progress" };
    return [
      this.#event("response.output_item.added", { output_index: index, item: begun }),
      this.#event("response.function_call_arguments.delta", { ...place, delta: call.arguments }),
      this.#event("response.function_call_arguments.done", { ...place, name: call.name, arguments: call.arguments }),
      this.#event("response.output_item.done", { output_index: index, item }),
    ];
  }

  #itemId(kind: string, index: number): string {
    return `${kind}_${this.#head.id}_${index}`;
  }

  #event(type: string, fields: JsonObject): ResponseEvent {
    return { type, sequence_number: this.#sequence++, ...fields };
  }

  #response(state: JsonObject): JsonObject {
    const { id, created, body } = this.#head;
    return {
      id,
      object: "response",
      created_at: created,
      background: false,
      error: null,
      incomplete_details: null,
      instructions: body.instructions ?? null,
      max_output_tokens: body.max_output_tokens ?? null,
      metadata: body.metadata ?? {},
      model: body.model,
      output: [...this.#output],
      parallel_tool_calls: body.parallel_tool_calls ?? true,
      previous_response_id: body.previous_response_id ?? null,
      reasoning: { effort: body.reasoning?.effort ?? null, summary: body.reasoning?.summary ?? null },
      store: body.store ?? true,
      temperature: body.temperature ?? null,
      text: (body.text ?? { format: { type: "text" } }) as JsonObject,
      tool_choice: (body.tool_choice ?? "auto") as JsonObject | string,
      tools: (body.tools ?? []) as JsonObject[],
      top_p: body.top_p ?? null,
      truncation: "disabled",
      usage: null,
      ...state,
    };
  }
}

function placeOf({ type, id, index }: OpenItem): JsonObject {
  return { item_id: id, output_index: index, ...(type === "text" ? { content_index: 0 } : { summary_index: 0 }) };
}

function partOf({ type, text }: OpenItem): JsonObject {
  return type === "text"
    ? { type: "output_text", text, annotations: [], logprobs: [] }
    : { type: "summary_text", text };
}

function itemOf(open: OpenItem, status: "in_progress" | "completed"): JsonObject {
  if (open.type === "reasoning") return { type: "reasoning", id: open.id, summary: [partOf(open)] };
  return { type: "message", id: open.id, status, role: "assistant", content: [partOf(open)] };
}

function toResponseUsage({ input, cached, output, reasoning, estimated }: Usage): JsonObject {
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: cached },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: reasoning },
    total_tokens: input + output,
    ...(estimated && { estimated }),
  };
}
