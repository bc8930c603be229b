/** Which candidate answers, what is not even asked, and what the journal is told of it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  after,
  breaks,
  codes,
  drips,
  fails,
  openGateway,
  says,
  silent,
  startCall,
  verdict,
  type Behaviour,
} from "../../../test/support/model-behaviours.ts";
import { defineRoute, plainRoute } from "../../agent/route.ts";
import { neverAborts } from "../../platform/abort.ts";
import { HoldfastError } from "../../platform/errors.ts";
import { createPrices } from "../cost.ts";
import { openGate, type CallEnd, type Gate, type GateCall } from "../gate/gate.ts";

const full = fails(400, {}, "prompt is too long");
const windows = { "a/4k": 4_000, "b/4k": 4_000, "c/8k": 8_000 };
const models = Object.fromEntries(Object.entries(windows).map(([name, contextWindow]) => [name, { contextWindow }]));

describe("A route", () => {
  test("goes on after a full context with a candidate whose window is larger, or not known", async () => {
    const prices = createPrices(models);
    const run = startCall({ "a/4k": [full], "b/4k": [says("never")], "c/8k": [full], "d/x": [says("Hi")] }, { prices });
    assert.equal((await run.reply).model, "d/x");
    assert.deepEqual(run.calls, ["a/4k", "c/8k", "d/x"]);
  });

  test("that breaks off in the middle goes on with the next candidate, and what was said is void and paid for", async () => {
    const run = startCall({ "openai/gpt-4o": [breaks("Half of the answer")], "b/y": [says("Whole")] });
    const { attempts, model } = await run.reply;
    assert.deepEqual([model, run.clock.now(), run.calls], ["b/y", 0, ["openai/gpt-4o", "b/y"]]);
    assert.deepEqual(run.deltas.slice(1), [{ type: "restart" }, { type: "text", text: "Whole" }]);
    const [{ code, usage, costMicros } = assert.fail()] = attempts;
    assert.equal(code, "model_stream_broken");
    assert.ok(usage?.estimated && usage.input > 0 && usage.output > 0 && costMicros! > 0);
  });

  test("a candidate that is silent is not asked again while there is another", async () => {
    const run = startCall({ "a/x": [silent], "b/y": [says("Hi")] }, { timeouts: { connectMs: 500 } });
    await run.clock.advance(500);
    const { attempts } = await run.reply;
    assert.deepEqual(run.calls, ["a/x", "b/y"]);
    assert.equal(attempts[0]?.message, "The model did not begin to answer within 500 ms.");
    assert.equal(attempts[0]?.usage, undefined, "nobody took it");
  });

  test("a candidate's own timeouts go before those of the deployment", async () => {
    const route = defineRoute({ candidates: [{ model: "a/x", timeouts: { connectMs: 100 } }, "b/y"] });
    const run = startCall({ "a/x": [silent], "b/y": [says("Hi")] }, { route, timeouts: { connectMs: 9_000 } });
    await run.clock.advance(100);
    assert.equal((await run.reply).attempts[0]?.ms, 100);
  });

  test("what was asked for and cut off by us is paid for, even without a token", async () => {
    const opens: Behaviour = () => drips(() => run.clock, { everyMs: 60_000, count: 1 })(neverAborts(), run.clock);
    const run = startCall({ "openai/gpt-4o": [opens], "b/y": [says("Hi")] }, { timeouts: { firstTokenMs: 1_000 } });
    await run.clock.advance(1_000);
    const [attempt] = (await run.reply).attempts;
    assert.deepEqual([attempt?.code, attempt?.usage?.output, attempt!.costMicros! > 0], ["model_timeout", 0, true]);
  });

  test("says why a candidate was chosen where there was a choice, and what became of the first", async () => {
    const one = await startCall({ "a/x": [says("Hi")] }).reply;
    assert.equal("choice" in one, false);
    const first = await startCall({ "a/x": [says("Hi")], "b/y": [says("Hi")] }).reply;
    assert.deepEqual(first.choice, { strategy: "fixed", reason: "the first of the route" });
    const second = await startCall({ "a/x": [fails(401)], "b/y": [says("Hi")] }).reply;
    assert.equal(second.choice?.reason, "the first of the route; a/x: model_auth");
  });
});

describe("The breaker", () => {
  test("opens after failures in a row: then the model is not called, and the journal says why, at no cost of time", async () => {
    const gateway = openGateway({ "a/x": [fails(500)], "b/y": [says("Hi")] }, { attempts: 1 });
    for (let call = 0; call < 5; call++) await gateway.call().reply;
    const { attempts, model } = await gateway.call().reply;
    assert.equal(model, "b/y");
    const [{ ms, code, message } = assert.fail()] = attempts;
    assert.deepEqual([ms, code], [0, "model_breaker_open"]);
    assert.equal(message, "It is out, and not called for another 15 s. Last failure: HTTP 500");
    assert.equal(gateway.asked.filter((asked) => asked.model === "a/x").length, 5);
  });

  test("of the only candidate opens while a call tries again: the call ends at once and says when to come again", async () => {
    const run = startCall(
      { "a/x": [fails(500)] },
      { attempts: 9, breaker: { consecutiveFailures: 2, openMs: 60_000 } },
    );
    await run.clock.advance(250);
    assert.deepEqual(verdict(await run.error), { code: "model_unavailable", retry: { afterMs: 60_000 }, attempts: 2 });
    assert.equal(run.calls.length, 2);
  });

  test("lets one of many calls find out; the others are told to come again soon", async () => {
    const gateway = openGateway(
      { "a/x": [fails(500), silent] },
      { attempts: 1, breaker: { consecutiveFailures: 1, openMs: 10_000 } },
    );
    await gateway.call().error;
    await gateway.clock.advance(10_000);
    const probe = gateway.call();
    await gateway.clock.advance(0);
    assert.deepEqual(verdict(await gateway.call().error), {
      code: "model_unavailable",
      retry: { afterMs: 1_000 },
      attempts: 1,
    });
    assert.equal(gateway.asked.length, 2);
    probe.stop.abort(new Error("enough"));
    await probe.error;
    assert.equal(gateway.gateway.status()[0]?.breaker.state, "half_open", "a call that was cancelled says nothing");
  });

  test("does not open for what says that the model is there: refusals, full contexts, rate limits", async () => {
    const refusing = [fails(400), fails(413), fails(400, {}, "content policy"), fails(429)];
    const gateway = openGateway({ "a/x": refusing }, { attempts: 1, breaker: { consecutiveFailures: 1 } });
    for (let call = 0; call < 8; call++) await gateway.call().error;
    assert.equal(gateway.asked.length, 8);
    assert.equal(gateway.gateway.status()[0]?.breaker.state, "closed");
  });
});

test("repeats end with their budget: an outage is not amplified", async () => {
  const options = {
    attempts: 3,
    retryBudget: { share: 0.1, most: 4 },
    breaker: { consecutiveFailures: 1e9, leastCalls: 1e9 },
  };
  const gateway = openGateway({ "a/x": [fails(500)], "b/y": [says("Hi")] }, options);
  for (let call = 0; call < 50; call++) {
    const { reply } = gateway.call();
    await gateway.clock.advance(1_000);
    await reply;
  }
  const asked = gateway.asked.filter(({ model }) => model === "a/x").length;
  assert.equal(asked, 50 + 4 + 4, "one each, what was saved up, and a tenth of 50, of which the first parts were lost");
});

test("a call waits no longer in its slot than it may, all its waits together", async () => {
  const run = startCall({ "a/x": [fails(429, { "retry-after": "11" })] }, { random: () => 0 });
  await run.clock.advance(11_000);
  assert.deepEqual(verdict(await run.error), { code: "model_rate_limited", retry: { afterMs: 11_000 }, attempts: 2 });
});

describe("The gate", () => {
  function watchedGate(enter: Gate["enter"] = (call) => openGate.enter(call)) {
    const entered: GateCall[] = [];
    const left: CallEnd[] = [];
    const gate: Gate = {
      status: () => [],
      async enter(call) {
        entered.push(call);
        const pass = await enter(call);
        return { key: pass.key, leave: (end) => (pass.leave(end), left.push(end)) };
      },
    };
    return { gate, entered, left };
  }

  test("is entered for every attempt and left however it ends; the key is the one it says", async () => {
    const limited = fails(429, { "retry-after": "3", "x-left": "0" });
    const { gate, entered, left } = watchedGate(async () => ({ key: 2, leave: () => {} }));
    const opened = openGateway({ "a/x": [limited, fails(500), says("Hi")] }, { gate, random: () => 0 });
    const { reply } = opened.call();
    await opened.clock.advance(10_000);
    await reply;
    assert.deepEqual(
      opened.asked.map(({ key }) => key),
      [2, 2, 2],
    );
    assert.deepEqual(
      entered.map(({ tenant, tokens, longestWaitMs }) => [tenant, tokens, longestWaitMs]),
      [
        ["default", 101, 20_000],
        ["default", 101, 17_000],
        ["default", 101, 17_000],
      ],
    );
    assert.deepEqual(left, [
      { usedTokens: null, headers: { "retry-after": "3", "x-left": "0" }, rateLimited: { retryAfterMs: 3_000 } },
      { usedTokens: null, headers: {}, rateLimited: null },
      { usedTokens: 31, headers: { "x-model": "a/x" }, rateLimited: null },
    ]);
  });

  test("that is full is passed over for the next candidate, and named to the caller where there is none", async () => {
    const isFull: Gate["enter"] = ({ model, signal, ...call }) =>
      model === "a/x"
        ? Promise.reject(new HoldfastError("model_gate_full", "The gate is full.", { retry: { afterMs: 31_000 } }))
        : openGate.enter({ model, signal, ...call });
    const { gate } = watchedGate(isFull);
    const run = startCall({ "a/x": [says("never")], "b/y": [says("Hi")] }, { gate });
    assert.deepEqual(codes(await run.reply), ["a/x model_gate_full"]);
    const alone = startCall({ "a/x": [says("never")] }, { gate });
    assert.deepEqual(verdict(await alone.error), {
      code: "model_rate_limited",
      retry: { afterMs: 31_000 },
      attempts: 1,
    });
  });

  test("is not entered for a model that is out, and a wait in it is not the gateway's own time", async () => {
    let overheadMs = Number.NaN;
    const observer = { breaker() {}, retried() {}, hedged() {}, overhead: (ms: number) => void (overheadMs = ms) };
    const slow: Gate["enter"] = async (call) => (await opened.clock.sleep(5_000, call.signal), openGate.enter(call));
    const { gate, entered } = watchedGate(slow);
    const opened = openGateway(
      { "a/x": [after(700, fails(500))] },
      { gate, attempts: 1, breaker: { consecutiveFailures: 1 }, observer },
    );
    const { error } = opened.call();
    await opened.clock.advance(5_700);
    await error;
    assert.equal(overheadMs, 0);
    await opened.call().error;
    assert.equal(entered.length, 1);
  });

  test("is left when the call is cancelled", async () => {
    const { gate, left } = watchedGate();
    const run = startCall({ "a/x": [silent] }, { gate });
    await run.clock.advance(1);
    run.stop.abort(new Error("cancelled"));
    await run.error;
    assert.deepEqual(left, [{ usedTokens: null, headers: {}, rateLimited: null }]);
  });
});

test("GET /gateway's figures: what was answered, failed and skipped, and how fast the answers were", async () => {
  const slow = after(300, says("Hi"));
  const gateway = openGateway(
    { "a/x": [slow, slow, fails(500)] },
    { attempts: 1, breaker: { consecutiveFailures: 2 } },
  );
  for (let call = 0; call < 5; call++) {
    const { error } = gateway.call();
    await gateway.clock.advance(300);
    await error;
  }
  const [status] = gateway.gateway.status();
  assert.deepEqual(status?.attempts, { answered: 2, failed: 2, skipped: 1, hedged: 0 });
  assert.deepEqual(status?.ttftMs, { p50: 300, p95: 300, p99: 300, count: 2 });
  assert.equal(status?.breaker.state, "open");
});

test("a plain route of a hundred models is tried to its end", async () => {
  const names = Array.from({ length: 100 }, (_, index) => `m/${index}`);
  const behaviours = Object.fromEntries(names.map((name, index) => [name, [index === 99 ? says("Hi") : fails(401)]]));
  assert.equal((await startCall(behaviours, { route: plainRoute(names) }).reply).attempts.length, 99);
});
