import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, test } from "node:test";
import { neverAborts } from "../../platform/abort.ts";
import { createVirtualClock } from "../../testing/virtual-clock.ts";
import { gatherEmbeddings, type GatherOptions } from "./embeddings-batch.ts";
import type { EmbeddingReply, EmbeddingRequest } from "./embedding-gateway.ts";
import { ModelCallError, type ModelErrorCode } from "../model-gateway.ts";

const never = neverAborts();

/** The vector of a text is its length. Ten tokens a text. */
function open(options: GatherOptions = {}, fail: (texts: readonly string[]) => ModelErrorCode | null = () => null) {
  const clock = createVirtualClock();
  const calls: EmbeddingRequest[] = [];
  const inner = {
    embed(request: EmbeddingRequest): Promise<EmbeddingReply> {
      calls.push(request);
      const code = fail(request.texts);
      if (code !== null) return Promise.reject(new ModelCallError(code, "no", { retry: "never", attempts: [] }));
      const usage = { input: request.texts.length * 10, cached: 0, output: 0, reasoning: 0, estimated: false };
      return Promise.resolve({ vectors: request.texts.map((text) => [text.length]), usage, attempts: [] });
    },
  };
  const gateway = gatherEmbeddings(inner, { clock, ...options });
  const embed = (texts: readonly string[], more: Partial<EmbeddingRequest> = {}) =>
    gateway.embed({ model: "openai/small", tenant: "ada", texts, signal: never, ...more });
  return { clock, calls, embed, sizes: () => calls.map(({ texts }) => texts.length) };
}

