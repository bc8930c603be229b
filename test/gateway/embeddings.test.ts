/** Embeddings over HTTP, through the provider packages that have them, against the mock provider. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createPrices } from "../../src/gateway/cost.ts";
import type { EmbeddingRequest } from "../../src/gateway/embeddings/embedding-gateway.ts";
import { createEmbeddingGateway } from "../../src/gateway/embeddings/embeddings.ts";
import { createEmbeddingModels } from "../../src/gateway/providers/embedding-models.ts";
import { createResilience } from "../../src/gateway/resilience/resilience.ts";
import type { ModelCallError } from "../../src/gateway/model-gateway.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { startMockProvider, type MockProvider, type MockRequest } from "../../src/testing/mock-provider.ts";
import { startGateway } from "../support/gateway-service.ts";

/** How a provider is asked for embeddings, and how it answers. The vector of a text is its length. */
interface Format {
  readonly model: string;
  readonly path: (texts: number) => string;
  readonly key: (request: MockRequest) => string | undefined;
  readonly sizes: (request: MockRequest) => number | undefined;
  readonly most: number;
  /** Null: it does not say what it used. */
  readonly tokens: number | null;
}

const openaiLike = {
  path: () => "/v1/embeddings",
  key: ({ headers }: MockRequest) => headers["authorization"]?.replace("Bearer ", ""),
  sizes: ({ body }: MockRequest) => body["dimensions"] as number | undefined,
  most: 2_048,
  tokens: 7,
};
const formats: Readonly<Record<string, Format>> = {
  openai: { ...openaiLike, model: "text-embedding-3-small" },
  compatible: { ...openaiLike, model: "BAAI/bge-m3" },
  google: {
    model: "gemini-embedding-001",
    path: (texts) => `/v1/models/gemini-embedding-001:${texts === 1 ? "embedContent" : "batchEmbedContents"}`,
    key: ({ headers }) => headers["x-goog-api-key"],
    sizes: ({ body }) => googleRequests(body)[0]?.outputDimensionality,
    most: 100,
    tokens: null,
  },
};

function googleRequests(body: MockRequest["body"]) {
  type Request = { outputDimensionality?: number; content: { parts: { text: string }[] } };
  return (body["requests"] ?? [body]) as unknown as Request[];
}

function textsIn({ path, body }: MockRequest): string[] {
  if (path === "/v1/embeddings") return body["input"] as string[];
  return googleRequests(body).map(({ content }) => content.parts[0]!.text);
}

/** What a real provider would answer. */
function answer(request: MockRequest) {
  const vectors = textsIn(request).map((text) => [text.length]);
  const bodies = {
    "/v1/embeddings": {
      object: "list",
      data: vectors.map((embedding, index) => ({ object: "embedding", index, embedding })),
      usage: { prompt_tokens: 7, total_tokens: 7 },
    },
    embedContent: { embedding: { values: vectors[0] } },
    batchEmbedContents: { embeddings: vectors.map((values) => ({ values })) },
  };
  const kind = request.path.split(":")[1] ?? request.path;
  return { fault: "raw" as const, body: JSON.stringify(bodies[kind as keyof typeof bodies]) };
}

function embedderAt({ url }: MockProvider) {
  const at = { apiKey: "one, two", baseURL: `${url}/v1` };
  let turns = 0;
  const resilience = createResilience({
    clock: systemClock,
    random: () => 0,
    gate: { enter: () => Promise.resolve({ key: turns++ % 2, leave: () => {} }), status: () => [] },
  });
  const providers = createEmbeddingModels({ openai: at, google: at, compatible: at });
  const gateway = createEmbeddingGateway({ providers, resilience, prices: createPrices(), metrics: createMetrics() });
  return (model: string, texts: readonly string[], more: Partial<EmbeddingRequest> = {}) =>
    gateway.embed({ model, texts, tenant: "ada", signal: new AbortController().signal, ...more });
}

