/**
 * A model provider on localhost that says what a test tells it to, over the real wire formats: OpenAI Responses, OpenAI chat
 * completions and Anthropic messages, streaming or not. Point an agent at it and test everything but the model:
 *
 * @example
 * const provider = await startMockProvider({
 *   script: [
 *     { calls: [{ name: "find_order", input: { orderId: "A-1" } }] },
 *     { fault: "status", status: 529 },
 *     { text: "It was shipped yesterday.", chunkChars: 5, delayBetweenChunksMs: 20 },
 *   ],
 * });
 * // … run the agent with OPENAI_BASE_URL=`${provider.url}/v1` and any OPENAI_API_KEY …
 * provider.requests[2].messages; // what it was told after the tool had run
 * await provider.close();
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { isObject, type Json, type JsonObject } from "../agent/json.ts";
import { type Clock, systemClock } from "../platform/clock.ts";
import { messageOf } from "../platform/errors.ts";
import { createBatches, type Batches, type MockBatch } from "./mock-provider/batches.ts";
import { anthropic } from "./mock-provider/anthropic.ts";
import { openaiChat } from "./mock-provider/openai-chat.ts";
import { openaiResponses } from "./mock-provider/openai-responses.ts";
import {
  completeReply,
  type FormatName,
  type MockReply,
  type MockRequest,
  type WireFormat,
} from "./mock-provider/wire-format.ts";

export type { MockBatch } from "./mock-provider/batches.ts";
export type { MockCall, MockMessage, MockReply, MockRequest, MockUsage } from "./mock-provider/wire-format.ts";

/** Something that goes wrong. `reply` is what would have been said. */
export type MockFault =
  /** An error reply. `retryAfter` is the header: seconds, or an HTTP date. `body` replaces the format's own error body. */
  | {
      readonly fault: "status";
      readonly status: number;
      readonly retryAfter?: number | string;
      readonly body?: unknown;
    }
  /** Never answers; or, with `after`, falls silent after that many server-sent events. */
  | { readonly fault: "hang"; readonly after?: number; readonly reply?: MockReply }
  /** The connection is cut after that many server-sent events. */
  | { readonly fault: "cut"; readonly after: number; readonly reply?: MockReply }
  /** One of the server-sent events is not JSON. */
  | { readonly fault: "malformed"; readonly reply?: MockReply }
  /** A recorded reply: `body` as it stands, or `chunks`, each the data of one server-sent event. */
  | {
      readonly fault: "raw";
      readonly status?: number;
      readonly contentType?: string;
      readonly body?: string;
      readonly chunks?: readonly string[];
    };

export type MockStep = MockReply | MockFault;

/** What to answer: steps in the order of the requests, or a function of the request. */
export type MockScript = readonly MockStep[] | ((request: MockRequest) => MockStep | Promise<MockStep>);

export interface MockProviderOptions {
  readonly script: MockScript;
  /** Default: any free port. */
  readonly port?: number;
  /** When a batch of the batch APIs ends: as soon as it is asked for, or when `endBatches` is called. Default "at_once". */
  readonly batches?: "at_once" | "when_told";
  /** Called when a batch has been taken, before whoever sent it is told. If it throws, the batch is refused with 400. */
  readonly onBatch?: (batch: MockBatch) => unknown;
  /** For `latencyMs` and `delayBetweenChunksMs`; default: real time. */
  readonly clock?: Clock;
}

/** `await using provider = await startMockProvider(…)` closes it at the end of the block. */
export interface MockProvider extends AsyncDisposable {
  /** As in "http://127.0.0.1:40001"; the base URL of all three formats is this with "/v1". */
  readonly url: string;
  /** Every request so far. */
  readonly requests: readonly MockRequest[];
  /** What was handed in through the batch APIs so far. Their calls are among `requests` when the batch has ended. */
  readonly batches: readonly MockBatch[];
  endBatches(): void;
  /** Stops at once; requests that hang are cut off. */
  close(): Promise<void>;
}

const formats: Record<FormatName, WireFormat> = {
  "openai-responses": openaiResponses,
  "openai-chat": openaiChat,
  anthropic,
};
const formatNames = Object.keys(formats) as FormatName[];

const unfinished: MockReply = { text: "This reply does not come to its end.", chunkChars: 6 };
const eventStream = { "content-type": "text/event-stream", "cache-control": "no-cache" };

/**
 * Starts a server that speaks the wire formats of real providers and answers by a script, faults included. Point a provider
 * package at its `url`; it closes every connection, hanging ones too, with `close`.
 */
