/** Tasks that a virtual key pays for: the ledger names the key, and the end of a task charges it with what it came to. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { testDatabases } from "../../test/support/databases.ts";
import { turn } from "../../test/support/journal-builders.ts";
import { atTimeOf } from "../../test/support/running-holdfast.ts";
import { noProgress, openDesk, sql, type TaskDesk } from "../../test/support/stored-tasks.ts";
import { freeKey } from "../../test/support/virtual-keys.ts";
import type { Entry } from "../agent/journal.ts";
import { systemId } from "../platform/ids.ts";
import type { Database } from "./database.ts";
import { createStore, type Store } from "./store.ts";
import type { ClaimedTask } from "./task-row.ts";

const day = 86_400_000;
const noon = Date.UTC(2026, 10, 29, 12);
const usage = { input: 100, cached: 0, output: 20, reasoning: 0, estimated: false };

function turnOf(seq: number, costMicros: number | null): Entry {
  return { ...turn({ text: "Hi." }), usage, costMicros, attempts: [], seq, at: noon } as Entry;
}

for (const { name, open } of await testDatabases()) {
  describe(`A task of a virtual key, on ${name}`, () => {
    const clock = { now: noon };
    let database: Database;
    let store: Store;
    let desk: TaskDesk;
    before(async () => {
      database = atTimeOf({ now: () => clock.now } as never, await open());
      store = createStore(database);
    });
    beforeEach(() => {
      clock.now = noon;
      desk = openDesk(store);
    });
    after(() => database.close());

    /** A key, charged with 100 micro-dollars for a task. */
    const chargedKey = async () => {
      const id = systemId();
      await store.addKey({ ...freeKey, id, hash: id, prefix: "hf_" });
      await store.reserveKey({ id, micros: 100, tokens: 0 });
      return { id, chargedMicros: 100 };
    };
    const spent = async ({ id }: { id: string }) => {
      const { key } = await store.findKey(id);
      return [key?.daySpent, key?.monthSpent, key?.totalSpent];
    };
    const end = (task: ClaimedTask, costMicros: number | null, entries: readonly Entry[] = []) =>
      store.finish({
        ...task,
        taskId: task.id,
        entries,
        result: { ...noProgress, costMicros, status: "completed", error: null, errorMessage: "" },
      });

    test("has its key in every row of the ledger, whichever statement wrote it", async () => {
      const key = await chargedKey();
      const [first, second, third] = [await desk.held({ key }), await desk.held({ key }), await desk.held({ key })];
      await store.append({ taskId: first.id, epoch: first.epoch, entries: [turnOf(1, 1)] });
      await end(first, 3, [turnOf(2, 2)]);
      const parking = { ...second, taskId: second.id, entries: [turnOf(1, 4)], wakeInMs: null, progress: noProgress };
      await store.park(parking);
      await store.hear({ taskId: third.id, epoch: third.epoch, entries: [turnOf(1, 8)], messageIds: [] });
      const rows = await database.query<{ cost: number }>(
        sql("select cost_micros as cost from usage where key_id = $1 order by 1", key.id),
      );
      assert.deepEqual(
        rows.map(({ cost }) => cost),
        [1, 2, 4, 8],
      );
    });

    test("charges it with what it came to when it ends, instead of what was reserved", async () => {
      const [one, other] = [await chargedKey(), await chargedKey()];
      const tasks = [await desk.held({ key: one }), await desk.held({ key: other }), await desk.held()];
      assert.deepEqual(await spent(one), [100, 100, 100]);
      await Promise.all(tasks.map((task, index) => end(task, 30 + index)));
      assert.deepEqual([await spent(one), await spent(other)], [Array(3).fill(30), Array(3).fill(31)]);
      await end(tasks[0]!, 30);
      assert.deepEqual(await spent(one), [30, 30, 30], "an end that is repeated settles nothing again");
    });

    test("leaves it charged where the price is unknown", async () => {
      const key = await chargedKey();
      await end(await desk.held({ key }), null);
      assert.deepEqual(await spent(key), [100, 100, 100]);
    });

    test("gives back to the day it was submitted on, and takes more from the day it ends on", async () => {
      const [cheap, dear] = [await chargedKey(), await chargedKey()];
      const [saving, wasting] = [await desk.held({ key: cheap }), await desk.held({ key: dear })];
      clock.now += day;
      await store.reserveKey({ id: cheap.id, micros: 5, tokens: 0 });
      await end(saving, 40);
      await end(wasting, 140);
      assert.deepEqual(
        [await spent(cheap), await spent(dear)],
        [
          [5, 45, 45],
          [40, 140, 140],
        ],
      );
    });

    test("gives all back if it is cancelled before it ran, and later all but what the ledger has", async () => {
      const [idle, begun] = [await chargedKey(), await chargedKey()];
      const { id, tenant } = await desk.submit({ key: idle });
      await store.cancel({ tenant, id, by: "bob" });
      assert.deepEqual(await spent(idle), [0, 0, 0]);
      const task = await desk.held({ key: begun });
      await store.append({ taskId: task.id, epoch: task.epoch, entries: [turnOf(1, 7), turnOf(2, 8)] });
      await store.release({ taskId: task.id, epoch: task.epoch, pauseMs: 0 });
      await store.cancel({ tenant: task.tenant, id: task.id, by: "bob" });
      assert.deepEqual(await spent(begun), [15, 15, 15]);
    });

    test("charges it again for what a replay adds", async () => {
      const key = await chargedKey();
      const task = await desk.held({ key });
      const failed = { ...noProgress, costMicros: 20, status: "failed", error: "x", errorMessage: "" } as const;
      await store.finish({ ...task, taskId: task.id, entries: [], result: failed });
      assert.deepEqual(await spent(key), [20, 20, 20]);
      await store.replay({ tenant: task.tenant, id: task.id, prompt: null, by: "bob" });
      const [again] = await desk.claim(await desk.worker());
      await end(again!, 50);
      assert.deepEqual(await spent(key), [50, 50, 50]);
    });
  });
}
