import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, test } from "node:test";
import {
  type Behaviour,
  breaks,
  codes,
  drips,
  fails,
  finish,
  type GatewayRun as Run,
  type ModelParts as Parts,
  says,
  silent,
  startCall as start,
  text,
  verdict,
} from "../../test/support/model-behaviours.ts";
import { plainRoute } from "../agent/route.ts";

test("an answer at the first attempt carries text, usage and no failed attempts", async () => {
  const { reply, deltas } = start({ "a/x": [says("Hello", " you")] });
  const { parts, finish: end, model, usage, attempts, costMicros } = await reply;
  assert.deepEqual(parts, [{ type: "text", text: "Hello you" }]);
  assert.deepEqual({ end, model, attempts, costMicros }, { end: "stop", model: "a/x", attempts: [], costMicros: null });
  assert.deepEqual(usage, { input: 20, cached: 0, output: 11, reasoning: 0, estimated: false });
  assert.deepEqual(deltas, [
    { type: "text", text: "Hello" },
    { type: "text", text: " you" },
  ]);
});

test("what passes is tried again after a backoff that doubles, with jitter", async () => {
  const { clock, calls, reply } = start({ "a/x": [fails(500), fails(503), says("Hi")] });
  await clock.advance(249);
  assert.equal(calls.length, 1);
  await clock.advance(1);
  assert.equal(calls.length, 2);
  await clock.advance(499);
  assert.equal(calls.length, 2);
  await clock.advance(1);
  assert.deepEqual(codes(await reply), ["a/x model_unavailable", "a/x model_unavailable"]);
});

test("a rate limit is waited for as long as the provider asks", async () => {
  const { clock, calls, reply } = start(
    { "a/x": [fails(429, { "retry-after": "7" }), says("Hi")] },
    { random: () => 0 },
  );
  await clock.advance(6_999);
  assert.equal(calls.length, 1);
  await clock.advance(1);
  assert.deepEqual(codes(await reply), ["a/x model_rate_limited"]);
});

test("a rate limit that lasts is not waited for: the next candidate is asked at once", async () => {
  const { clock, reply } = start({ "a/x": [fails(429, { "retry-after": "21" })], "b/y": [says("Hi")] });
  assert.equal((await reply).model, "b/y");
  assert.equal(clock.now(), 0);
});

test("a rate limit that lasts, with nobody else to ask, is told to the caller", async () => {
  const { error } = start({ "a/x": [fails(429, { "retry-after": "90" })] });
  assert.deepEqual(verdict(await error), { code: "model_rate_limited", retry: { afterMs: 90_000 }, attempts: 1 });
});

test("a candidate is given up after its attempts, and the next one answers", async () => {
  const { clock, reply } = start({ "a/x": [fails(500)], "b/y": [says("Hi")] }, { attempts: 2 });
  await clock.advance(60_000);
  assert.deepEqual(codes(await reply), ["a/x model_unavailable", "a/x model_unavailable"]);
  assert.equal((await reply).model, "b/y");
});

for (const [name, status, message] of [
  ["a wrong key", 401, "invalid key"],
  ["a full context", 400, "prompt is too long"],
] as const) {
  test(`${name} is not tried again, but the next candidate is asked`, async () => {
    const { reply, clock } = start({ "a/x": [fails(status, {}, message)], "b/y": [says("Hi")] });
    assert.equal((await reply).attempts.length, 1);
    assert.equal(clock.now(), 0);
  });
}

for (const [name, message, code] of [
  ["a bad request", "Unsupported parameter", "model_bad_request"],
  ["a breach of content policy", "content policy", "model_content_policy"],
] as const) {
  test(`${name} ends the call at once, whoever else might be asked`, async () => {
    const { error, calls } = start({ "a/x": [fails(400, {}, message)], "b/y": [says("Hi")] });
    assert.deepEqual(verdict(await error), { code, retry: "never", attempts: 1 });
    assert.deepEqual(calls, ["a/x"]);
  });
}

test("a candidate whose key is missing is passed over, and the attempt says which", async () => {
  const { reply } = start({ "b/y": [says("Hi")] }, { route: plainRoute(["a/x", "b/y"]) });
  assert.deepEqual((await reply).attempts, [
    { model: "a/x", code: "model_key_missing", message: "set the key of a/x", ms: 0, at: 0 },
  ]);
});

