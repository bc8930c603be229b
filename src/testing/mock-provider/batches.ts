/** The batch APIs of OpenAI (files and batches) and Anthropic (message batches), in memory. */
import { isObject, type Json, type JsonObject } from "../../agent/json.ts";
import type { Clock } from "../../platform/clock.ts";
import { objectsOf, plainText } from "./wire-format.ts";

/** A batch that a provider has taken. */
export interface MockBatch {
  readonly id: string;
  readonly format: "openai-responses" | "anthropic";
  /** What its calls are called by whoever sent them. */
  readonly customIds: readonly string[];
  readonly ended: boolean;
}

export interface Batches {
  readonly all: readonly MockBatch[];
  /** Lets all of them end. */
  end(): void;
  /** Undefined: the path is none of a batch API. */
  answer(request: BatchRequest): Promise<BatchAnswer | undefined>;
}

export interface BatchRequest {
  readonly method: string;
  readonly path: string;
  readonly text: string;
  /** As in "http://127.0.0.1:40001". */
  readonly origin: string;
}

export interface BatchAnswer {
  readonly body: Json | string;
}

export interface BatchesDeps {
  readonly clock: Clock;
  /** Whether a batch has ended when it is first asked for, or when `end` is called. */
  readonly endAtOnce: boolean;
  /** What a provider answers to one call of a batch. */
  readonly reply: (call: { path: string; body: JsonObject }) => Promise<{ status: number; body: Json }>;
  /** The provider has taken the batch, and answers when this has resolved; if it throws, the batch is refused. */
  readonly onBatch: (batch: MockBatch) => unknown;
}

interface Call {
  readonly customId: string;
  readonly path: string;
  readonly body: JsonObject;
}

interface Batch extends MockBatch {
  ended: boolean;
  readonly createdAt: number;
  readonly calls: readonly Call[];
  lines: Promise<string> | undefined;
}

/** What the routes work on. */
interface Shelf {
  readonly all: Batch[];
  /** What was uploaded, by the id of the file. */
  readonly files: Map<string, readonly Call[]>;
  made: number;
}

export function createBatches(deps: BatchesDeps): Batches {
  const shelf: Shelf = { all: [], files: new Map(), made: 0 };
  const routes = [...openaiRoutes(shelf, deps), ...anthropicRoutes(shelf, deps)];
  return {
    all: shelf.all,
    end: () => shelf.all.forEach((batch) => (batch.ended = true)),
    async answer(request) {
      const asked = `${request.method} ${request.path.split("?")[0]}`;
      for (const [pattern, answer] of routes) {
        const match = pattern.exec(asked);
        if (match) return { body: await answer(request, match[1] ?? "") };
      }
      return undefined;
    },
  };
}

type Route = readonly [
  pattern: RegExp,
  answer: (request: BatchRequest, id: string) => BatchAnswer["body"] | Promise<BatchAnswer["body"]>,
];

function openaiRoutes(shelf: Shelf, deps: BatchesDeps): Route[] {
  const format = "openai-responses";
  const upload = (text: string): JsonObject => {
    const id = `file_${shelf.files.size + 1}`;
    shelf.files.set(id, linesIn(text));
    return { id, object: "file", purpose: "batch", filename: "batch.jsonl", bytes: text.length };
  };
  const start = async (text: string): Promise<JsonObject> =>
    openaiBatch(await take(shelf, deps, { format, calls: shelf.files.get(inputOf(text)) ?? [] }));
  return [
    [/^POST \/v1\/files$/, ({ text }) => upload(text)],
    [/^POST \/v1\/batches$/, ({ text }) => start(text)],
    [/^GET \/v1\/batches$/, () => listOf(shelf, format, openaiBatch)],
    [/^GET \/v1\/batches\/([^/]+)$/, (_request, id) => openaiBatch(find(shelf, id))],
    [/^GET \/v1\/files\/output_([^/]+)\/content$/, (_request, id) => linesOf(find(shelf, id), deps)],
  ];
}

function anthropicRoutes(shelf: Shelf, deps: BatchesDeps): Route[] {
  const format = "anthropic";
  const start = async ({ text, origin }: BatchRequest): Promise<JsonObject> =>
    anthropicBatch(await take(shelf, deps, { format, calls: callsIn(text) }), origin);
  return [
    [/^POST \/v1\/messages\/batches$/, start],
    [/^GET \/v1\/messages\/batches$/, ({ origin }) => listOf(shelf, format, (batch) => anthropicBatch(batch, origin))],
    [/^GET \/v1\/messages\/batches\/([^/]+)$/, ({ origin }, id) => anthropicBatch(find(shelf, id), origin)],
    [/^GET \/v1\/messages\/batches\/([^/]+)\/results$/, (_request, id) => linesOf(find(shelf, id), deps)],
  ];
}

