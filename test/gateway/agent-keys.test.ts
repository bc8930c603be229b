/** Agents that are called with a virtual key: what their tasks use stands in the ledger under the key, and is charged to it. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createClient } from "../../src/client/index.ts";
import { defineAgent, defineTool } from "../../src/index.ts";
import type { Database } from "../../src/store/database.ts";
import { openPglite } from "../../src/store/pglite.ts";
import { migratedSnapshot } from "../support/databases.ts";
import { startGateway, type GatewayService } from "../support/gateway-service.ts";
import type { MockScript } from "../../src/testing/mock-provider.ts";
import { borrowed, until } from "../support/running-holdfast.ts";

const refund = defineTool({
  name: "refund",
  version: "1.0.0",
  description: "Refunds an order.",
  effect: "once",
  input: { type: "object" },
  approval: true,
  run: () => ({ refunded: true }),
});
const model = "compatible/llama";
const config = {
  // A dollar for a million tokens of either kind.
  models: { [model]: { price: { input: 1, output: 1 } } },
  agents: [
    defineAgent({ name: "desk", instructions: "Be of use.", model, tools: ["refund"], limits: { costUsd: 0.01 } }),
  ],
  tools: [refund],
};
const usage = { input: 100, cached: 0, output: 50, reasoning: 0 };
const script: MockScript = ({ messages }) =>
  messages.at(-1)?.role === "tool"
    ? { text: "It is refunded.", usage }
    : { calls: [{ name: "refund", input: {} }], usage };
const body = { model: "agent/desk", messages: [{ role: "user" as const, content: "Refund A-1" }] };

let database: Database;
before(async () => {
  database = await openPglite({ dataDir: "memory", snapshot: await migratedSnapshot() });
});
after(() => database.close());

const start = () => startGateway({ config, script, database: borrowed(database) });
const makeKey = ({ url }: GatewayService) => createClient({ baseUrl: url }).createKey({ name: "test" });
const spentOf = async ({ url }: GatewayService, { id }: { id: string }) =>
  (await createClient({ baseUrl: url }).keys()).items.find((key) => key.id === id)!.spent_usd.total;
const questionOf = ({ holdfast }: GatewayService) =>
  until(async () => (await holdfast.engine.approvals.list({ tenant: "default", status: "pending", limit: 1 }))[0]);
const approve = async (gateway: GatewayService): Promise<void> => {
  const { id } = await questionOf(gateway);
  await gateway.holdfast.engine.approvals.answer("default", id, { answer: { decision: "approve" }, by: "ana" });
};

test("each turn is in the ledger under the key, whose budget counts them", async () => {
  await using gateway = await start();
  const key = await makeKey(gateway);
  const answered = gateway.clientWith(key.secret).chat.completions.create(body);
  await approve(gateway);
  await answered;
  const { items } = await createClient({ baseUrl: gateway.url }).usage({ by: ["key", "agent"] });
  const mine = items.find(({ key_id: id }) => id === key.id);
  assert.deepEqual([mine?.agent, mine?.calls, mine?.cost_usd], ["desk", 2, 0.0003]);
  assert.equal(await spentOf(gateway, key), 0.0003);
});

test("a repeat with the same idempotency key is not charged a second time", async () => {
  await using gateway = await start();
  const key = await makeKey(gateway);
  const headers = { authorization: `Bearer ${key.secret}`, "idempotency-key": "once" };
  const ask = () => gateway.post("/v1/chat/completions", body, headers);
  const answers = [ask(), ask()];
  await approve(gateway);
  for (const answer of await Promise.all(answers)) assert.equal(answer.status, 200);
  assert.equal((await ask()).status, 200);
  assert.equal(await spentOf(gateway, key), 0.0003);
});

test("a task that outlives the gateway it came by is charged when it ends", async () => {
  const first = await start();
  const key = await makeKey(first);
  const broken = first.clientWith(key.secret).chat.completions.create(body);
  broken.catch(() => {});
  await questionOf(first);
  await first[Symbol.asyncDispose]();
  await using second = await start();
  assert.equal(await spentOf(second, key), 0.01, "all that the agent may spend is reserved");
  await approve(second);
  await until(async () => (await spentOf(second, key)) === 0.0003);
  await assert.rejects(broken);
});
