/** Plays conversations with the rules model, and tools of several kinds to play them with. */
import assert from "node:assert/strict";
import type {
  JSONValue,
  LanguageModelV4CallOptions,
  LanguageModelV4FunctionTool,
  LanguageModelV4Message,
} from "@ai-sdk/provider";
import { messageOf } from "../../src/platform/errors.ts";
import { createRulesModel } from "../../src/gateway/providers/rules/rules-model.ts";

/** A tool with these arguments; a name that ends in "?" is optional. */
export function tool(
  name: string,
  description: string,
  properties: Record<string, object>,
): LanguageModelV4FunctionTool {
  const schemas = Object.fromEntries(Object.entries(properties).map(([key, schema]) => [key.replace("?", ""), schema]));
  const required = Object.keys(properties).filter((key) => !key.endsWith("?"));
  return { type: "function", name, description, inputSchema: { type: "object", properties: schemas, required } };
}

const orderId = { type: "string", pattern: "^A-\\d{4}$" };
const email = { type: "string", format: "email" };
const date = { type: "string", format: "date" };
const currency = { type: "string", pattern: "^[A-Z]{3}$" };
const string = { type: "string" };
const number = { type: "number" };
const integer = { type: "integer" };

export const sampleTools = {
  findOrder: tool("find_order", "Look up one order by its id.", { orderId }),
  listOrders: tool("list_orders", "List the orders of a customer.", {
    email,
    "status?": { enum: ["open", "shipped", "delivered"] },
  }),
  refund: tool("refund", "Refund an order to its card.", {
    orderId,
    amountUsd: { type: "number", exclusiveMinimum: 0 },
    "reason?": string,
  }),
  sendEmail: tool("send_email", "Send an email to a customer.", { to: email, subject: string, body: string }),
  findPolicy: tool("find_policy", "Search the policies: returns, refunds, shipping, warranty.", { query: string }),
  weather: tool("get_weather", "Current weather of a city.", {
    city: string,
    "units?": { enum: ["celsius", "fahrenheit"] },
  }),
  translate: tool("translate", "Translate a text into another language.", { text: string, language: string }),
  convert: tool("convert_currency", "Convert an amount of money.", { amount: number, from: currency, to: currency }),
  createTicket: tool("create_ticket", "Open a support ticket.", {
    title: string,
    description: string,
    "priority?": { enum: ["low", "normal", "high"] },
  }),
  closeTicket: tool("close_ticket", "Close a ticket.", {
    ticketId: { type: "string", description: "Like TK-88." },
    "comment?": string,
  }),
  bookRoom: tool("book_room", "Book a room in a hotel.", {
    city: string,
    checkIn: date,
    checkOut: date,
    guests: integer,
    "breakfast?": { type: "boolean" },
  }),
  getInvoice: tool("getInvoice", "Gets an invoice.", { invoiceNumber: integer }),
  transfer: tool("transfer_money", "Transfer money to an account.", {
    amountCents: { type: "integer", minimum: 1 },
    account: { type: "string", pattern: "^[A-Z]{2}\\d{8}$" },
  }),
  deleteFile: tool("delete_file", "Delete a file.", {
    path: { type: "string", description: "The path, in quotation marks." },
  }),
  listFiles: tool("list_files", "List the files of a folder.", { "limit?": integer }),
  compare: tool("compare_orders", "Compare several orders.", {
    orderIds: { type: "array", items: orderId, minItems: 2 },
  }),
  cancelOrder: tool("cancel_order", "Cancel an order.", { orderId }),
  fetchPage: tool("fetch_page", "Fetch a web page.", { url: { type: "string", format: "uri" } }),
};

const { findOrder, listOrders, refund, sendEmail, findPolicy } = sampleTools;
export const shopTools = [findOrder, listOrders, refund, sendEmail, findPolicy];
export const everyTool = Object.values(sampleTools);

export function user(text: string): LanguageModelV4Message {
  return { role: "user", content: [{ type: "text", text }] };
}

export async function next(options: Partial<LanguageModelV4CallOptions> & { prompt: LanguageModelV4Message[] }) {
  const { content, finishReason } = await createRulesModel().doGenerate(options);
  const calls = content.flatMap((part) =>
    part.type === "tool-call"
      ? [{ id: part.toolCallId, tool: part.toolName, input: JSON.parse(part.input) as unknown }]
      : [],
  );
  const text = content.map((part) => (part.type === "text" ? part.text : "")).join("");
  return { calls, text, finish: finishReason.unified };
}

export type Answers = Record<string, (input: never) => unknown>;

export const order = {
  id: "A-1042",
  status: "delivered",
  customer: { name: "Ann Lee", email: "ann@example.com" },
  items: [
    { name: "Blue mug", priceUsd: 12 },
    { name: "Floor lamp", priceUsd: 70 },
  ],
  totalUsd: 82,
};
export const shopAnswers: Answers = {
  find_order: ({ orderId }: { orderId: string }) => ({ ...order, id: orderId }),
  list_orders: () => ({
    orders: [
      { id: "A-1001", orderedOn: "2026-01-05" },
      { id: "A-1009", orderedOn: "2026-04-01" },
    ],
  }),
  refund: () => ({ refundId: "R-1" }),
  send_email: () => ({ emailId: "E-1" }),
  find_policy: () => ({ policies: [] }),
};

/** Plays a conversation: every tool answers by the given functions; what they throw is an error. */
export async function converse(
  requests: readonly string[],
  tools: { offered?: LanguageModelV4FunctionTool[]; answers: Answers },
) {
  const prompt: LanguageModelV4Message[] = [];
  const made: (readonly [tool: string, input: unknown])[][] = [];
  let last = "";
  for (const request of requests) {
    prompt.push(user(request));
    const turn = await playTurn(prompt, tools);
    made.push(turn.calls);
    last = turn.text;
  }
  return { made, last };
}

/** Adds what is said and called to the prompt until there is an answer. */
async function playTurn(
  prompt: LanguageModelV4Message[],
  { offered = shopTools, answers }: Parameters<typeof converse>[1],
) {
  const calls: (readonly [tool: string, input: unknown])[] = [];
  for (let step = 0; step < 10; step += 1) {
    const reply = await next({ prompt, tools: offered });
    prompt.push(assistantMessage(reply));
    if (reply.calls.length === 0) return { calls, text: reply.text };
    for (const { id, tool: toolName, input } of reply.calls) {
      calls.push([toolName, input]);
      const output = await outputOf(answers[toolName], input);
      prompt.push({ role: "tool", content: [{ type: "tool-result", toolCallId: id, toolName, output }] });
    }
  }
  return assert.fail(`No end after ${JSON.stringify(calls)}.`);
}

function assistantMessage({ text, calls }: Awaited<ReturnType<typeof next>>): LanguageModelV4Message {
  const said = text === "" ? [] : [{ type: "text" as const, text }];
  const called = calls.map(({ id, tool: toolName, input }) => ({
    type: "tool-call" as const,
    toolCallId: id,
    toolName,
    input,
  }));
  return { role: "assistant", content: [...said, ...called] };
}

async function outputOf(answer: Answers[string] | undefined, input: unknown) {
  try {
    return { type: "json" as const, value: ((await answer?.(input as never)) ?? null) as JSONValue };
  } catch (error) {
    return { type: "error-text" as const, value: `tool_failed: ${messageOf(error)}` };
  }
}
