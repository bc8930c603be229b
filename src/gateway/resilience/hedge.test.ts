import assert from "node:assert/strict";
import { test } from "node:test";
import {
  after,
  breaks,
  codes,
  fails,
  finish,
  openGateway,
  says,
  silent,
  text,
  type Behaviour,
  type OpenedGateway,
} from "../../../test/support/model-behaviours.ts";
import { defineRoute } from "../../agent/route.ts";

const twins = defineRoute({
  hedge: true,
  candidates: [{ model: "openai/gpt-4o", rank: 1, weight: 1e9 }, { model: "b/y", rank: 1 }, "rules/default"],
});
const alone = defineRoute({ hedge: true, candidates: ["openai/gpt-4o", "rules/default"] });
const usual = after(100, says("Usual"));

/** Twenty answers after 100 ms each, so that 100 ms is when the first token is late; then the first call behaves as told. */
async function warm(
  first: Behaviour[],
  { second = [usual], route = twins }: { second?: Behaviour[]; route?: typeof twins } = {},
): Promise<OpenedGateway> {
  const behaviours = {
    "openai/gpt-4o": [...Array.from({ length: 20 }, () => usual), ...first],
    "b/y": second,
    "rules/default": [says("I can only follow rules")],
  };
  const gateway = openGateway(behaviours, { route, attempts: 1 });
  for (let call = 0; call < 20; call++) {
    const { reply } = gateway.call();
    await gateway.clock.advance(100);
    await reply;
  }
  gateway.asked.length = 0;
  return gateway;
}

const asked = (gateway: OpenedGateway): string[] => gateway.asked.map(({ model }) => model);

test("before there are enough measurements nobody is asked twice", async () => {
  const gateway = openGateway({ "openai/gpt-4o": [after(5_000, says("Late"))], "b/y": [usual] }, { route: twins });
  const { reply } = gateway.call();
  await gateway.clock.advance(5_000);
  assert.equal((await reply).model, "openai/gpt-4o");
  assert.equal(gateway.asked.length, 1);
});

test("a first token that is late is asked for elsewhere; the first to come wins, and both are paid for", async () => {
  const gateway = await warm([silent]);
  const run = gateway.call();
  await gateway.clock.advance(99);
  assert.deepEqual(asked(gateway), ["openai/gpt-4o"]);
  await gateway.clock.advance(101);
  const { model, attempts, ttftMs } = await run.reply;
  assert.deepEqual([model, ttftMs, asked(gateway)], ["b/y", 100, ["openai/gpt-4o", "b/y"]]);
  const [{ code, ms, usage, costMicros } = assert.fail()] = attempts;
  assert.deepEqual([code, ms, usage?.output], ["model_hedge_lost", 200, 0]);
  assert.ok(usage!.estimated && usage!.input > 0 && costMicros! > 0);
  assert.deepEqual(run.deltas, [{ type: "text", text: "Usual" }]);
  assert.equal(gateway.clock.pending, 0, "nothing of the loser is left");
});

test("the first request may still win, and then the second one is cut off before it is heard", async () => {
  const gateway = await warm([after(150, says("After all"))]);
  const run = gateway.call();
  await gateway.clock.advance(1_000);
  const reply = await run.reply;
  assert.deepEqual([reply.model, codes(reply)], ["openai/gpt-4o", ["b/y model_hedge_lost"]]);
  assert.deepEqual(run.deltas, [{ type: "text", text: "After all" }]);
});

test("an answer in time is asked for once", async () => {
  const gateway = await warm([after(99, says("In time"))]);
  const { reply } = gateway.call();
  await gateway.clock.advance(1_000);
  assert.deepEqual((await reply).attempts, []);
  assert.equal(gateway.asked.length, 1);
});

test("an answer that began in time and goes on for long takes nothing from the retry budget", async () => {
  const story: Behaviour = async function* (signal, clock) {
    yield text("Once");
    await clock.sleep(1_000, signal);
    yield* [text(" upon a time"), finish];
  };
  const gateway = await warm([story]);
  const { reply } = gateway.call();
  await gateway.clock.advance(1_000);
  assert.deepEqual((await reply).attempts, []);
  const status = gateway.gateway.status().find(({ model }) => model === "openai/gpt-4o");
  assert.equal(status?.retriesLeft, 20);
});

test("where a rank has one model it is asked again itself, and never a lower rank", async () => {
  const gateway = await warm([silent, usual], { route: alone });
  const { reply } = gateway.call();
  await gateway.clock.advance(300);
  assert.equal((await reply).model, "openai/gpt-4o");
  assert.deepEqual(asked(gateway), ["openai/gpt-4o", "openai/gpt-4o"]);
});

test("if the first fails while the second is under way, the second goes on", async () => {
  const gateway = await warm([after(150, fails(500))]);
  const { reply } = gateway.call();
  await gateway.clock.advance(200);
  assert.deepEqual(codes(await reply), ["openai/gpt-4o model_unavailable"]);
  assert.equal((await reply).model, "b/y");
});

test("if both fail the route goes on as after one failure, and each is written down", async () => {
  const gateway = await warm([after(150, fails(500))], { second: [fails(401)] });
  const { reply } = gateway.call();
  await gateway.clock.advance(200);
  const { attempts, model } = await reply;
  assert.equal(model, "rules/default");
  assert.deepEqual(
    attempts.slice(0, 2).map((attempt) => `${attempt.model} ${attempt.code}`),
    ["b/y model_auth", "openai/gpt-4o model_unavailable"],
  );
});

test("if the winner breaks off, what it said is void and the route goes on", async () => {
  const gateway = await warm([silent], { second: [after(10, breaks("Half")), usual] });
  const run = gateway.call();
  await gateway.clock.advance(500);
  const reply = await run.reply;
  assert.equal(reply.model, "b/y");
  assert.deepEqual(run.deltas.slice(0, 2), [{ type: "text", text: "Half" }, { type: "restart" }]);
});

test("a call that is cancelled ends both requests, and one that is interrupted pays for both", async () => {
  const gateway = await warm([silent], { second: [silent] });
  const cancelled = gateway.call();
  await gateway.clock.advance(150);
  const reason = new Error("cancelled");
  cancelled.stop.abort(reason);
  assert.equal(await cancelled.error, reason);
  const stop = new AbortController();
  const interrupted = gateway.call({ interruption: stop.signal });
  await gateway.clock.advance(150);
  stop.abort(new Error("interrupted"));
  const { finish, usage, attempts } = await interrupted.reply;
  assert.deepEqual([finish, usage.input > 0, attempts.length], ["interrupted", true, 1]);
  assert.ok((attempts[0]?.usage?.input ?? 0) > 0);
});

test("in an outage second requests end with the retry budget", async () => {
  const gateway = await warm([after(1_000, says("Slow"))], { second: [after(5_000, says("Slower"))] });
  const replies = Array.from({ length: 60 }, () => gateway.call().reply);
  await gateway.clock.advance(1_000);
  await Promise.all(replies);
  const hedged = asked(gateway).filter((model) => model === "b/y").length;
  assert.ok(hedged > 0 && hedged <= 32, `${hedged} second requests: at most what was saved up and a fifth`);
});