test("when nobody answers, what may pass counts more than what will not, and the soonest wait is named", async () => {
  const { error } = start({
    "a/x": [fails(429, { "retry-after": "90" })],
    "b/y": [fails(401)],
    "c/z": [fails(429, { "retry-after": "40" })],
  });
  assert.deepEqual(verdict(await error), { code: "model_rate_limited", retry: { afterMs: 40_000 }, attempts: 3 });
  assert.equal((await error)?.message, "No model answered. a/x: HTTP 429 b/y: HTTP 401 c/z: HTTP 429");
});

test("when nobody can answer, a full context counts more than a wrong key, and no retry is promised", async () => {
  const { error } = start({ "a/x": [fails(413)], "b/y": [fails(401)] });
  assert.deepEqual(verdict(await error), { code: "model_context_too_long", retry: "never", attempts: 2 });
});

test("text of an attempt that broke is void once the next begins", async () => {
  const { clock, deltas, reply } = start({ "a/x": [breaks("Half of"), says("Whole")] });
  await clock.advance(0);
  assert.deepEqual(deltas, [{ type: "text", text: "Half of" }]);
  await clock.advance(1_000);
  assert.deepEqual((await reply).parts, [{ type: "text", text: "Whole" }]);
  assert.deepEqual(deltas.slice(1), [{ type: "restart" }, { type: "text", text: "Whole" }]);
});

test("an attempt that said nothing needs no restart", async () => {
  const { clock, deltas, reply } = start({ "a/x": [fails(500), breaks(), says("Hi")] });
  await clock.advance(5_000);
  await reply;
  assert.deepEqual(deltas, [{ type: "text", text: "Hi" }]);
});

test("a model that never begins is given up after the time for the first token", async () => {
  const { clock, reply, calls } = start({ "a/x": [silent, says("Hi")] }, { timeouts: { firstTokenMs: 1_000 } });
  await clock.advance(999);
  assert.equal(calls.length, 1);
  await clock.advance(251);
  assert.deepEqual((await reply).attempts, [
    { model: "a/x", code: "model_timeout", message: "The model gave no token within 1000 ms.", ms: 1_000, at: 0 },
  ]);
});

test("a model that falls silent is given up after the time for silence, counted from its last token", async () => {
  const run: Run = start(
    { "a/x": [drips(() => run.clock, { everyMs: 400, count: 3 }), says("Hi")] },
    { timeouts: { firstTokenMs: 5_000, silenceMs: 500 } },
  );
  await run.clock.advance(1_699);
  assert.equal(run.calls.length, 1);
  await run.clock.advance(251);
  const [attempt] = (await run.reply).attempts;
  assert.deepEqual({ code: attempt?.code, ms: attempt?.ms }, { code: "model_timeout", ms: 1_700 });
});

test("a model that never comes to an end is given up after the time for the whole", async () => {
  const run: Run = start(
    { "a/x": [drips(() => run.clock, { everyMs: 100, count: 1_000 }), says("Hi")] },
    { timeouts: { silenceMs: 500, totalMs: 2_000 } },
  );
  await run.clock.advance(2_250);
  const [attempt] = (await run.reply).attempts;
  assert.equal(attempt?.message, "The model did not finish its reply within 2000 ms.");
  assert.equal(run.deltas.filter(({ type }) => type === "restart").length, 1);
});

test("first-token time and time per token are measured", async () => {
  const run: Run = start({
    "a/x": [
      async function* () {
        await run.clock.sleep(300);
        for (let given = 0; given < 5; given++) {
          if (given > 0) await run.clock.sleep(50);
          yield text(".");
        }
        yield finish;
      } as unknown as Behaviour,
    ],
  });
  await run.clock.advance(1_000);
  const { ttftMs, tpotMs } = await run.reply;
  // Four gaps of 50 ms over the ten tokens after the first.
  assert.deepEqual({ ttftMs, tpotMs }, { ttftMs: 300, tpotMs: 20 });
});

test("no timer and no listener stays behind an answer", async () => {
  const { clock, reply, stop } = start({ "a/x": [fails(500), says("Hi")] });
  await clock.advance(1_000);
  await reply;
  assert.deepEqual([clock.pending, getEventListeners(stop.signal, "abort").length], [0, 0]);
});

