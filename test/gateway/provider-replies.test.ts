/**
 * Replies recorded from real providers, through the gateway's own endpoints: what a program that knows only OpenAI's format
 * makes of each. What of each reaches an agent is tested in test/integration/provider-replies.test.ts; here every recording is
 * asked for four times, plain and as a stream in both formats, and all four must say the same as the gateway's own call.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { APIError, type OpenAI } from "openai";
import { textOf } from "../../src/agent/conversation.ts";
import { plainRoute } from "../../src/agent/route.ts";
import { ModelCallError, type ModelReply } from "../../src/gateway/model-gateway.ts";
import { neverAborts } from "../../src/platform/abort.ts";
import { startGateway, type GatewayService } from "../support/gateway-service.ts";
import { someCaller } from "../support/model-caller.ts";
import { absent, modelOfFolder, recordedFiles, serving } from "../support/recorded-replies.ts";

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
  test(file, async () => {
    const model = modelOfFolder[path.dirname(file)]!;
    const status = statuses[path.basename(file)] ?? 200;
    await using gateway = await startGateway({
      script: () => serving(file, status),
      // Each call on a clean slate: what one call learnt of a model must not spare the next.
      holdfast: { parts: { random: () => 0 } },
    });
    const own = await ownCall(gateway, model);
    for (const [way, call] of Object.entries(ways)) {
      if (!(own instanceof ModelCallError)) {
        const { estimated } = own.usage;
        const said = await call(gateway, model);
        const expected = saidBy(own);
        assert.deepEqual(estimated ? { ...said, tokens: expected.tokens } : said, expected, way);
        continue;
      }
      const expected = expectedOf[own.code]!;
      await assert.rejects(call(gateway, model), (thrown: unknown) => {
        assert.ok(thrown instanceof APIError, String(thrown));
        // A stream that broke after it had begun has no status of its own.
        const broke = thrown.status === undefined && thrown.code === "stream_restarted";
        if (!broke) assert.deepEqual([thrown.status, thrown.code], [expected.status, expected.code], way);
        return true;
      });
    }
  });
}

async function ownCall({ holdfast }: GatewayService, model: string): Promise<ModelReply | ModelCallError> {
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
