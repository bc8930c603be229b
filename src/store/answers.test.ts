import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { sql } from "../../test/support/stored-tasks.ts";
import { testStores } from "../../test/support/test-stores.ts";

const tenant = "acme";
const key = "0".repeat(64);
const answer = { parts: [{ type: "text", text: "a\0b" }], usage: { b: 1, a: 2 } };

for (const { name, database, store, empty } of await testStores()) {
  describe(`kept answers on ${name}`, () => {
    beforeEach(empty);

    const age = (seconds: number) =>
      database.query(sql("update answer set kept_at = kept_at - $1 * interval '1 second'", seconds));

    test("are found by their tenant and key, as old as they are", async () => {
      await store.keepAnswer({ tenant, key, answer, keepMs: 60_000 });
      await age(5);
      const [found, none, others] = await Promise.all([
        store.findAnswer({ tenant, key }),
        store.findAnswer({ tenant, key: "1".repeat(64) }),
        store.findAnswer({ tenant: "initech", key }),
      ]);
      assert.deepEqual([none, others], [undefined, undefined]);
      assert.deepEqual(found?.answer, { parts: [{ type: "text", text: "a\ufffdb" }], usage: { b: 1, a: 2 } });
      assert.ok(found.ageMs >= 5_000 && found.ageMs < 30_000, String(found.ageMs));
    });

    test("are replaced by younger ones, also by one kept at the same moment", async () => {
      await store.keepAnswer({ tenant, key, answer, keepMs: 60_000 });
      await age(5);
      await Promise.all([1, 2, 3].map((n) => store.keepAnswer({ tenant, key, answer: { n }, keepMs: 60_000 })));
      const found = await store.findAnswer({ tenant, key });
      assert.ok(found !== undefined && "n" in found.answer && found.ageMs < 5_000);
    });

    test("are not found when nobody asks for them any more, and are deleted then", async () => {
      const keep = (digit: string, keepMs: number) =>
        store.keepAnswer({ tenant, key: digit.repeat(64), answer, keepMs });
      await Promise.all([keep("1", 60_000), keep("2", 0), keep("3", 0), keep("4", 0)]);
      assert.equal(await store.findAnswer({ tenant, key: "2".repeat(64) }), undefined);
      assert.equal(await store.pruneAnswers({ limit: 2, dryRun: true }), 3);
      assert.equal(await store.pruneAnswers({ limit: 2, dryRun: false }), 2);
      assert.equal(await store.pruneAnswers({ limit: 2, dryRun: false }), 1);
      assert.equal(await store.pruneAnswers({ limit: 2, dryRun: false }), 0);
      assert.ok(await store.findAnswer({ tenant, key: "1".repeat(64) }));
    });
  });
}
