import assert from "node:assert/strict";
import { test } from "node:test";
import { defineAgent } from "../agent/definition.ts";
import { queueRules } from "./queue-rules.ts";

const agentOf = (queue: { maxRunning?: number; maxWaiting?: number }) =>
  defineAgent({ name: "desk", instructions: "Be of use.", queue });

test("without rules tenants are even and nothing but the queue itself is bounded", () => {
  const rules = queueRules({ agents: [agentOf({})] });
  assert.deepEqual(rules.shares, {
    tenant: { weight: 1, maxRunning: null },
    tenants: new Map(),
    agents: new Map(),
  });
  assert.deepEqual([rules.maxWaiting, rules.maxPerSession], [10_000, 1_000]);
  assert.deepEqual([rules.maxWaitingOfTenant("ada"), rules.maxWaitingOfAgent("desk")], [undefined, undefined]);
  assert.equal(rules.limitsRunning("ada", "desk"), false);
});

test("what a tenant of its own does not say is as for all", () => {
  const rules = queueRules({
    agents: [agentOf({ maxWaiting: 7 })],
    tenantRules: { maxRunning: 5, maxWaiting: 50 },
    tenants: { ada: { weight: 3, maxWaiting: 90 } },
  });
  assert.deepEqual(rules.shares.tenants.get("ada"), { weight: 3, maxRunning: 5 });
  assert.deepEqual([rules.maxWaitingOfTenant("ada"), rules.maxWaitingOfTenant("bob")], [90, 50]);
  assert.equal(rules.maxWaitingOfAgent("desk"), 7);
  assert.equal(rules.limitsRunning("bob", "desk"), true);
});

test("an agent's bound holds whoever asks", () => {
  const rules = queueRules({ agents: [agentOf({ maxRunning: 2 })] });
  assert.deepEqual([...rules.shares.agents], [["desk", 2]]);
  assert.equal(rules.limitsRunning("ada", "desk"), true);
});

test("a bound that is none is refused by its path", () => {
  const path = (options: object) => {
    try {
      queueRules({ agents: [agentOf({})], ...options });
      return undefined;
    } catch (error) {
      return (error as { path: string }).path;
    }
  };
  assert.equal(path({ maxWaiting: 0 }), "/maxWaiting");
  assert.equal(path({ maxPerSession: 1.5 }), "/maxPerSession");
  assert.equal(path({ tenantRules: { weight: 101 } }), "/tenantRules/weight");
  assert.equal(path({ tenants: { ada: { maxRunning: -1 } } }), "/tenants/ada/maxRunning");
  assert.throws(() => agentOf({ maxRunning: 0 }), { code: "invalid_agent", path: "/queue/maxRunning" });
});