for (const [provider, format] of Object.entries(formats)) {
  const model = `${provider}/${format.model}`;
  describe(`Embeddings of ${provider}`, () => {
    test("speak its wire format, with each of its keys, and tell what they used", async () => {
      await using mock = await startMockProvider({ script: answer });
      const embed = embedderAt(mock);
      const one = await embed(model, ["12345678"]);
      const more = await embed(model, ["12345678", "1234"], { dimensions: 256 });
      assert.deepEqual([one.vectors, more.vectors], [[[8]], [[8], [4]]]);
      assert.deepEqual(
        mock.requests.map(({ path }) => path),
        [format.path(1), format.path(2)],
      );
      assert.deepEqual(mock.requests.map(format.key), ["one", "two"]);
      assert.deepEqual(mock.requests.map(format.sizes), [undefined, 256]);
      const { tokens } = format;
      assert.deepEqual([more.usage.input, more.usage.estimated], tokens === null ? [3, true] : [tokens, false]);
    });

    test("are split where it takes no more, and come back in their order", async () => {
      await using mock = await startMockProvider({ script: answer });
      const texts = Array.from({ length: format.most + 2 }, (_, index) => "x".repeat((index % 9) + 1));
      const { vectors, usage } = await embedderAt(mock)(model, texts);
      assert.deepEqual(
        vectors.map(([length]) => length),
        texts.map(({ length }) => length),
      );
      assert.deepEqual(
        mock.requests.map((request) => textsIn(request).length),
        [format.most, 2],
      );
      if (format.tokens !== null) assert.equal(usage.input, 2 * format.tokens);
    });

    test("are asked for again after an outage and a refusal that say when", async () => {
      await using mock = await startMockProvider({
        script: (request) => {
          if (request.attempt === 1) return { fault: "status", status: 503 };
          return request.attempt === 2 ? { fault: "status", status: 429, retryAfter: "0" } : answer(request);
        },
      });
      const { vectors, attempts } = await embedderAt(mock)(model, ["abc"]);
      assert.deepEqual(vectors, [[3]]);
      assert.deepEqual(
        attempts.map(({ code }) => code),
        ["model_unavailable", "model_rate_limited"],
      );
    });

    test("fail by the class of what it answers", async () => {
      for (const [status, code] of [
        [400, "model_bad_request"],
        [401, "model_auth"],
        [429, "model_rate_limited"],
      ] as const) {
        await using mock = await startMockProvider({ script: () => ({ fault: "status", status, retryAfter: 60 }) });
        const error = (await embedderAt(mock)(model, ["abc"]).catch((thrown: unknown) => thrown)) as ModelCallError;
        assert.deepEqual([error.code, mock.requests.length], [code, 1]);
      }
    });
  });
}

test("a provider without embeddings says so, and which have them", async () => {
  await using mock = await startMockProvider({ script: answer });
  await assert.rejects(embedderAt(mock)("anthropic/claude-sonnet-4-6", ["a"]), {
    code: "unknown_model_provider",
    message: /openai, google, compatible/,
  });
});

test("the service: a provider that wants no more is left alone, GET /gateway shows it, and the ledger has what was used", async () => {
  const model = "openai/text-embedding-3-small";
  await using gateway = await startGateway({
    script: (request) => (request.attempt === 1 ? answer(request) : { fault: "status", status: 429, retryAfter: 60 }),
    config: { gateway: { limits: { [model]: { requestsPerMinute: 600 } }, embeddings: { maxTexts: 1 } } },
  });
  const statuses: number[] = [];
  for (const input of ["12345678", "refused", "not sent"]) {
    statuses.push((await gateway.post("/v1/embeddings", { model, input, user: "ada" })).status);
  }
  assert.deepEqual([statuses, gateway.provider.requests.length], [[200, 429, 429], 2]);
  const { models } = (await (await fetch(`${gateway.url}/gateway`)).json()) as { models: Record<string, unknown>[] };
  const shown = models.find((each) => each["model"] === model);
  assert.deepEqual(shown?.["attempts"], { answered: 1, failed: 1, skipped: 1, hedged: 0 });
  const usage = (await (await fetch(`${gateway.url}/usage?by=model`)).json()) as { items: Record<string, unknown>[] };
  assert.deepEqual(
    usage.items.map((item) => [item["model"], item["input_tokens"], item["calls"]]),
    [[model, 7, 1]],
  );
});
