/**
 * Replies recorded from real providers, through the gateway's own endpoints: what a program that knows only OpenAI's format
 * makes of each. What of each reaches an agent is tested in test/integration/provider-replies.test.ts; here every recording is
 * asked for four times, plain and as a stream in both formats, and all four must say the same as the gateway's own call, and
 * stand in the ledger at what the recording comes to by the vendor's price list.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { APIError, type OpenAI } from "openai";
import { textOf } from "../../src/agent/conversation.ts";
import { plainRoute } from "../../src/agent/route.ts";
import { ModelCallError, type ModelReply } from "../../src/gateway/model-gateway.ts";
import { neverAborts } from "../../src/platform/abort.ts";
import type { Database } from "../../src/store/database.ts";
import { openPglite } from "../../src/store/pglite.ts";
import { migratedSnapshot } from "../support/databases.ts";
import { startGateway, type GatewayService } from "../support/gateway-service.ts";
import { someCaller } from "../support/model-caller.ts";
import { grokPrice, recordedCost, costByVendor, type RecordedCost } from "../support/recorded-costs.ts";
import { absent, modelOfFolder, recordedFiles, serving } from "../support/recorded-replies.ts";
import { borrowed } from "../support/running-holdfast.ts";
import { sql } from "../support/stored-tasks.ts";

/** Of the bodies of errors; whatever else is no stream is served as a success, which it is not. */
const statuses: Record<string, number> = {
  "google-429-retry-info.json": 429,
  "openai-error.1.json": 429,
  "reasoning-model-temperature-error.json": 400,
};

const expectedOf: Record<string, { status: number; code: string }> = {
  model_rate_limited: { status: 429, code: "rate_limit_exceeded" },
  model_bad_request: { status: 400, code: "model_bad_request" },
  model_unavailable: { status: 503, code: "model_unavailable" },
};

/** What an answer came to, in whichever format. */
interface Said {
  readonly text: string;
  readonly calls: readonly (readonly [name: string, input: string])[];
  readonly finish: string;
  readonly tokens: readonly number[];
}

const ask = { messages: [{ role: "user" as const, content: "Hi" }] };

function saidBy({ parts, finish, usage }: ModelReply): Said {
  const calls = parts.flatMap((part) =>
    part.type === "call"
      ? [[part.tool, typeof part.input === "string" ? part.input : JSON.stringify(part.input)] as const]
      : [],
  );
  const tokens = [usage.input, usage.cached, usage.output, usage.reasoning];
  return { text: textOf(parts), calls, finish: finish === "calls" ? "tool_calls" : finish, tokens };
}

async function plainChat({ openai }: GatewayService, model: string): Promise<Said> {
  return saidInChat(await openai.chat.completions.create({ model, ...ask }));
}

async function streamedChat({ openai }: GatewayService, model: string): Promise<Said> {
  const stream = openai.chat.completions.stream({ model, ...ask, stream_options: { include_usage: true } });
  return saidInChat(await stream.finalChatCompletion());
}

function saidInChat({ choices, usage }: OpenAI.ChatCompletion): Said {
  const { message, finish_reason: finish } = choices[0]!;
  const calls = (message.tool_calls ?? []).flatMap((call) =>
    call.type === "function" ? [[call.function.name, call.function.arguments] as const] : [],
  );
  const { prompt_tokens: input = 0, completion_tokens: output = 0 } = usage ?? {};
  const cached = usage?.prompt_tokens_details?.cached_tokens ?? 0;
  const reasoning = usage?.completion_tokens_details?.reasoning_tokens ?? 0;
  return { text: message.content ?? "", calls, finish, tokens: [input, cached, output, reasoning] };
}

async function plainResponse({ openai }: GatewayService, model: string): Promise<Said> {
  return saidInResponse(await openai.responses.create({ model, input: "Hi" }));
}

async function streamedResponse({ openai }: GatewayService, model: string): Promise<Said> {
  const events = await openai.responses.create({ model, input: "Hi", stream: true });
  let last: OpenAI.Responses.Response | undefined;
  for await (const event of events) {
    if (event.type === "response.completed" || event.type === "response.incomplete") last = event.response;
  }
  return saidInResponse(last!);
}

function saidInResponse({ output, usage, incomplete_details: cut }: OpenAI.Responses.Response): Said {
  const calls = output.flatMap((item) => (item.type === "function_call" ? [[item.name, item.arguments] as const] : []));
  const texts = output.flatMap((item) => (item.type === "message" ? item.content : []));
  const text = texts.map((part) => (part.type === "output_text" ? part.text : "")).join("");
  const reason = cut?.reason === "max_output_tokens" ? "length" : cut?.reason;
  const { input_tokens: input = 0, output_tokens: out = 0 } = usage ?? {};
  const cached = usage?.input_tokens_details.cached_tokens ?? 0;
  const reasoning = usage?.output_tokens_details.reasoning_tokens ?? 0;
  const finish = reason ?? (calls.length > 0 ? "tool_calls" : "stop");
  return { text, calls, finish, tokens: [input, cached, out, reasoning] };
}

const ways = { plainChat, streamedChat, plainResponse, streamedResponse };

