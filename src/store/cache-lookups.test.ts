import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { sql } from "../../test/support/stored-tasks.ts";
import { testStores } from "../../test/support/test-stores.ts";
import { systemId } from "../platform/ids.ts";
import type { CacheLookupRow } from "./queries/cache-lookups.ts";
import type { UsageRow } from "./queries/usage.ts";

const looked = (more: Partial<CacheLookupRow>): CacheLookupRow => {
  const none = { hits: 0, shared: 0, stale: 0, misses: 0, savedTokens: 0, savedMicros: 0 };
  return { agent: "desk", model: "openai/gpt-5", ...none, ...more };
};

const paid = (more: Partial<UsageRow["usage"]>, row: Partial<UsageRow> = {}): UsageRow => ({
  id: systemId(),
  model: "openai/gpt-5",
  code: null,
  at: Date.now(),
  usage: { input: 100, cached: 0, output: 5, reasoning: 0, estimated: false, ...more },
  costMicros: 1,
  tenant: "default",
  agent: null,
  sessionId: null,
  userId: null,
  keyId: null,
  ...row,
});

for (const { name, database, store } of await testStores()) {
  describe(`hits of the caches on ${name}`, () => {
    beforeEach(() => database.script("delete from cache_lookup; delete from usage"));
    const last = { hours: 24, limit: 10 };

    test("add up what processes hand in, side by side, the most asked first", async () => {
      await store.addCacheLookups([]);
      const other = looked({ agent: "", model: "b/two", stale: 1 });
      const rows = [looked({ hits: 2, shared: 1, savedTokens: 3_000_000_000, savedMicros: 7 }), other];
      await Promise.all([rows, rows, [looked({ misses: 1 })]].map((each) => store.addCacheLookups(each)));
      assert.deepEqual(await store.cacheLookups(last), [
        looked({ hits: 4, shared: 2, misses: 1, savedTokens: 6_000_000_000, savedMicros: 14 }),
        { ...other, stale: 2 },
      ]);
    });

    test("are told by the hour, and forgotten after 90 days", async () => {
      const age = (days: number) =>
        database.query(sql("update cache_lookup set hour = hour - $1 * interval '1 day'", days));
      const hits = async (hours: number): Promise<number[]> =>
        (await store.cacheLookups({ hours, limit: 10 })).map((each) => each.hits);
      await store.addCacheLookups([looked({ hits: 1 })]);
      await age(2);
      await store.addCacheLookups([looked({ hits: 2 })]);
      assert.deepEqual([await hits(24), await hits(72)], [[2], [3]]);
      await age(89);
      await store.addCacheLookups([looked({ hits: 4 })]);
      assert.deepEqual(await hits(2_400), [6]);
    });

    test("of prompts are those of the ledger, of all tenants, as far as the provider reported them", async () => {
      await store.recordUsage([
        paid({ cached: 80 }),
        paid({ cached: 10 }, { tenant: "other" }),
        paid({ input: 50 }, { model: "b/two" }),
        paid({ estimated: true }),
        paid({ output: 0 }, { model: "openai/embedder" }),
        paid({}, { model: "rules/default" }),
        paid({}, { purpose: "evaluation" }),
        paid({ cached: 100 }, { at: Date.now() - 25 * 3_600_000 }),
      ]);
      assert.deepEqual(await store.promptCaching(last), [
        { model: "openai/gpt-5", calls: 2, input: 200, cached: 90 },
        { model: "b/two", calls: 1, input: 50, cached: 0 },
      ]);
      assert.equal((await store.promptCaching({ hours: 48, limit: 1 }))[0]?.cached, 190);
    });
  });
}
