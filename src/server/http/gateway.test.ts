import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openGateway, fails, says } from "../../../test/support/model-behaviours.ts";
import { startService, type TestService } from "../../../test/support/http-service.ts";
import { deskConfig } from "../../../test/support/obedient-model.ts";
import { plainRoute } from "../../agent/route.ts";
import { scriptedGateway } from "../../testing/scripted-model.ts";

const models = openGateway(
  { "openai/gpt-5": [fails(503)], "anthropic/claude-sonnet-4-6": [says("Hi"), fails(500)] },
  { attempts: 1, breaker: { consecutiveFailures: 1, openMs: 60_000 } },
);
const [primary, second] = ["openai/gpt-5", "anthropic/claude-sonnet-4-6"];
let service: TestService;
before(async () => {
  service = await startService({ gateway: models.gateway });
});
after(() => service.close());

const checkOf = (json: { checks: { name: string }[] }) => json.checks.find(({ name }) => name === "routes");
const ready = async () => service.call("GET", "/ready");

test("GET /gateway shows each model that was called: breaker, gate, attempts and how fast it answers", async () => {
  const before = (await service.call("GET", "/gateway")).json;
  assert.deepEqual([before.models, before.experiments.faults], [[], 0]);
  await models.call().reply;
  const { json } = await service.call("GET", "/gateway");
  const [out, well] = json.models;
  assert.deepEqual(out.breaker, {
    state: "open",
    open_until: "1970-01-01T00:01:00.000Z",
    consecutive_failures: 1,
    calls: 1,
    failures: 1,
    last_failure: { at: "1970-01-01T00:00:00.000Z", code: "model_unavailable", message: "HTTP 503" },
  });
  assert.deepEqual([out.model, out.attempts.failed, out.ttft_ms], [primary, 1, null]);
  assert.deepEqual([well.model, well.breaker.state, well.attempts.answered], [second, "closed", 1]);
  assert.deepEqual(well.ttft_ms, { p50: 0, p95: 0, p99: 0, count: 1 });
});

test("GET /gateway shows the routes, and which of their models are out", async () => {
  const route = plainRoute([primary, second]);
  const config = {
    agents: deskConfig.agents.map((agent) => ({ ...agent, model: route })),
    gateway: { routes: { both: route } },
  };
  const routed = await startService({ gateway: models.gateway, config });
  try {
    const { json } = await routed.call("GET", "/gateway");
    const found = json.routes.map(({ name, ...rest }: { name: string }) => [name, rest]);
    const expected = { models: [primary, second], out: [primary] };
    assert.deepEqual(found, [
      ["agent/desk", expected],
      ["agent/short", expected],
      ["both", expected],
    ]);
  } finally {
    await routed.close();
  }
});

test("GET /gateway shows how often both caches hit, by agent and model, in all processes", async () => {
  const gateway = scriptedGateway(() => ({ text: "Hi.", usage: { input: 80, cached: 60 }, costMicros: 500 }));
  const cached = deskConfig.agents.map((agent) => ({
    ...agent,
    model: plainRoute([primary]),
    cache: { ttlMs: 60_000, staleMs: 0 },
  }));
  const asked = await startService({ gateway, config: { agents: cached } });
  try {
    for (const prompt of ["one", "one", "one", "two"]) await asked.client.run({ agent: "desk", prompt });
    // What another process has handed in.
    const other = {
      agent: "desk",
      model: primary,
      hits: 4,
      shared: 0,
      stale: 1,
      misses: 1,
      savedTokens: 10,
      savedMicros: 9_000,
    };
    await asked.holdfast.store.addCacheLookups([other, { ...other, agent: "" }]);
    const { caches } = await asked.client.gateway({ hours: 2 });
    const counts = { model: primary, hits: 4, shared: 0, stale: 1, misses: 1 };
    assert.deepEqual(caches?.answers, [
      { agent: "desk", ...counts, hits: 6, misses: 3, lookups: 10, hit_share: 0.7, saved_tokens: 180, saved_usd: 0.01 },
      { agent: null, ...counts, lookups: 6, hit_share: 5 / 6, saved_tokens: 10, saved_usd: 0.009 },
    ]);
    assert.deepEqual(caches?.prompts, [
      { model: primary, calls: 2, input_tokens: 160, cached_tokens: 120, hit_share: 0.75 },
    ]);
    const { text } = await asked.call("GET", "/metrics");
    assert.match(text, /holdfast_cache_lookups_total\{outcome="hit",agent="desk",model="openai\/gpt-5"\} 2/);
    assert.match(text, /holdfast_cache_saved_cost_total\{agent="desk",model="openai\/gpt-5"\} 1000/);
  } finally {
    await asked.close();
  }
});

test("GET /gateway is there while the store is away: the rest is as this process sees it", async () => {
  const alone = await startService({ gateway: models.gateway });
  await alone.holdfast.stop();
  const { caches, models: seen } = await alone.client.gateway();
  assert.deepEqual([caches, seen.length], [null, 2]);
  await alone.server.close();
});

test("/ready says whose models are all out, and stays 200: tasks are taken, and wait", async () => {
  // The agents of this service have no route of their own: theirs is rules/default, which does not go out.
  assert.deepEqual(
    [(await ready()).json.status, checkOf((await ready()).json)],
    ["ready", { name: "routes", ok: true, detail: "no agent's models are all out" }],
  );
  const down = openGateway({ "rules/default": [fails(500)] }, { attempts: 1, breaker: { consecutiveFailures: 1 } });
  await down.call({ route: plainRoute(["rules/default"]) }).error;
  const alone = await startService({ gateway: down.gateway });
  const { status, json } = await alone.call("GET", "/ready");
  assert.deepEqual([status, json.status], [200, "degraded"]);
  assert.match(
    (checkOf(json) as unknown as { detail: string }).detail,
    /^all models are out, and tasks wait: .*rules\/default/,
  );
  assert.equal((await alone.call("GET", "/health")).status, 200);
  await alone.close();
});
