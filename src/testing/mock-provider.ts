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
import { isObject, type JsonObject } from "../agent/json.ts";
import { type Clock, systemClock } from "../platform/clock.ts";
import { messageOf } from "../platform/errors.ts";
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
  /** For `latencyMs` and `delayBetweenChunksMs`; default: real time. */
  readonly clock?: Clock;
}

/** `await using provider = await startMockProvider(…)` closes it at the end of the block. */
export interface MockProvider extends AsyncDisposable {
  /** As in "http://127.0.0.1:40001"; the base URL of all three formats is this with "/v1". */
  readonly url: string;
  /** Every request so far. */
  readonly requests: readonly MockRequest[];
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
  const server = createServer((incoming, response) => {
    serve(incoming, { response, requests, clock, script: options.script }).catch((thrown: unknown) => {
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
    close,
    [Symbol.asyncDispose]: close,
  };
}

interface Exchange {
  readonly response: ServerResponse;
  readonly requests: MockRequest[];
  readonly clock: Clock;
  readonly script: MockScript;
}

async function serve(incoming: IncomingMessage, { response, requests, clock, script }: Exchange): Promise<void> {
  const pieces: Buffer[] = [];
  for await (const piece of incoming) pieces.push(piece as Buffer);
  const request = describe(incoming, { text: Buffer.concat(pieces).toString(), attempt: requests.length + 1 });
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

function describe(incoming: IncomingMessage, { text, attempt }: { text: string; attempt: number }): MockRequest {
  const path = incoming.url ?? "/";
  const parsed: unknown = text === "" ? {} : JSON.parse(text);
  const body: JsonObject = isObject(parsed) ? parsed : {};
  const name = formatNames.find((candidate) => path.split("?")[0] === formats[candidate].path);
  return {
    attempt,
    format: name ?? "other",
    path,
    headers: incoming.headers as Record<string, string | undefined>,
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
