import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, test } from "node:test";
import { APICallError, type EmbeddingModelV4, type EmbeddingModelV4CallOptions } from "@ai-sdk/provider";
import { createPrices } from "../cost.ts";
import type { CallEnd, Gate, GateCall } from "../gate/gate.ts";
import type { ModelCallError } from "../model-gateway.ts";
import { createResilience, type ResilienceDeps } from "../resilience/resilience.ts";
import { UnavailableError } from "../../platform/errors.ts";
import { createVirtualClock } from "../../testing/virtual-clock.ts";
import type { EmbeddingRequest } from "./embedding-gateway.ts";
import { createEmbeddingGateway } from "./embeddings.ts";

const model = "openai/text-embedding-3-small";
type Behaviour = (options: EmbeddingModelV4CallOptions) => Promise<Awaited<ReturnType<EmbeddingModelV4["doEmbed"]>>>;

/** The vector of a text is its length; ten tokens a text, unless it is told not to say. */
const embeds: Behaviour = ({ values }) =>
  Promise.resolve({
    embeddings: values.map((text) => [text.length]),
    usage: { tokens: values.length * 10 },
    warnings: [],
    response: { headers: { "x-ratelimit-limit-requests": "500" } },
  });
const fails =
  (statusCode: number, responseHeaders: Record<string, string> = {}): Behaviour =>
  () =>
    Promise.reject(
      new APICallError({ message: `HTTP ${statusCode}`, url: "", requestBodyValues: {}, statusCode, responseHeaders }),
    );
const hangs: Behaviour = () => new Promise(() => {});

interface Scene extends Partial<Omit<ResilienceDeps, "clock" | "gate">> {
  readonly gate?: Partial<Gate>;
  readonly most?: number;
}

/** Models whose requests go as listed, one after the other; the last behaviour stays. */
function open(behaviours: Behaviour[], { gate, most, ...options }: Scene = {}) {
  const clock = createVirtualClock();
  const entered: Omit<GateCall, "signal">[] = [];
  const ends: CallEnd[] = [];
  const asked: { key: number; values: readonly string[]; at: number }[] = [];
  const counted = { failed: [] as string[], tokens: 0 };
  const resilience = createResilience({
    random: () => 0.5,
    ...options,
    clock,
    gate: {
      enter: ({ signal: _signal, ...call }) => {
        entered.push(call);
        return Promise.resolve({ key: 1, leave: (end) => void ends.push(end) });
      },
      status: () => [],
      ...gate,
    },
  });
  const embedding = (_name: string, key = 0): EmbeddingModelV4 => ({
    specificationVersion: "v4",
    provider: "test",
    modelId: "test",
    maxEmbeddingsPerCall: most,
    supportsParallelCalls: true,
    doEmbed(call) {
      asked.push({ key, values: call.values, at: clock.monotonic() });
      return (behaviours.length > 1 ? behaviours.shift() : behaviours[0])!(call);
    },
  });
  const gateway = createEmbeddingGateway({
    providers: { embedding },
    resilience,
    prices: createPrices(),
    metrics: {
      attemptsFailed: (attempts) => void counted.failed.push(...attempts.map(({ code }) => code)),
      tokensUsed: ({ usage }) => void (counted.tokens += usage.input),
    },
  });
  const stop = new AbortController();
  const embed = (texts: readonly string[], more: Partial<EmbeddingRequest> = {}) =>
    gateway.embed({ model, tenant: "ada", texts, signal: stop.signal, ...more });
  /** What it threw, as a value. */
  const refused = (texts: readonly string[]): Promise<ModelCallError> =>
    embed(texts).then(
      () => assert.fail("it was embedded"),
      (error: unknown) => error as ModelCallError,
    );
  return { clock, asked, entered, ends, counted, stop, embed, refused, status: () => resilience.status() };
}

const verdict = ({ code, retry, attempts }: ModelCallError) => ({
  code,
  retry,
  codes: attempts.map((each) => each.code),
});

