import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { testDatabases } from "../../test/support/databases.ts";
import { atTimeOf } from "../../test/support/running-holdfast.ts";
import { freeKey } from "../../test/support/virtual-keys.ts";
import { systemClock } from "../platform/clock.ts";
import { systemId } from "../platform/ids.ts";
import type { Database } from "../store/database.ts";
import { createStore } from "../store/store.ts";
import { allows, createVirtualKeys, type VirtualKeys } from "./virtual-keys.ts";

const noon = Date.parse("2026-11-29T12:00:00Z");
const hour = 3_600_000;

for (const { name, open } of await testDatabases()) {
  describe(`Virtual keys on ${name}`, () => {
    let database: Database;
    const clock = { now: noon };
    let keys: VirtualKeys;

    before(async () => {
      database = await open();
      keys = keysOn(atTimeOf({ now: () => clock.now } as never, database));
    });
    after(() => database.close());

    test("no key is needed until there is one, unless it is asked for", async () => {
      assert.equal(await keys.identify({ secret: undefined, needed: false }), null);
      assert.equal(await keys.identify({ secret: "anything", needed: false }), null);
      await assert.rejects(keys.identify({ secret: undefined, needed: true }), { code: "key_required" });
      await keys.create(freeKey);
      await assert.rejects(keys.identify({ secret: undefined, needed: false }), { code: "key_required" });
      await assert.rejects(keys.identify({ secret: "anything", needed: false }), { code: "key_invalid" });
    });

    test("a key is known by its secret, of which only a hash is kept", async () => {
      const { key, secret } = await keys.create({ ...freeKey, tenant: "acme" });
      assert.match(secret, /^hf_[\w-]{43}$/);
      assert.equal((await keys.identify({ secret, needed: false }))?.tenant, "acme");
      const rows = await database.query<{ row: string }>({
        text: "select k::text as row from virtual_key k where id = $1",
        values: [key.id],
      });
      assert.ok(!rows[0]!.row.includes(secret.slice(10)), rows[0]!.row);
      assert.ok(secret.startsWith(key.prefix));
    });

    test("a key that was revoked, or has expired, is of no use, in the middle of a call neither", async () => {
      const { key, secret } = await keys.create({ ...freeKey, expiresAt: noon + hour });
      const found = await keys.identify({ secret, needed: false });
      clock.now += hour;
      await assert.rejects(keys.identify({ secret, needed: false }), { code: "key_invalid" });
      await assert.rejects(keys.reserve(found!, { micros: 0, tokens: 0 }), { code: "key_invalid" });
      clock.now = noon;
      await keys.revoke(key.id);
      await assert.rejects(keys.identify({ secret, needed: false }), { code: "key_invalid" });
      await assert.rejects(keys.revoke(systemId()), { code: "key_not_found" });
    });

    test("what a call may cost is reserved, and what it cost is charged", async () => {
      const { key } = await keys.create({ ...freeKey, totalBudget: 100 });
      const first = await keys.reserve(key, { micros: 60, tokens: 10 });
      await assert.rejects(keys.reserve(key, { micros: 60, tokens: 10 }), { code: "key_budget_spent" });
      await first.settle({ micros: 25, tokens: 4 });
      const second = await keys.reserve(key, { micros: 60, tokens: 10 });
      await second.settle({ micros: 60, tokens: 4 });
      await assert.rejects(keys.reserve(key, { micros: 16, tokens: 10 }), { code: "key_budget_spent" });
      const listed = (await keys.list({ before: undefined, limit: 100 })).find(({ id }) => id === key.id);
      assert.deepEqual([listed?.daySpent, listed?.monthSpent, listed?.totalSpent], [85, 85, 85]);
    });

    test("a day and a month have budgets of their own, and begin anew", async () => {
      const { key } = await keys.create({ ...freeKey, dayBudget: 10, monthBudget: 25 });
      const spend = async (micros: number): Promise<void> =>
        (await keys.reserve(key, { micros, tokens: 0 })).settle({ micros, tokens: 0 });
      await spend(10);
      await assert.rejects(spend(1), /for the day.* 12 h/);
      clock.now += 24 * hour;
      await spend(10);
      // The first of December.
      clock.now += 24 * hour;
      await spend(10);
      clock.now += 24 * hour;
      await spend(10);
      clock.now += 24 * hour;
      await spend(5);
      await assert.rejects(spend(1), /for the month/);
      clock.now = noon;
    });

    test("what is settled on the day after does not touch that day", async () => {
      const { key } = await keys.create({ ...freeKey, dayBudget: 10, totalBudget: 100 });
      const late = await keys.reserve(key, { micros: 10, tokens: 0 });
      clock.now += 24 * hour;
      await (await keys.reserve(key, { micros: 4, tokens: 0 })).settle({ micros: 4, tokens: 0 });
      await late.settle({ micros: 2, tokens: 0 });
      const listed = (await keys.list({ before: undefined, limit: 100 })).find(({ id }) => id === key.id);
      assert.deepEqual([listed?.daySpent, listed?.totalSpent], [4, 6]);
      clock.now = noon;
    });

    test("a model without a price cannot be called on a budget", async () => {
      const { key } = await keys.create({ ...freeKey, dayBudget: 10 });
      await assert.rejects(keys.reserve(key, { micros: null, tokens: 1 }), { code: "key_price_unknown" });
    });

    test("requests and tokens are bounded in any minute", async () => {
      const { key } = await keys.create({ ...freeKey, requestsPerMinute: 3, tokensPerMinute: 100 });
      const first = await keys.reserve(key, { micros: 0, tokens: 90 });
      await assert.rejects(keys.reserve(key, { micros: 0, tokens: 20 }), {
        code: "key_rate_limited",
        retry: { afterMs: 61_000 },
      });
      await first.settle({ micros: 0, tokens: 30 });
      clock.now += 30_000;
      await keys.reserve(key, { micros: 0, tokens: 20 });
      await keys.reserve(key, { micros: 0, tokens: 20 });
      await assert.rejects(keys.reserve(key, { micros: 0, tokens: 1 }), { retry: { afterMs: 31_000 } });
      clock.now += 31_000;
      await keys.reserve(key, { micros: 0, tokens: 60 });
      await assert.rejects(keys.reserve(key, { micros: 0, tokens: 101 }), { code: "key_rate_limited", retry: "never" });
      clock.now = noon;
    });

    test("calls at the same time never pass a budget together", async () => {
      const { key } = await keys.create({ ...freeKey, totalBudget: 100, requestsPerMinute: 50 });
      const asked = Array.from({ length: 40 }, () => keys.reserve(key, { micros: 9, tokens: 1 }));
      const outcomes = await Promise.allSettled(asked);
      assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 11);
    });
  });
}

function keysOn(database: Database): VirtualKeys {
  return createVirtualKeys({ store: createStore(database), newId: systemId, clock: systemClock });
}

test("a pattern names models; a star stands for any characters, and no other sign for anything", () => {
  const cases: [patterns: string[], model: string, allowed: boolean][] = [
    [[], "openai/gpt-5", true],
    [["openai/gpt-5"], "openai/gpt-5", true],
    [["openai/gpt-5"], "openai/gpt-5-mini", false],
    [["openai/*"], "openai/gpt-5", true],
    [["openai/*"], "anthropic/openai/x", false],
    [["*"], "agent/support", true],
    [["*-mini", "agent/*"], "openai/gpt-5-mini", true],
    [["a*b*c"], "aXbYc", true],
    [["a*b*c"], "abc", true],
    [["a*b*c"], "acb", false],
    [["ab*ba"], "aba", false],
    [["open.i/*"], "openai/gpt-5", false],
  ];
  for (const [models, model, allowed] of cases)
    assert.equal(allows({ models }, model), allowed, `${models.join()} ${model}`);
});