test("an abort in the middle of a reply ends the call at once with the signal's reason, even if the provider does not listen", async () => {
  const run: Run = start({ "a/x": [drips(() => run.clock, { everyMs: 100, count: 1_000 })] });
  await run.clock.advance(250);
  const reason = new Error("cancelled");
  run.stop.abort(reason);
  assert.equal(await run.error, reason);
  await run.clock.advance(1_000);
  assert.equal(run.deltas.length, 2);
});

test("an abort during a backoff ends the call at once, and nothing waits on", async () => {
  const { clock, stop, error, calls } = start({ "a/x": [fails(500)] });
  await clock.advance(0);
  const reason = new Error("cancelled");
  stop.abort(reason);
  assert.equal(await error, reason);
  assert.deepEqual({ pending: clock.pending, calls: calls.length }, { pending: 0, calls: 1 });
});

test("the provider is told of an abort, so that it closes its connection", async () => {
  let heard: AbortSignal | undefined;
  const run = start({ "a/x": [(signal) => ((heard = signal), new Promise<Parts>(() => {}))] });
  await run.clock.advance(0);
  run.stop.abort(new Error("cancelled"));
  await run.error;
  assert.equal(heard?.aborted, true);
});

describe("A call that is interrupted", () => {
  test("answers at once what was said by then, with the model and an estimate of the usage, and not a delta comes after", async () => {
    const stop = new AbortController();
    const run: Run = start(
      { "openai/gpt-4o": [drips(() => run.clock, { everyMs: 100, count: 1_000 })] },
      { interruption: stop.signal },
    );
    await run.clock.advance(250);
    stop.abort(new Error("interrupted"));
    const { parts, finish: end, model, usage, costMicros, attempts } = await run.reply;
    assert.deepEqual(parts, [{ type: "text", text: ".." }]);
    assert.deepEqual({ end, model, attempts }, { end: "interrupted", model: "openai/gpt-4o", attempts: [] });
    assert.ok(usage.estimated && usage.input > 0 && usage.output > 0);
    assert.ok(costMicros !== null && costMicros > 0, "what was said is paid for");
    await run.clock.advance(1_000);
    assert.equal(run.deltas.length, 2);
  });

  test("during a backoff answers nothing, keeps the failed attempts, and void text of an attempt that broke is not in it", async () => {
    const stop = new AbortController();
    const run = start({ "a/x": [breaks("Hel"), fails(500)] }, { interruption: stop.signal });
    await run.clock.advance(400);
    stop.abort(new Error("interrupted"));
    const reply = await run.reply;
    assert.deepEqual([reply.parts, reply.finish, run.clock.pending], [[], "interrupted", 0]);
    assert.deepEqual(codes(reply), ["a/x model_stream_broken", "a/x model_unavailable"]);
    assert.deepEqual([reply.usage.input, reply.usage.output, reply.costMicros], [0, 0, 0]);
  });

  test("right after an attempt that broke, says nothing of what that one had said", async () => {
    const stop = new AbortController();
    const run = start({ "a/x": [breaks("Hel"), says("Hi")] }, { interruption: stop.signal });
    await run.clock.advance(0);
    stop.abort(new Error("interrupted"));
    const reply = await run.reply;
    assert.deepEqual([reply.parts, codes(reply), run.calls], [[], ["a/x model_stream_broken"], ["a/x"]]);
  });

  test("before it began costs nothing", async () => {
    const early = new AbortController();
    early.abort(new Error("interrupted"));
    const run = start({ "a/x": [says("Hi")] }, { interruption: early.signal });
    const { usage, costMicros } = await run.reply;
    assert.deepEqual([usage.input, usage.output, costMicros, run.calls], [0, 0, 0, []]);
  });

  test("and cancelled is cancelled", async () => {
    const stop = new AbortController();
    const run = start({ "a/x": [silent] }, { interruption: stop.signal });
    await run.clock.advance(0);
    const reason = new Error("cancelled");
    run.stop.abort(reason);
    stop.abort(new Error("interrupted"));
    assert.equal(await run.error, reason);
  });
});