export async function startMockProvider(options: MockProviderOptions): Promise<MockProvider> {
  const requests: MockRequest[] = [];
  const clock = options.clock ?? systemClock;
  const exchange = { requests, clock, script: options.script };
  const batches = createBatches({
    clock,
    endAtOnce: options.batches !== "when_told",
    onBatch: options.onBatch ?? (() => undefined),
    reply: (call) => replyInBatch(call, exchange),
  });
  const server = createServer((incoming, response) => {
    serve(incoming, { ...exchange, response, batches }).catch((thrown: unknown) => {
      if (response.headersSent) response.destroy();
      else sendJson(response, { status: 400, body: { error: { message: `mock provider: ${messageOf(thrown)}` } } });
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    batches: batches.all,
    endBatches: () => batches.end(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

interface Exchange extends Scripted {
  readonly response: ServerResponse;
  readonly batches: Batches;
}

interface Scripted {
  readonly requests: MockRequest[];
  readonly clock: Clock;
  readonly script: MockScript;
}

async function serve(incoming: IncomingMessage, exchange: Exchange): Promise<void> {
  const { response, requests, clock, script, batches } = exchange;
  const pieces: Buffer[] = [];
  for await (const piece of incoming) pieces.push(piece as Buffer);
  const text = Buffer.concat(pieces).toString();
  const { method = "GET", url: path = "/", headers } = incoming;
  const inBatch = await batches.answer({ method, path, text, origin: `http://${headers.host}` });
  if (inBatch !== undefined) return sendBatch(response, inBatch.body);
  const request = describe({ path, headers }, { text, attempt: requests.length + 1 });
  requests.push(request);
  const step = await stepOf(script, request);
  const format = request.format === "other" ? null : formats[request.format];
  if ("fault" in step && step.fault === "raw") return sendRaw(response, step);
  if ("fault" in step && step.fault === "status") return sendStatus(response, step, format);
  if (!format)
    return sendJson(response, { status: 404, body: { error: { message: `no such path: ${request.path}` } } });
  if ("fault" in step) return sendFault(response, step, { format, request });
  await sendReply(response, step, { format, request, clock });
}

/** What the script answers to a call of a batch: a reply, or an error. */
async function replyInBatch({ path, body }: { path: string; body: JsonObject }, { requests, script }: Scripted) {
  const request = describe({ path, headers: {} }, { text: JSON.stringify(body), attempt: requests.length + 1 });
  requests.push(request);
  const step = await stepOf(script, request);
  const format = request.format === "other" ? openaiChat : formats[request.format];
  if (!("fault" in step)) return { status: 200, body: format.body(completeReply(step, request)) };
  if (step.fault !== "status") throw new Error(`a call in a batch cannot ${step.fault}`);
  return {
    status: step.status,
    body: format.error(step.status, `The mock provider was told to answer ${step.status}.`),
  };
}

function sendBatch(response: ServerResponse, body: Json | string): void {
  if (typeof body !== "string") return sendJson(response, { status: 200, body });
  response.writeHead(200, { "content-type": "application/x-jsonl" }).end(body);
}

function describe(
  { path, headers }: { path: string; headers: IncomingMessage["headers"] },
  { text, attempt }: { text: string; attempt: number },
): MockRequest {
  const parsed: unknown = text === "" ? {} : JSON.parse(text);
  const body: JsonObject = isObject(parsed) ? parsed : {};
  const name = formatNames.find((candidate) => path.split("?")[0] === formats[candidate].path);
  return {
    attempt,
    format: name ?? "other",
    path,
    headers: headers as Record<string, string | undefined>,
    model: typeof body["model"] === "string" ? body["model"] : "",
    stream: body["stream"] === true,
    messages: name ? formats[name].messagesOf(body) : [],
    tools: name ? formats[name].toolsOf(body) : [],
    body,
  };
}

async function stepOf(script: MockScript, request: MockRequest): Promise<MockStep> {
  if (typeof script === "function") return script(request);
  const step = script[request.attempt - 1];
  if (!step) throw new Error(`the script holds ${script.length} steps, but this is request ${request.attempt}`);
  return step;
}

interface Answering {
  readonly format: WireFormat;
  readonly request: MockRequest;
}

async function sendReply(
  response: ServerResponse,
  reply: MockReply,
  { format, request, clock }: Answering & { clock: Clock },
): Promise<void> {
  const full = completeReply(reply, request);
  if (reply.latencyMs) await clock.sleep(reply.latencyMs);
  if (!request.stream) return sendJson(response, { status: 200, body: format.body(full) });
  response.writeHead(200, eventStream);
  const events = format.events(full);
  if (!reply.delayBetweenChunksMs) return void response.end(events.join(""));
  for (const event of events) {
    if (response.destroyed) return;
    response.write(event);
    await clock.sleep(reply.delayBetweenChunksMs);
  }
  response.end();
}

function sendFault(
  response: ServerResponse,
  fault: Extract<MockFault, { fault: "hang" | "cut" | "malformed" }>,
  { format, request }: Answering,
): void {
  const events = format.events(completeReply(fault.reply ?? unfinished, request));
  if (fault.fault === "malformed") {
    const [first = "", ...rest] = events;
    response.writeHead(200, eventStream).end([first, 'data: {"type": "broken\n\n', ...rest].join(""));
    return;
  }
  if (fault.fault === "hang" && fault.after === undefined) return;
  response.writeHead(200, eventStream);
  const said = events.slice(0, fault.after).join("");
  // The bytes must be out before the connection is torn down.
  if (fault.fault === "cut") response.write(said, () => response.destroy());
  else response.write(said);
}

function sendStatus(
  response: ServerResponse,
  { status, retryAfter, body }: Extract<MockFault, { fault: "status" }>,
  format: WireFormat | null,
): void {
  const own = (format ?? openaiChat).error(status, `The mock provider was told to answer ${status}.`);
  sendJson(response, {
    status,
    body: body ?? own,
    ...(retryAfter !== undefined && { retryAfter: String(retryAfter) }),
  });
}

function sendRaw(response: ServerResponse, raw: Extract<MockFault, { fault: "raw" }>): void {
  const type = raw.contentType ?? (raw.chunks ? "text/event-stream" : "application/json");
  const body = raw.body ?? raw.chunks?.map((chunk) => `data: ${chunk}\n\n`).join("");
  response.writeHead(raw.status ?? 200, { "content-type": type }).end(body ?? "");
}

function sendJson(
  response: ServerResponse,
  { status, body, retryAfter }: { status: number; body: unknown; retryAfter?: string },
): void {
  const headers = {
    "content-type": "application/json",
    ...(retryAfter !== undefined && { "retry-after": retryAfter }),
  };
  response.writeHead(status, headers).end(JSON.stringify(body));
}