describe("Calls for embeddings", () => {
  test("go together after 100 ms, and each gets its own vectors and its share of the tokens", async () => {
    const { clock, embed, sizes } = open();
    const replies = Promise.all([embed(["a", "bb"]), embed(["cccccc"]), embed([])]);
    await clock.advance(99);
    assert.deepEqual(sizes(), []);
    await clock.advance(1);
    const [first, second, third] = await replies;
    assert.deepEqual(sizes(), [3]);
    assert.deepEqual([first.vectors, second.vectors, third.vectors], [[[1], [2]], [[6]], []]);
    assert.deepEqual([first.usage.input, second.usage.input, third.usage.input], [10, 20, 0]);
    assert.ok(first.usage.estimated, "a share is worked out, not reported");
  });

  test("go as soon as they are 32, without waiting", async () => {
    const { embed, sizes, clock } = open();
    await Promise.all(Array.from({ length: 64 }, (_, index) => embed([`${index}`])));
    assert.deepEqual([sizes(), clock.pending], [[32, 32], 0]);
  });

  test("never hold more than that together: who does not fit begins the next", async () => {
    const { clock, embed, sizes } = open({ maxTexts: 4, maxWaitMs: 10 });
    const all = Promise.all([embed(["a", "b", "c"]), embed(["d", "e"]), embed(["1", "2", "3", "4", "5", "6"])]);
    await clock.advance(10);
    await all;
    assert.deepEqual(sizes(), [3, 2, 6]);
  });

  test("leave nothing on the signals of their callers, which may live on", async () => {
    const { clock, embed } = open();
    const { signal } = new AbortController();
    const both = Promise.all([embed(["a"], { signal }), embed(["b"], { signal })]);
    await clock.advance(100);
    await both;
    assert.equal(getEventListeners(signal, "abort").length, 0);
  });

  test("one alone keeps the tokens that were reported", async () => {
    const { clock, embed } = open();
    const alone = embed(["a"]);
    await clock.advance(100);
    assert.deepEqual((await alone).usage, { input: 10, cached: 0, output: 0, reasoning: 0, estimated: false });
  });

  test("are gathered by settings that make sense, or not at all", () => {
    for (const options of [{ maxTexts: 0 }, { maxTexts: 1.5 }, { maxWaitMs: -1 }, { maxWaitMs: Number.NaN }]) {
      assert.throws(() => open(options), { code: "invalid_config" });
    }
  });

  test("of other tenants, models or dimensions go apart", async () => {
    const { clock, embed, calls } = open();
    const all = Promise.all([
      embed(["a"]),
      embed(["b"], { model: "openai/large" }),
      embed(["c"], { dimensions: 8 }),
      embed(["d"], { dimensions: 8 }),
      embed(["e"], { tenant: "eve" }),
    ]);
    await clock.advance(100);
    await all;
    assert.deepEqual(
      calls.map(({ tenant, model, dimensions, texts }) => [tenant, model, dimensions, ...texts]),
      [
        ["ada", "openai/small", undefined, "a"],
        ["ada", "openai/large", undefined, "b"],
        ["ada", "openai/small", 8, "c", "d"],
        ["eve", "openai/small", undefined, "e"],
      ],
    );
  });

  test("a bad one fails alone, and is found in few calls", async () => {
    const { clock, embed, calls } = open({}, (texts) => (texts.includes("bad") ? "model_bad_request" : null));
    const texts = Array.from({ length: 16 }, (_, index) => (index === 5 ? "bad" : `${index}`));
    const all = Promise.allSettled(texts.map((text) => embed([text])));
    await clock.advance(100);
    const settled = await all;
    assert.deepEqual(
      settled.flatMap(({ status }, index) => (status === "rejected" ? [index] : [])),
      [5],
    );
    assert.equal(calls.length, 9);
  });

  test("an outage fails all of them, with one call", async () => {
    const { clock, embed, calls } = open({}, () => "model_unavailable");
    const all = Promise.allSettled([embed(["a"]), embed(["b"])]);
    await clock.advance(100);
    assert.deepEqual([(await all).map(({ status }) => status), calls.length], [["rejected", "rejected"], 1]);
  });

  test("that fail together share what that cost, so that none of it is charged twice", async () => {
    const clock = createVirtualClock();
    const usage = { input: 10, cached: 0, output: 0, reasoning: 0, estimated: false };
    const paid = { model: "openai/small", code: "model_stream_broken", message: "", ms: 1, usage, costMicros: 7 };
    const free = { model: "openai/small", code: "model_unavailable", message: "", ms: 1 };
    const broken = new ModelCallError("model_unavailable", "no", { retry: "now", attempts: [paid, free] });
    const gateway = gatherEmbeddings({ embed: () => Promise.reject(broken) }, { clock });
    const embed = (text: string): Promise<unknown> =>
      gateway.embed({ model: "openai/small", tenant: "ada", texts: [text], signal: never }).catch((error) => error);
    const all = Promise.all([embed("a"), embed("bbb"), embed("cccc")]) as Promise<ModelCallError[]>;
    await clock.advance(100);
    const attempts = (await all).map((error) => error.attempts);
    assert.deepEqual(
      attempts.map(([first, second]) => [first?.usage?.input, first?.costMicros, second?.usage]),
      [
        [1, 1, undefined],
        [4, 3, undefined],
        [5, 3, undefined],
      ],
    );
    assert.ok((await all).every(({ code, retry }) => code === "model_unavailable" && retry === "now"));
  });

  test("one that is cancelled leaves at once, and is not sent", async () => {
    const { clock, embed, calls } = open();
    const leaving = new AbortController();
    const left = embed(["a"], { signal: leaving.signal });
    const staying = embed(["b"]);
    leaving.abort(new Error("cancelled"));
    await assert.rejects(left, /cancelled/);
    await clock.advance(100);
    await staying;
    assert.deepEqual(
      calls.map(({ texts }) => texts),
      [["b"]],
    );
    assert.equal(calls[0]!.signal.aborted, false);
  });

  test("a call under way is given up when the last of them has left", async () => {
    const clock = createVirtualClock();
    let sent: AbortSignal | undefined;
    const inner = {
      embed: ({ signal }: EmbeddingRequest) =>
        new Promise<EmbeddingReply>((_resolve, reject) => {
          sent = signal;
          signal.addEventListener("abort", () => reject(signal.reason));
        }),
    };
    const gateway = gatherEmbeddings(inner, { clock });
    const [one, two] = [new AbortController(), new AbortController()];
    const both = [one, two].map(({ signal }) =>
      gateway.embed({ model: "openai/small", tenant: "ada", texts: ["a"], signal }),
    );
    const settled = Promise.allSettled(both);
    await clock.advance(100);
    one.abort(new Error("one"));
    assert.equal(sent?.aborted, false);
    two.abort(new Error("two"));
    assert.equal(sent?.aborted, true);
    assert.deepEqual(
      (await settled).map((each) => each.status === "rejected" && String(each.reason)),
      ["Error: one", "Error: two"],
    );
  });
});