describe("A call for embeddings", () => {
  test("goes through the gate as its tenant, with its tokens as estimated, and tells what it used", async () => {
    const { embed, entered, ends, asked, counted, status } = open([embeds]);
    const { vectors, usage, attempts } = await embed(["12345678", "1234"], { dimensions: 3 });
    assert.deepEqual([vectors, usage.input, usage.estimated, attempts], [[[8], [4]], 20, false, []]);
    assert.deepEqual(entered, [{ model, tenant: "ada", tokens: 3, longestWaitMs: 20_000 }]);
    const headers = { "x-ratelimit-limit-requests": "500" };
    assert.deepEqual(ends, [{ usedTokens: 20, headers, rateLimited: null }]);
    assert.deepEqual([asked[0]?.key, counted.tokens], [1, 20], "it takes the key that the gate chose");
    const [seen] = status();
    assert.deepEqual([seen?.model, seen?.attempts.answered, seen?.ttftMs?.count], [model, 1, 1]);
  });

  test("is tried again when it fails for a while, and the failed attempts are told", async () => {
    const { clock, embed, asked, ends, counted } = open([fails(500), fails(429, { "retry-after": "7" }), embeds]);
    const reply = embed(["a"]);
    await clock.advance(20_000);
    assert.deepEqual(
      (await reply).attempts.map(({ code, at }) => [code, at]),
      [
        ["model_unavailable", 0],
        ["model_rate_limited", 250],
      ],
    );
    assert.deepEqual(
      asked.map(({ at }) => at),
      [0, 250, 7_750],
    );
    assert.deepEqual(ends[1]?.rateLimited, { retryAfterMs: 7_000 });
    assert.deepEqual(counted.failed, ["model_unavailable", "model_rate_limited"]);
  });

  test("is not made again for what is its own fault, nor while the provider wants to be left alone for long", async () => {
    for (const [behaviour, code, retry] of [
      [fails(400), "model_bad_request", "never"],
      [fails(401), "model_auth", "never"],
      [fails(429, { "retry-after": "90" }), "model_rate_limited", { afterMs: 90_000 }],
    ] as const) {
      const { refused, asked } = open([behaviour]);
      assert.deepEqual(verdict(await refused(["a"])), { code, retry, codes: [code] });
      assert.equal(asked.length, 1);
    }
  });

  test("is not sent while the breaker of its model is open, and one goes when its time is over", async () => {
    const { clock, embed, refused, asked } = open([fails(500), fails(500), embeds], {
      attempts: 1,
      breaker: { consecutiveFailures: 2, openMs: 15_000 },
    });
    await refused(["a"]);
    await refused(["a"]);
    const error = await refused(["a"]);
    assert.deepEqual(verdict(error), {
      code: "model_unavailable",
      retry: { afterMs: 15_000 },
      codes: ["model_breaker_open"],
    });
    assert.equal(asked.length, 2);
    await clock.advance(15_000);
    assert.deepEqual((await embed(["a"])).vectors, [[1]]);
  });

  test("repeats are taken from the budget of the model, and end with it", async () => {
    const { clock, refused, asked } = open([fails(500)], { retryBudget: { share: 0.1, most: 1 }, attempts: 5 });
    const error = refused(["a"]);
    await clock.advance(60_000);
    assert.deepEqual([(await error).attempts.length, asked.length], [2, 2]);
  });

  test("that the gate does not let through is not sent, and says when to come again", async () => {
    const full = new UnavailableError("model_gate_full", "Full.", { afterMs: 3_000 });
    const { refused, asked } = open([embeds], { gate: { enter: () => Promise.reject(full) } });
    const { code, retry, codes } = verdict(await refused(["a"]));
    assert.deepEqual([code, retry, codes], ["model_rate_limited", { afterMs: 3_000 }, ["model_gate_full"]]);
    assert.equal(asked.length, 0);
  });

  test("is given up after the time that the configuration gives it", async () => {
    const { clock, embed } = open([hangs, embeds], { timeouts: { connectMs: 1_000 } });
    const reply = embed(["a"]);
    await clock.advance(1_250);
    assert.deepEqual(
      (await reply).attempts.map(({ code, ms }) => [code, ms]),
      [["model_timeout", 1_000]],
    );
  });

  test("that is cancelled ends at once, says nothing of the model, and leaves nothing behind", async () => {
    const { clock, refused, stop, ends, status } = open([hangs]);
    const error = refused(["a"]);
    await clock.advance(10);
    const reason = new Error("cancelled");
    stop.abort(reason);
    assert.equal(await error, reason);
    assert.deepEqual([ends.length, clock.pending, getEventListeners(stop.signal, "abort").length], [1, 0, 0]);
    assert.deepEqual([status()[0]?.breaker.calls, status()[0]?.attempts.failed], [0, 0]);
  });
});

describe("A call for more texts than the provider takes at once", () => {
  test("goes in several, each through the gate, and their tokens are added up", async () => {
    const { embed, asked, entered, counted } = open([embeds], { most: 2 });
    const { vectors, usage } = await embed(["a", "bb", "ccc", "dddd", "eeeee"]);
    assert.deepEqual(vectors, [[1], [2], [3], [4], [5]]);
    assert.deepEqual([usage.input, counted.tokens, entered.length], [50, 50, 3]);
    assert.deepEqual(
      asked.map(({ values }) => values.length),
      [2, 2, 1],
    );
  });

  test("that fails in the middle says what its beginning cost", async () => {
    const { refused, counted } = open([embeds, fails(400)], { most: 1 });
    const { code, attempts } = await refused(["a", "b", "c"]);
    assert.equal(code, "model_bad_request");
    assert.deepEqual(
      attempts.map((attempt) => [attempt.code, attempt.usage?.input, attempt.costMicros]),
      [
        ["model_bad_request", undefined, undefined],
        ["embeddings_in_vain", 10, 1],
      ],
    );
    assert.deepEqual(counted.failed, ["model_bad_request"]);
  });

  test("of which the provider leaves some out is paid for, and made again", async () => {
    const short: Behaviour = async (call) => ({ ...(await embeds(call)), embeddings: [] });
    const { clock, embed } = open([short, embeds]);
    const reply = embed(["a"]);
    await clock.advance(1_000);
    assert.deepEqual(
      (await reply).attempts.map(({ code, usage }) => [code, usage?.input]),
      [["model_stream_broken", 10]],
    );
  });
});
