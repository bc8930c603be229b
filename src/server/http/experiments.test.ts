import assert from "node:assert/strict";
import { test } from "node:test";
import { startService, type TestServiceOptions } from "../../../test/support/http-service.ts";
import { deskConfig, obedientModel } from "../../../test/support/obedient-model.ts";
import { plainRoute } from "../../agent/route.ts";
import { createHoldfast } from "../../holdfast.ts";
import { readSettings } from "../../platform/settings.ts";

const gameDay: Partial<TestServiceOptions> = { holdfast: { settings: readSettings({ HOLDFAST_GAME_DAY: "on" }) } };
const routeOfTwo = plainRoute(["a/one", "b/two"]);
const fault = { model: "openai/*", kind: "error", error: "model_rate_limited", share: 0.5, retry_after_ms: 2_000 };

test("faults are refused where the environment has no game day, and nothing is kept", async () => {
  const service = await startService({ gateway: obedientModel() });
  try {
    const { status, json } = await service.call("PUT", "/gateway/faults", { body: { faults: [fault] } });
    assert.deepEqual([status, json.code], [403, "game_day_off"]);
    assert.match(json.detail, /HOLDFAST_GAME_DAY=on/);
    const { json: none } = await service.call("GET", "/gateway/faults");
    assert.deepEqual(none, { game_day: false, items: [] });
    assert.deepEqual(await service.holdfast.store.experiments(), []);
    // What another environment has ordered in the same store does no harm here.
    await service.holdfast.store.orderExperiment({ kind: "faults", value: { faults: [fault] }, leftMs: 60_000 });
    await service.holdfast.experiments.end("drill");
    assert.deepEqual(service.holdfast.experiments.faults.active, []);
  } finally {
    await service.close();
  }
});

test("a config with faults does not start where the environment has no game day", async () => {
  const config = { ...deskConfig, gateway: { faults: [{ model: "*", kind: "hang" as const }] } };
  const settings = readSettings({ HOLDFAST_DATA: "memory", HOLDFAST_LOG_LEVEL: "silent" });
  await assert.rejects(createHoldfast(config, { settings, parts: { gateway: obedientModel() } }), {
    code: "game_day_off",
  });
});

test("faults are ordered for a while, replaced and ended", async () => {
  const service = await startService({ gateway: obedientModel(), ...gameDay });
  try {
    const put = (body: unknown) => service.call("PUT", "/gateway/faults", { body });
    const first = await put({ faults: [fault, { model: "*", kind: "cut" }], for_ms: 60_000 });
    assert.equal(first.status, 200);
    assert.deepEqual(
      first.json.items.map(({ ends_at: _end, ...each }: { ends_at: string }) => each),
      [fault, { model: "*", kind: "cut", share: 1, after: 3 }],
    );
    const leftMs = Date.parse(first.json.items[0].ends_at) - Date.now();
    assert.ok(leftMs > 30_000 && leftMs < 61_000, String(leftMs));
    const { items } = await service.client.injectFaults({ faults: [{ model: "a/b", kind: "latency", ms: 5 }] });
    assert.deepEqual(
      items.map(({ kind }) => kind),
      ["latency"],
    );
    assert.equal((await service.call("DELETE", "/gateway/faults")).status, 204);
    assert.deepEqual(await service.client.faults(), { game_day: true, items: [] });
  } finally {
    await service.close();
  }
});

test("faults that make no sense are refused with the place", async () => {
  const service = await startService({ gateway: obedientModel(), ...gameDay });
  try {
    const wrong: [body: object, path: string][] = [
      [{ faults: [] }, "/faults"],
      [{ faults: [{ model: "*", kind: "fire" }] }, "/faults/0/kind"],
      [{ faults: [{ model: "*", kind: "hang", ms: 5 }] }, "/faults/0/ms"],
      [{ faults: [fault], for_ms: 86_400_001 }, "/for_ms"],
    ];
    for (const [body, path] of wrong) {
      const { status, json } = await service.call("PUT", "/gateway/faults", { body });
      assert.deepEqual([status, json.path], [400, path], JSON.stringify(json));
    }
  } finally {
    await service.close();
  }
});

test("a drill is started for a while, does its share, and shows both paths side by side", async () => {
  const models: string[] = [];
  const gateway = obedientModel();
  const service = await startService({
    gateway: {
      call: async (request) => {
        const reply = await gateway.call(request);
        models.push(reply.model);
        return { ...reply, costMicros: reply.model === "b/two" ? 900 : 100, ttftMs: 40 };
      },
    },
    config: { agents: deskConfig.agents.map((agent) => ({ ...agent, model: routeOfTwo })) },
    holdfast: { parts: { random: () => 0.4 } },
  });
  try {
    assert.deepEqual(await service.client.drill(), { share: 0, source: null, ends_at: null, routes: [] });
    const run = () => service.client.run({ agent: "desk", prompt: "say x" });
    await run();
    const { json } = await service.call("PUT", "/gateway/drill", { body: { share: 0.5 } });
    assert.deepEqual([json.share, json.source, json.routes], [0.5, "request", []]);
    const { task_id: taskId } = await run();
    const { items } = await service.client.journal(taskId);
    const [turn] = items;
    assert.ok(turn?.kind === "model");
    assert.equal(turn.choice?.strategy, "drill");
    await service.client.startDrill({ share: 0.3 });
    await run();
    assert.deepEqual(models, ["a/one", "b/two", "a/one"]);
    const { routes } = await service.client.drill({ hours: 2 });
    assert.equal(routes.length, 1);
    const { primary, fallback } = routes[0]!;
    assert.deepEqual(
      [primary.models, primary.calls, primary.success_share, primary.cost_usd],
      [["a/one"], 1, 1, 0.0001],
    );
    assert.deepEqual(
      [fallback.models, fallback.calls, fallback.success_share, fallback.cost_per_call_usd],
      [["b/two"], 1, 1, 0.0009],
    );
    assert.ok((fallback.ttft_ms.p50 ?? 0) >= 40);
    assert.equal((await service.call("DELETE", "/gateway/drill")).status, 204);
    assert.equal((await service.client.drill()).share, 0);
    const { status, json: refused } = await service.call("PUT", "/gateway/drill", { body: { share: 0 } });
    assert.deepEqual([status, refused.path], [400, "/share"]);
  } finally {
    await service.close();
  }
});
