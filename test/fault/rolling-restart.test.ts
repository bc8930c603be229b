/** A release under load: each process is told to stop, one after another, and followed by a new one. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createServerDatabase } from "../support/databases.ts";
import { openCouriers } from "../support/couriers.ts";
import { until } from "../support/running-holdfast.ts";
import { sql } from "../support/stored-tasks.ts";

const server = await createServerDatabase();
await server?.drop();
const drainMs = 5_000;

describe("Three processes under load", { skip: server === undefined && "there is no server" }, () => {
  test("are restarted one after another: nothing is lost, nobody is asked, and no task waits for longer than a drain", async () => {
    // A lease that outlives the test: what is left behind in place of being handed over would be missed.
    await using couriers = await openCouriers({ leaseMs: 120_000, drainMs });
    const workers = [await couriers.start(), await couriers.start(), await couriers.start()];
    const { database } = couriers;
    await using load = couriers.load();
    for (const worker of workers) {
      await until(async () => (await couriers.heldBy(worker)).length > 2);
      worker.signal("SIGTERM");
      await worker.done();
      assert.equal(worker.stderr(), "", "nothing was abandoned");
      assert.deepEqual(await couriers.heldBy(worker), []);
      await couriers.start();
    }
    await load.stop();
    const open = sql("select id from task where status not in ('completed')");
    await until(async () => (await database.query(open)).length === 0);
    const [row] = await database.query<Record<string, number>>(sql(summarySql));
    const { handovers = 0, longestPauseMs = 0, ...rest } = row!;
    assert.deepEqual(rest, { takeovers: 0, questions: 0, failures: 0 });
    assert.ok(handovers > 0, "some tasks were run by more than one process");
    assert.ok(longestPauseMs < drainMs, `a task stood still for ${longestPauseMs} ms`);
  });
});

const summarySql = `
select (select sum(takeovers)::int from task) as takeovers, (select count(*)::int from approval) as questions,
  (select count(*)::int from entry where kind = 'failure') as failures,
  (select count(*)::int from (select from entry group by task_id having count(distinct epoch) > 1) t) as handovers,
  (select max(pause) from (
     select extract(epoch from at - lag(at, 1, t.created_at) over (partition by task_id order by seq)) * 1000 as pause
     from entry join task t on t.id = task_id) p) as "longestPauseMs"`;
