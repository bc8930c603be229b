import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openGateway, fails, says } from "../../../test/support/model-behaviours.ts";
import { startService, type TestService } from "../../../test/support/http-service.ts";
import { plainRoute } from "../../agent/route.ts";

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
  assert.deepEqual((await service.call("GET", "/gateway")).json, { models: [] });
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