for (const file of absent ? [] : recordedFiles()) {
  test(file, async (t) => {
    const database = await openPglite({ dataDir: "memory", snapshot: await migratedSnapshot() });
    t.after(() => database.close());
    const { own, asked } = await hear(file, database);
    checkLedger(await ledgerOf(database), { file, own, asked });
  });
}

/** @returns what the gateway's own call comes to, and how often the others asked the vendor, which stand in the ledger by then */
async function hear(file: string, database: Database): Promise<{ own: Own; asked: number }> {
  const model = modelOfFolder[path.dirname(file)]!;
  await using gateway = await startGateway({
    script: () => serving(file, statuses[path.basename(file)] ?? 200),
    database: borrowed(database),
    config: {
      models: { "compatible/grok-3-mini": { price: grokPrice } },
      // What one call learnt of a model must not spare the next.
      gateway: { breaker: { consecutiveFailures: 100, leastCalls: 100 } },
    },
  });
  const own = await ownCall(gateway, model);
  const before = gateway.provider.requests.length;
  for (const [way, call] of Object.entries(ways)) {
    if (own instanceof ModelCallError) await assertFails(call(gateway, model), { code: own.code, way });
    else {
      const said = await call(gateway, model);
      const expected = saidBy(own);
      assert.deepEqual(own.usage.estimated ? { ...said, tokens: expected.tokens } : said, expected, way);
    }
  }
  return { own, asked: gateway.provider.requests.length - before };
}

async function assertFails(reply: Promise<Said>, { code, way }: { readonly code: string; readonly way: string }) {
  const expected = expectedOf[code]!;
  await assert.rejects(reply, (thrown: unknown) => {
    assert.ok(thrown instanceof APIError, String(thrown));
    // A stream that broke after it had begun has no status of its own.
    const broke = thrown.status === undefined && thrown.code === "stream_restarted";
    if (!broke) assert.deepEqual([thrown.status, thrown.code], [expected.status, expected.code], way);
    return true;
  });
}

type Own = ModelReply | ModelCallError;

interface LedgerRow extends RecordedCost {
  readonly model: string;
  readonly code: string | null;
  readonly estimated: boolean;
}

async function ledgerOf(database: Database): Promise<LedgerRow[]> {
  return database.query<LedgerRow>(
    sql(`select model, code, estimated, input, cached, output, reasoning, cost_micros as "costMicros" from usage`),
  );
}

/** Where the recording reports no usage: a token for every four characters of what was asked, and of what was said. */
const estimates: Readonly<Record<string, readonly [input: number, output: number, costMicros: number]>> = {
  "openai-compatible/anthropic-fallback-tool-call.sse": [17, 31, Math.ceil(17 * 0.3 + 31 * 0.5)],
  // Broken off when it had begun, so it is paid for, each time.
  "anthropic/spliced-message-start.chunks.txt": [17, 14, 17 * 3 + 14 * 15],
};

function checkLedger(
  rows: readonly LedgerRow[],
  { file, own, asked }: { readonly file: string; readonly own: Own; readonly asked: number },
): void {
  const model = modelOfFolder[path.dirname(file)]!;
  const failed = own instanceof ModelCallError;
  const code = failed ? own.code : null;
  const estimate = estimates[file];
  if (estimate !== undefined) {
    const [input, output, costMicros] = estimate;
    const row = { model, code, estimated: true, input, cached: 0, output, reasoning: 0, costMicros };
    const [paid, cutOff] = [rows.filter((each) => each.code === code), rows.filter((each) => each.code !== code)];
    // A stream whose beginning is out cannot be begun again in these formats: what was asked next is cut off.
    assert.deepEqual(paid, Array(failed ? 3 + 1 + 3 + 1 : 4).fill(row));
    const nothingSaid = { ...row, code: null, output: 0, costMicros: input * 3 };
    assert.deepEqual(cutOff, Array(failed ? Math.min(2, cutOff.length) : 0).fill(nothingSaid));
    return;
  }
  assert.equal(asked, failed ? asksOfFailure[own.code] : 4);
  // Of those that fail the others never begin to answer.
  const row = { model, code, estimated: false, ...recordedCost(file)! };
  assert.deepEqual(rows, failed ? [] : Array(asked).fill(row));
  if (!failed) assert.equal(costByVendor(file) ?? row.costMicros, row.costMicros);
}

/** How often four calls ask the vendor. Where it has said to wait, nobody comes before. */
const asksOfFailure: Readonly<Record<string, number>> = {
  model_rate_limited: 0,
  model_bad_request: 4,
  model_unavailable: 4 * 3,
};

async function ownCall({ holdfast }: GatewayService, model: string): Promise<Own> {
  const call = holdfast.models.gateway.call({
    route: plainRoute([model]),
    system: "",
    messages: [{ role: "user", text: "Hi" }],
    tools: [],
    maxOutputTokens: 1_000,
    settings: { openEnded: true },
    caller: someCaller,
    signal: neverAborts(),
    onDelta: () => {},
  });
  return call.catch((error: unknown) => {
    if (error instanceof ModelCallError) return error;
    throw error;
  });
}

test("there are recordings to hear", { skip: absent }, () => {
  const folders = new Set(recordedFiles().map((file) => path.dirname(file)));
  assert.deepEqual([...folders], Object.keys(modelOfFolder));
});
