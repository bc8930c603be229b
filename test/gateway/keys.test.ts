/** Virtual keys at the gateway's endpoints: who is let in, what is charged, what stands in the ledger. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Database } from "../../src/store/database.ts";
import { openPostgres } from "../../src/store/postgres.ts";
import { migrate } from "../../src/store/migrate.ts";
import { createClient, type KeyBody } from "../../src/client/index.ts";
import { createServerDatabase } from "../support/databases.ts";
import { startGateway, type GatewayService } from "../support/gateway-service.ts";

const hello = [{ role: "user" as const, content: "Hello" }];
const model = "compatible/llama";
// A dollar for a million tokens of either kind.
const config = { models: { [model]: { price: { input: 1, output: 1 } } } };
const usage = { input: 100, cached: 0, output: 50, reasoning: 0 };

const makeKey = async ({ url }: GatewayService, body: Partial<KeyBody> = {}) =>
  createClient({ baseUrl: url }).createKey({ name: "test", ...body });
const listed = async ({ url }: GatewayService, id: string) =>
  (await createClient({ baseUrl: url }).keys()).items.find((key) => key.id === id)!;
const ledger = (database: Database) =>
  database.query<Record<string, unknown>>({
    text: "select model, tenant, key_id, input, output, cost_micros, code, estimated from usage order by at",
    values: [],
  });

test("without any key the endpoints are open; once there is one it is required", async () => {
  await using gateway = await startGateway({ config, script: () => ({ text: "Yes" }) });
  const ask = (apiKey: string) => gateway.clientWith(apiKey).chat.completions.create({ model, messages: hello });
  await ask("anything");
  const key = await makeKey(gateway);
  await ask(key.secret);
  await assert.rejects(ask("anything"), { status: 401, code: "invalid_api_key" });
  const answer = await gateway.post("/v1/embeddings", { model, input: "a" });
  assert.equal(answer.status, 401);
  assert.equal((await fetch(`${gateway.baseURL}/models`)).status, 401);
  await createClient({ baseUrl: gateway.url }).revokeKey(key.id);
  await assert.rejects(ask(key.secret), { status: 401, code: "invalid_api_key" });
  assert.equal((await listed(gateway, key.id)).status, "revoked");
});

test("a key is for its models alone, and lists no others", async () => {
  await using gateway = await startGateway({ config, script: () => ({ text: "Yes" }) });
  const { secret } = await makeKey(gateway, { models: ["compatible/*"] });
  const client = gateway.clientWith(secret);
  await client.chat.completions.create({ model, messages: hello });
  const denied = client.chat.completions.create({ model: "agent/helper", messages: hello });
  await assert.rejects(denied, { status: 403, code: "key_model_denied", param: "model" });
  const names = [];
  for await (const { id } of client.models.list()) names.push(id);
  assert.deepEqual(names, [model]);
});

for (const stream of [false, true]) {
  test(`what a ${stream ? "streamed" : "plain"} call used is charged to its key and stands in the ledger`, async () => {
    await using gateway = await startGateway({ config, script: [{ text: "It was shipped.", usage }] });
    const key = await makeKey(gateway, { budget_usd: { day: 1 }, tenant: "acme" });
    const answer = await gateway.clientWith(key.secret).chat.completions.create({ model, messages: hello, stream });
    if ("controller" in answer) for await (const _ of answer);
    assert.deepEqual((await listed(gateway, key.id)).spent_usd, { day: 0.00015, month: 0.00015, total: 0.00015 });
    assert.deepEqual(await ledger(gateway.holdfast.store.database), [
      {
        model,
        tenant: "acme",
        key_id: key.id,
        input: 100,
        output: 50,
        cost_micros: 150,
        code: null,
        estimated: false,
      },
    ]);
    const { max_tokens: bound } = gateway.provider.requests[0]!.body;
    assert.equal(bound, 8_192, "A key with a budget bounds what an answer may cost.");
  });
}

test("a client that leaves pays for what was said by then", async () => {
  await using gateway = await startGateway({
    config,
    script: [{ fault: "hang", after: 3, reply: { text: "It was shipped, I think.", chunkChars: 4 } }],
  });
  const key = await makeKey(gateway, { budget_usd: { day: 1 } });
  const client = gateway.clientWith(key.secret);
  const stream = await client.chat.completions.create({ model, messages: hello, stream: true });
  for await (const { choices } of stream) if (choices[0]?.delta.content) break;
  const settled = async () => (await ledger(gateway.holdfast.store.database))[0];
  let row = await settled();
  for (; row === undefined; row = await settled()) await new Promise(setImmediate);
  assert.ok(row["estimated"] && Number(row["input"]) > 0 && Number(row["output"]) > 0, JSON.stringify(row));
  const spent = async () => (await listed(gateway, key.id)).spent_usd.total * 1e6;
  for (let micros = await spent(); Math.round(micros) !== row["cost_micros"]; micros = await spent());
});

test("a budget that is spent is a 429 that is of no use to repeat", async () => {
  await using gateway = await startGateway({ config, script: () => ({ text: "Yes", usage }) });
  const { secret } = await makeKey(gateway, { budget_usd: { total: 0.001 } });
  const ask = () => gateway.clientWith(secret).chat.completions.create({ model, messages: hello, max_tokens: 800 });
  await ask();
  await ask();
  await assert.rejects(ask(), ({ status, code, headers }) => {
    assert.deepEqual([status, code, headers.get("x-should-retry")], [429, "insufficient_quota", "false"]);
    return true;
  });
});

test("too many requests are a 429 that says when to come again", async () => {
  await using gateway = await startGateway({ config, script: () => ({ text: "Yes" }) });
  const { secret } = await makeKey(gateway, { requests_per_minute: 1 });
  const ask = () => gateway.clientWith(secret).chat.completions.create({ model, messages: hello });
  await ask();
  await assert.rejects(ask(), ({ status, code, headers }) => {
    assert.deepEqual([status, code], [429, "rate_limit_exceeded"]);
    assert.ok(Number(headers.get("retry-after")) > 50);
    return true;
  });
});

test("an agent is charged to the key by its ceilings, and then by what it used", async () => {
  await using gateway = await startGateway({ config, script: [{ text: "Yes", usage }] });
  const key = await makeKey(gateway, { budget_usd: { total: 0.01 } });
  const client = gateway.clientWith(key.secret);
  await client.chat.completions.create({ model: "agent/helper", messages: hello });
  assert.equal((await listed(gateway, key.id)).spent_usd.total, 0.00015);
  await assert.rejects(
    (
      await makeKey(gateway, { budget_usd: { total: 0.005 } }).then(({ secret }) => gateway.clientWith(secret))
    ).chat.completions.create({
      model: "agent/helper",
      messages: hello,
    }),
    { code: "insufficient_quota" },
  );
});

describe("Several processes", () => {
  test("never pass a budget together", async (t) => {
    const server = await createServerDatabase();
    if (server === undefined) return t.skip("PostgreSQL is not reachable");
    try {
      const open = () => openPostgres({ url: server.url });
      const first = await open();
      await migrate(first);
      const others = await Promise.all([open(), open(), open()]);
      const script = () => ({ text: "Yes", usage, latencyMs: 20 });
      const gateways = await Promise.all(
        [first, ...others].map((database) => startGateway({ config, script, database })),
      );
      const key = await makeKey(gateways[0]!, { budget_usd: { total: 0.005 } });
      // Each may cost some 1,000 and costs 150: at most four go at once, and 33 in all.
      const ask = (gateway: GatewayService) =>
        gateway.clientWith(key.secret).chat.completions.create({ model, messages: hello, max_tokens: 1_000 });
      let most = 0;
      let answered = 0;
      for (let round = 0; round < 12; round++) {
        const asked = gateways.flatMap((gateway) => [ask(gateway), ask(gateway)]);
        const outcomes = await Promise.allSettled(asked);
        answered += outcomes.filter(({ status }) => status === "fulfilled").length;
        most = Math.max(most, (await listed(gateways[0]!, key.id)).spent_usd.total);
      }
      assert.ok(most <= 0.005, `${most} was spent`);
      assert.ok(answered >= 20 && answered <= 33, `${answered} calls were answered`);
      assert.equal((await ledger(first)).length, answered);
      for (const gateway of gateways) await gateway[Symbol.asyncDispose]();
    } finally {
      await server.drop();
    }
  });
});
