/** A request for a chat completion, as the gateway understands it. */
import type { AssistantPart, Message, ToolSpec } from "../../agent/conversation.ts";
import type { Json } from "../../agent/json.ts";
import type { JsonFormat, ModelSettings } from "../../gateway/model-gateway.ts";
import type { Call } from "./call.ts";
import { fromWireId } from "./call-ids.ts";
import { jsonFormatOf } from "./json-format.ts";
import { refusedInChat, refuseFields, textOf, unsupported, wrong } from "./refusals.ts";
import type { ChatBody, ChatMessage } from "./request-schemas.ts";
import { toolChoiceOf } from "./tool-choice.ts";
import { requireFunction, toolSpecOf } from "./tool-spec.ts";

/** @throws InvalidInputError with the path of what is wrong, or not supported */
export function toCall(body: ChatBody): Call {
  refuseFields(body, refusedInChat);
  const { system, messages } = conversationOf(body.messages);
  const tools = (body.tools ?? []).map(toolOf);
  return {
    model: body.model,
    system,
    messages,
    tools,
    settings: settingsOf(body, tools),
    maxOutputTokens: body.max_completion_tokens ?? body.max_tokens ?? null,
    userId: body.user ?? null,
    metadata: body.metadata ?? {},
    onlyForModels: onlyForModels.filter((field) => body[field] !== undefined),
    previousTaskId: null,
  };
}

const onlyForModels = [
  "tools",
  "tool_choice",
  "max_tokens",
  "max_completion_tokens",
  "temperature",
  "top_p",
  "presence_penalty",
  "frequency_penalty",
  "seed",
  "stop",
  "response_format",
  "reasoning_effort",
] as const satisfies readonly (keyof ChatBody)[];

function settingsOf(body: ChatBody, tools: readonly ToolSpec[]): ModelSettings {
  const { temperature, top_p: topP, seed, stop, reasoning_effort: reasoningEffort } = body;
  const { presence_penalty: presencePenalty, frequency_penalty: frequencyPenalty } = body;
  const format = formatOf(body);
  const toolChoice = toolChoiceOf(body.tool_choice, tools);
  return {
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { topP }),
    ...(seed !== undefined && { seed }),
    ...(stop !== undefined && { stop: [stop].flat() }),
    ...(presencePenalty !== undefined && { presencePenalty }),
    ...(frequencyPenalty !== undefined && { frequencyPenalty }),
    ...(reasoningEffort !== undefined && { reasoningEffort }),
    ...(format !== undefined && { responseFormat: format }),
    ...(toolChoice !== undefined && { toolChoice }),
    ...(body.parallel_tool_calls === false && { parallelCalls: false }),
  };
}

function formatOf({ response_format: format }: ChatBody): JsonFormat | undefined {
  if (format === undefined || format.type === "text") return undefined;
  if (format.type === "json_object") return { type: "json" };
  if (format.json_schema === undefined) throw wrong("/response_format/json_schema", "json_schema is required.");
  return jsonFormatOf(format.json_schema, "/response_format/json_schema");
}

function toolOf(tool: NonNullable<ChatBody["tools"]>[number], index: number): ToolSpec {
  const path = `/tools/${index}`;
  requireFunction(tool, path);
  if (tool.function === undefined) throw wrong(`${path}/function`, "A tool needs its function.");
  return toolSpecOf(tool.function);
}

/** Instructions stand before the conversation, wherever they stood in it: no provider takes them elsewhere. */
function conversationOf(said: readonly ChatMessage[]): { system: string; messages: readonly Message[] } {
  const system: string[] = [];
  const messages: Message[] = [];
  const tools = new Map<string, string>();
  for (const [index, message] of said.entries()) {
    const path = `/messages/${index}`;
    if (message.role === "system" || message.role === "developer") {
      system.push(textOf(message.content, `${path}/content`));
    } else messages.push(messageOf(message, { path, tools }));
  }
  return { system: system.join("\n\n"), messages };
}

/** @param place.tools the tool of each call so far, by the call's id */
function messageOf(message: ChatMessage, { path, tools }: { path: string; tools: Map<string, string> }): Message {
  const text = textOf(message.content, `${path}/content`);
  if (message.role === "assistant") return { role: "assistant", parts: partsOf(message, { path, tools, text }) };
  if (message.role !== "tool") {
    if (message.content === undefined) throw wrong(`${path}/content`, "A message needs its content.");
    return { role: "user", text: message.name === undefined ? text : `${message.name}: ${text}` };
  }
  const { id } = fromWireId(message.tool_call_id ?? "");
  const tool = tools.get(id);
  if (tool === undefined) {
    throw wrong(`${path}/tool_call_id`, "It is not the id of a tool call in a message before this one.");
  }
  return { role: "tool", callId: id, tool, outcome: { ok: true, output: text } };
}

function partsOf(
  message: ChatMessage,
  { path, tools, text }: { path: string; tools: Map<string, string>; text: string },
): AssistantPart[] {
  for (const field of ["audio", "function_call"]) {
    const given = message[field];
    if (given !== undefined && given !== null) throw unsupported(`${path}/${field}`, `${field} is not supported.`);
  }
  const parts: AssistantPart[] = [];
  const carried = (message.tool_calls ?? []).map(({ id }) => fromWireId(id));
  const reasoning = carried.flatMap((each) => each.reasoning);
  if (reasoning.length > 0) parts.push(...reasoning);
  else if (message.reasoning_content !== undefined) parts.push({ type: "reasoning", text: message.reasoning_content });
  if (text !== "") parts.push({ type: "text", text });
  for (const [index, call] of (message.tool_calls ?? []).entries()) {
    const { id, provider } = carried[index]!;
    if (call.type !== "function" || call.function === undefined) {
      throw unsupported(`${path}/tool_calls/${index}/type`, "Only calls of functions are supported.");
    }
    tools.set(id, call.function.name);
    const input = inputOf(call.function.arguments);
    parts.push({ type: "call", id, tool: call.function.name, input, ...(provider !== undefined && { provider }) });
  }
  return parts;
}

/** The arguments; the text itself where a model has said something that is no JSON. */
export function inputOf(text: string): Json {
  try {
    return text.trim() === "" ? {} : (JSON.parse(text) as Json);
  } catch {
    return text;
  }
}
