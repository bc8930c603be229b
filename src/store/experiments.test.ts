import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { sql } from "../../test/support/stored-tasks.ts";
import { testStores } from "../../test/support/test-stores.ts";
import type { DrillResultRow } from "./queries/experiments.ts";

const route = { first: "a/one", fallback: "b/two,c/three" };

const result = (path: DrillResultRow["path"], calls: number): DrillResultRow => {
  const spent = { tokens: 3_000_000_000, costMicros: 5, unpriced: 1 };
  return { ...route, ...spent, path, calls, answered: calls - 1, ms: [calls, 0, 1], ttftMs: [0, calls, 0] };
};

for (const { name, database, store } of await testStores()) {
  describe(`experiments on ${name}`, () => {
    beforeEach(() => database.script("delete from experiment; delete from drill_result"));

    test("are one of a kind, and end by themselves", async () => {
      await store.orderExperiment({ kind: "drill", value: { share: 0.5 }, leftMs: 60_000 });
      await store.orderExperiment({ kind: "drill", value: { share: 0.1 }, leftMs: 90_000 });
      await store.orderExperiment({ kind: "faults", value: { faults: [] }, leftMs: 0 });
      const [drill, ...others] = await store.experiments();
      assert.deepEqual([drill?.kind, drill?.value, others], ["drill", { share: 0.1 }, []]);
      assert.ok(drill !== undefined && drill.leftMs > 60_000 && drill.leftMs <= 90_000, String(drill?.leftMs));
      await store.endExperiment("drill");
      assert.deepEqual(await store.experiments(), []);
    });

    test("add up what processes hand in, side by side", async () => {
      await store.addDrillResults([]);
      await Promise.all(
        [1, 2, 3].map((calls) => store.addDrillResults([result("primary", calls), result("fallback", 10)])),
      );
      const found = await store.drillResults({ hours: 1, limit: 10 });
      const spent = { ...route, tokens: 9_000_000_000, costMicros: 15, unpriced: 3 };
      assert.deepEqual(found, [
        { ...spent, path: "fallback", calls: 30, answered: 27, ms: [30, 0, 3], ttftMs: [0, 30, 0] },
        { ...spent, path: "primary", calls: 6, answered: 3, ms: [6, 0, 3], ttftMs: [0, 6, 0] },
      ]);
    });

    test("are told by the hour, and forgotten after 90 days", async () => {
      const age = (days: number) =>
        database.query(sql("update drill_result set hour = hour - $1 * interval '1 day'", days));
      await store.addDrillResults([result("primary", 1)]);
      await age(2);
      await store.addDrillResults([result("primary", 2)]);
      const calls = async (hours: number): Promise<number[]> =>
        (await store.drillResults({ hours, limit: 10 })).map((each) => each.calls);
      assert.deepEqual([await calls(24), await calls(72)], [[2], [2, 1]]);
      await age(89);
      await store.addDrillResults([result("primary", 3)]);
      assert.deepEqual(await calls(100_000), [3, 2]);
    });
  });
}
