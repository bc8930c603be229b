/** Answers given again to programs that ask for it: what the headers say, what a hit costs, and for whom it is one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "../../src/client/index.ts";
import type { MockScript } from "../../src/testing/mock-provider.ts";
import { startGateway, type GatewayService } from "../support/gateway-service.ts";

const model = "compatible/llama";
const config = { models: { [model]: { price: { input: 1, output: 1 } } } };
const usage = { input: 100, cached: 0, output: 50, reasoning: 0 };
const messages = [{ role: "user", content: "Hello" }];
const tools = [{ type: "function", function: { name: "look", parameters: { type: "object", properties: {} } } }];
const ttl = { "x-holdfast-cache-ttl": "60" };

/** Answers with the number of the request. */
const counting = (): MockScript => {
  let asked = 0;
  return () => ({ text: `Answer ${++asked}`, usage });
};

interface Asked {
  readonly path?: string;
  readonly body?: object;
  readonly headers?: Record<string, string>;
}

/** What the response says of the cache, and all that it says. */
async function ask(gateway: GatewayService, { path = "/v1/chat/completions", body = {}, headers = ttl }: Asked = {}) {
  const said = path.endsWith("responses") ? { input: "Hello" } : { messages };
  const response = await gateway.post(path, { model, ...said, ...body }, headers);
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return { cache: response.headers.get("x-holdfast-cache"), text };
}

const ledger = async ({ holdfast }: GatewayService) =>
  (await holdfast.store.usage({ tenant: "default", by: [], limit: 1 }))[0];

test("an equal call is given the answer again: whole or streamed, in either format, for nothing, and marked so", async () => {
  await using gateway = await startGateway({ config, script: counting() });
  const first = await ask(gateway);
  assert.equal(first.cache, "miss");
  const again = await ask(gateway);
  assert.equal(again.cache, "hit");
  const told = ({ text }: { text: string }) => {
    const { choices, usage: used } = JSON.parse(text) as { choices: unknown; usage: object };
    return { choices, used };
  };
  assert.deepEqual(told(again), told(first));
  const streamed = await ask(gateway, { body: { stream: true, stream_options: { include_usage: true } } });
  assert.equal(streamed.cache, "hit");
  assert.match(streamed.text, /"content":"Answer 1".*"prompt_tokens":100/s);
  for (const stream of [false, true]) {
    const response = await ask(gateway, { path: "/v1/responses", body: { stream } });
    assert.deepEqual([response.cache, /Answer 1/.test(response.text)], ["hit", true]);
  }
  const paid = await ledger(gateway);
  assert.deepEqual([gateway.provider.requests.length, paid?.calls, paid?.costMicros], [1, 1, 150]);
  const { caches } = await createClient({ baseUrl: gateway.url }).gateway();
  assert.deepEqual(
    caches?.answers.map(({ agent, lookups, hits }) => ({ agent, lookups, hits })),
    [{ agent: null, lookups: 5, hits: 4 }],
  );
});

test("who does not ask for it is answered anew, and nothing is said of a cache", async () => {
  await using gateway = await startGateway({ config, script: counting() });
  for (const headers of [{}, ttl, {}]) {
    const { cache } = await ask(gateway, { headers });
    assert.equal(cache, headers === ttl ? "miss" : null);
  }
  assert.equal(gateway.provider.requests.length, 3);
});

test("an answer that is older than the call takes is asked for anew", async () => {
  await using gateway = await startGateway({ config, script: counting() });
  await ask(gateway);
  await gateway.holdfast.store.database.script("update answer set kept_at = kept_at - interval '30 seconds'");
  assert.equal((await ask(gateway, { headers: { "x-holdfast-cache-ttl": "20" } })).cache, "miss");
  assert.equal((await ask(gateway, { headers: { "x-holdfast-cache-ttl": "20" } })).cache, "hit");
});

test("each key has its own answers, and a hit takes nothing of its budget", async () => {
  await using gateway = await startGateway({ config, script: counting() });
  const client = createClient({ baseUrl: gateway.url });
  const [one, two] = [
    await client.createKey({ name: "one", budget_usd: { total: 1 } }),
    await client.createKey({ name: "two", budget_usd: { total: 1 } }),
  ];
  const as = (key: { secret: string }) => ask(gateway, { headers: { ...ttl, authorization: `Bearer ${key.secret}` } });
  const outcomes = [await as(one), await as(one), await as(two)].map(({ cache }) => cache);
  assert.deepEqual(outcomes, ["miss", "hit", "miss"]);
  const spent = (await client.keys()).items.map(({ spent_usd: { total } }) => total);
  assert.deepEqual(spent, [0.00015, 0.00015]);
});

test("a call that offers tools is answered anew, unless it says that it may be given again, too", async () => {
  const script: MockScript = () => ({ calls: [{ name: "look", input: {} }], usage });
  await using gateway = await startGateway({ config, script });
  const outcomes = [];
  for (const more of [{}, {}, { "x-holdfast-cache-tools": "on" }, { "x-holdfast-cache-tools": "on" }]) {
    const { cache, text } = await ask(gateway, { body: { tools }, headers: { ...ttl, ...more } });
    outcomes.push(cache);
    assert.match(text, /"name":"look"/);
  }
  assert.deepEqual([outcomes, gateway.provider.requests.length], [[null, null, "miss", "hit"], 3]);
});

test("a header that makes no sense is refused", async () => {
  await using gateway = await startGateway({ config, script: counting() });
  const wrong = ["0", "soon", "1.5", "2592001", "-1"].map((value) => ({ "x-holdfast-cache-ttl": value }));
  for (const headers of [...wrong, { ...ttl, "x-holdfast-cache-tools": "yes" }]) {
    const response = await gateway.post("/v1/chat/completions", { model, messages }, headers);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    assert.deepEqual([response.status, error.code], [400, "invalid_request"], JSON.stringify(headers));
    assert.match(error.message, /x-holdfast-cache-/);
  }
  assert.equal(gateway.provider.requests.length, 0);
});
