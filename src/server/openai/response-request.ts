/** A request for a response, as the gateway understands it. */
import type { AssistantPart, Message, ToolSpec } from "../../agent/conversation.ts";
import { isObject } from "../../agent/json.ts";
import type { JsonFormat, ModelSettings } from "../../gateway/model-gateway.ts";
import type { Call } from "./call.ts";
import { fromWireId } from "./call-ids.ts";
import { inputOf } from "./chat-request.ts";
import { jsonFormatOf } from "./json-format.ts";
import { refusedInResponses, refuseFields, textOf, unsupported, wrong } from "./refusals.ts";
import type { ResponseBody } from "./request-schemas.ts";
import { taskIdOf } from "./response-ids.ts";
import { toolChoiceOf } from "./tool-choice.ts";
import { requireFunction, toolSpecOf } from "./tool-spec.ts";

/** @throws InvalidInputError with the path of what is wrong, or not supported */
export function toCall(body: ResponseBody): Call {
  refuseFields(body, refusedInResponses);
  const { instructions, messages } = conversationOf(body.input);
  const tools = (body.tools ?? []).map(toolOf);
  const system = body.instructions === undefined ? instructions : [body.instructions, ...instructions];
  return {
    model: body.model,
    system: system.join("\n\n"),
    messages,
    tools,
    settings: settingsOf(body, tools),
    maxOutputTokens: body.max_output_tokens ?? null,
    userId: body.user ?? null,
    metadata: body.metadata ?? {},
    onlyForModels: onlyForModels.filter((field) => body[field] !== undefined),
    previousTaskId: body.previous_response_id === undefined ? null : taskIdOf(body.previous_response_id),
  };
}

const onlyForModels = [
  "tools",
  "tool_choice",
  "max_output_tokens",
  "temperature",
  "top_p",
  "text",
  "reasoning",
] as const satisfies readonly (keyof ResponseBody)[];

function settingsOf(body: ResponseBody, tools: readonly ToolSpec[]): ModelSettings {
  const { temperature, top_p: topP, reasoning = {} } = body;
  const format = formatOf(body);
  const toolChoice = toolChoiceOf(body.tool_choice, tools);
  return {
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { topP }),
    ...(reasoning.effort !== undefined && { reasoningEffort: reasoning.effort }),
    ...(format !== undefined && { responseFormat: format }),
    ...(toolChoice !== undefined && { toolChoice }),
    ...(body.parallel_tool_calls === false && { parallelCalls: false }),
  };
}

function formatOf({ text }: ResponseBody): JsonFormat | undefined {
  const format = text?.format;
  if (format === undefined || format.type === "text") return undefined;
  if (format.type === "json_object") return { type: "json" };
  return jsonFormatOf(format, "/text/format");
}

function toolOf(tool: NonNullable<ResponseBody["tools"]>[number], index: number): ToolSpec {
  const path = `/tools/${index}`;
  requireFunction(tool, path);
  const { name } = tool;
  if (name === undefined) throw wrong(`${path}/name`, "A tool needs its name.");
  return toolSpecOf({ ...tool, name });
}

type Item = Exclude<ResponseBody["input"], string>[number];

interface Conversation {
  readonly instructions: string[];
  readonly messages: Message[];
}

/** What an assistant said in one turn is several items: they are one message. */
interface Reading extends Conversation {
  /** The parts of the assistant's turn that is being read; it is among the messages. */
  turn: AssistantPart[] | null;
  /** The tool of each call so far. */
  readonly tools: Map<string, string>;
}

function conversationOf(input: ResponseBody["input"]): Conversation {
  if (typeof input === "string") return { instructions: [], messages: [{ role: "user", text: input }] };
  const reading: Reading = { instructions: [], messages: [], turn: null, tools: new Map() };
  for (const [index, item] of input.entries()) readItem(reading, item, `/input/${index}`);
  // A turn that says nothing but what it thought in words that no provider takes back.
  const messages = reading.messages.filter((message) => message.role !== "assistant" || message.parts.length > 0);
  return { instructions: reading.instructions, messages };
}

function readItem(reading: Reading, item: Item, path: string): void {
  switch (item.type ?? "message") {
    case "message":
      return readMessage(reading, item, path);
    case "reasoning":
      return void turnOf(reading).push(...reasoningOf(item));
    case "function_call":
      return readCall(reading, item, path);
    case "function_call_output":
      return readOutput(reading, item, path);
    default:
      throw unsupported(`${path}/type`, `An item of the type ${JSON.stringify(item.type)} is not supported.`);
  }
}

function readMessage(reading: Reading, { role, content }: Item, path: string): void {
  if (content === undefined) throw wrong(`${path}/content`, "A message needs its content.");
  const text = textOf(content, `${path}/content`);
  if (role === "assistant") {
    if (text !== "") turnOf(reading).push({ type: "text", text });
    return;
  }
  if (role === "system" || role === "developer") return void reading.instructions.push(text);
  if (role !== "user") throw wrong(`${path}/role`, "The role must be one of: system, developer, user, assistant.");
  reading.turn = null;
  reading.messages.push({ role: "user", text });
}

function readCall(reading: Reading, item: Item, path: string): void {
  const { call_id: wireId, name, arguments: input } = item;
  if (typeof wireId !== "string" || wireId === "") throw wrong(`${path}/call_id`, "A call needs its call_id.");
  if (typeof name !== "string" || name === "") throw wrong(`${path}/name`, "A call needs the name of its function.");
  if (typeof input !== "string") throw wrong(`${path}/arguments`, "The arguments must be JSON in a string.");
  const { id, provider, reasoning } = fromWireId(wireId);
  reading.tools.set(id, name);
  const turn = turnOf(reading);
  if (reasoning.length > 0) {
    // Under its signature, in place of the words alone.
    const rest = turn.filter(({ type }) => type !== "reasoning");
    turn.splice(0, turn.length, ...reasoning, ...rest);
  }
  turn.push({ type: "call", id, tool: name, input: inputOf(input), ...(provider !== undefined && { provider }) });
}

function readOutput(reading: Reading, item: Item, path: string): void {
  const { id } = fromWireId(String(item["call_id"]));
  const tool = reading.tools.get(id);
  if (tool === undefined) {
    throw wrong(`${path}/call_id`, "It is not the call_id of a function call before this item.");
  }
  const output = textOf(item["output"], `${path}/output`);
  reading.turn = null;
  reading.messages.push({ role: "tool", callId: id, tool, outcome: { ok: true, output } });
}

function turnOf(reading: Reading): AssistantPart[] {
  if (reading.turn !== null) return reading.turn;
  const parts: AssistantPart[] = [];
  reading.turn = parts;
  reading.messages.push({ role: "assistant", parts });
  return parts;
}

function reasoningOf({ summary }: Item): AssistantPart[] {
  const texts = (Array.isArray(summary) ? summary : []).flatMap((part) =>
    isObject(part) && typeof part["text"] === "string" ? [part["text"]] : [],
  );
  return texts.length === 0 ? [] : [{ type: "reasoning", text: texts.join("\n\n") }];
}