async function take(
  shelf: Shelf,
  { clock, endAtOnce, onBatch }: BatchesDeps,
  { format, calls }: Pick<Batch, "format" | "calls">,
): Promise<Batch> {
  const id = `${format === "anthropic" ? "msgbatch" : "batch"}_${++shelf.made}`;
  const customIds = calls.map(({ customId }) => customId);
  const batch: Batch = { id, format, customIds, ended: endAtOnce, createdAt: clock.now(), calls, lines: undefined };
  shelf.all.push(batch);
  try {
    await onBatch(batch);
  } catch (error) {
    shelf.all.splice(shelf.all.indexOf(batch), 1);
    throw error;
  }
  return batch;
}

function find({ all }: Shelf, id: string): Batch {
  const batch = all.find((each) => each.id === id);
  if (batch === undefined) throw new Error(`there is no batch ${id}`);
  return batch;
}

/** The newest come first. */
function listOf({ all }: Shelf, format: Batch["format"], show: (batch: Batch) => JsonObject): JsonObject {
  const shown = all.filter((batch) => batch.format === format).toReversed();
  return { data: shown.map(show), has_more: false, last_id: null };
}

function openaiBatch({ id, ended, createdAt, calls }: Batch): JsonObject {
  return {
    id,
    object: "batch",
    status: ended ? "completed" : "in_progress",
    created_at: Math.floor(createdAt / 1_000),
    output_file_id: ended ? `output_${id}` : null,
    error_file_id: null,
    request_counts: { total: calls.length, completed: ended ? calls.length : 0, failed: 0 },
  };
}

function anthropicBatch({ id, ended, createdAt, calls }: Batch, origin: string): JsonObject {
  const [processing, succeeded] = ended ? [0, calls.length] : [calls.length, 0];
  return {
    id,
    type: "message_batch",
    processing_status: ended ? "ended" : "in_progress",
    request_counts: { processing, succeeded, errored: 0, canceled: 0, expired: 0 },
    created_at: new Date(createdAt).toISOString(),
    expires_at: new Date(createdAt + 86_400_000).toISOString(),
    archived_at: null,
    cancel_initiated_at: null,
    ended_at: ended ? new Date(createdAt).toISOString() : null,
    results_url: ended ? `${origin}/v1/messages/batches/${id}/results` : null,
  };
}

/** The results, one line each; every call is answered once, however often they are fetched. */
function linesOf(batch: Batch, { reply }: BatchesDeps): Promise<string> {
  batch.lines ??= resultsOf(batch, reply);
  return batch.lines;
}

async function resultsOf({ calls, format }: Batch, reply: BatchesDeps["reply"]): Promise<string> {
  const lines: Json[] = [];
  for (const { customId, path, body } of calls) {
    const answer = await reply({ path, body });
    lines.push(format === "anthropic" ? anthropicLine(customId, answer) : openaiLine(customId, answer));
  }
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

function openaiLine(customId: string, { status, body }: { status: number; body: Json }): Json {
  return { id: `line_${customId}`, custom_id: customId, response: { status_code: status, body }, error: null };
}

function anthropicLine(customId: string, { status, body }: { status: number; body: Json }): Json {
  const result: Json = status === 200 ? { type: "succeeded", message: body } : { type: "errored", error: body };
  return { custom_id: customId, result };
}

/** Of the parts of a multipart upload only the file has lines that are JSON. */
function linesIn(multipart: string): Call[] {
  return multipart.split("\n").flatMap((line) => {
    if (!line.startsWith("{")) return [];
    const { custom_id: customId, url, body } = JSON.parse(line) as JsonObject;
    return [{ customId: plainText(customId), path: plainText(url), body: isObject(body) ? body : {} }];
  });
}

function inputOf(text: string): string {
  return plainText((JSON.parse(text) as JsonObject)["input_file_id"]);
}

function callsIn(text: string): Call[] {
  return objectsOf((JSON.parse(text) as JsonObject)["requests"]).map(({ custom_id: customId, params }) => ({
    customId: plainText(customId),
    path: "/v1/messages",
    body: isObject(params) ? params : {},
  }));
}
