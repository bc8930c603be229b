/** kill -9 of one of several workers: the others know at once, by the lock that its end set free. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createServerDatabase } from "../support/databases.ts";
import { openCouriers, type Courier, type Couriers } from "../support/couriers.ts";
import { until } from "../support/running-holdfast.ts";
import { sql, type HeldTask } from "../support/stored-tasks.ts";

const server = await createServerDatabase();
await server?.drop();
/** Far longer than any wait here: a lease that runs out helps nobody. */
const tuning = { leaseMs: 120_000 };

describe("Of three workers on one server", { skip: server === undefined && "there is no server" }, () => {
  test("one is killed: another takes the next step of its tasks in a moment", async (t) => {
    await using couriers = await openCouriers(tuning);
    const workers = [await couriers.start(), await couriers.start(), await couriers.start()];
    await using load = couriers.load();
    const resumedAfterMs: number[] = [];
    for (let round = 0; round < 6; round++) {
      const place = round % workers.length;
      resumedAfterMs.push(await resumeTime(couriers, workers[place]!));
      workers[place] = await couriers.start();
    }
    await load.stop();
    const sorted = resumedAfterMs.toSorted((a, b) => a - b);
    t.diagnostic(`resumed after ${sorted.join(", ")} ms`);
    // How fast it is on a machine that does nothing else, a run of chaos tells.
    assert.ok(sorted.at(-1)! < tuning.leaseMs / 4, `after ${sorted.join(", ")} ms`);
  });

  test("whose connection of the lock is cut nobody is taken for dead, and each has another lock", async () => {
    await using couriers = await openCouriers(tuning);
    await Promise.all([couriers.start(), couriers.start(), couriers.start()]);
    const { database } = couriers;
    const registered = () => database.query<{ id: string; key: string | null }>(sql(registeredSql));
    await using load = couriers.load();
    let known = await until(async () => ifAllLocked(await registered()));
    for (let round = 0; round < 3; round++) {
      assert.equal((await database.query(sql(cutLocksSql))).length, 3);
      const keys = known.map(({ key }) => key);
      known = await until(async () => ifAllLocked((await registered()).filter(({ key }) => !keys.includes(key))));
    }
    await load.stop();
    const [row] = await database.query<{ takeovers: number; workers: number }>(
      sql("select sum(takeovers)::int as takeovers, (select count(*)::int from worker) as workers from task"),
    );
    assert.deepEqual(row, { takeovers: 0, workers: 3 });
  });

  test("only those that host an agent claim its tasks, whoever finds them without a worker", async () => {
    await using couriers = await openCouriers(tuning);
    const stranger = await couriers.start({ agents: ["nobody"] });
    const host = await couriers.start();
    // Without its lock the end of the host would be seen by its lease alone.
    const registered = () => couriers.database.query<{ key: string | null }>(sql(registeredSql));
    await until(async () => (await registered()).every(({ key }) => key !== null));
    await using load = couriers.load();
    const [held] = await freeze(couriers, host, 1);
    await load.stop();
    await host.kill();
    const isFree = sql("select id from task where id = $1 and status = 'pending' and takeovers = 1", held!.id);
    // The stranger sees that it died, and leaves the task to others.
    await until(async () => (await couriers.database.query(isFree)).length > 0);
    assert.deepEqual(await couriers.heldBy(stranger), []);
    const next = await couriers.start();
    await until(async () => (await couriers.heldBy(next)).length > 0);
  });
});

const registeredSql = "select id, lock_key::text as key from worker";
const cutLocksSql = `select pg_terminate_backend(pid) from pg_locks
  where locktype = 'advisory' and mode = 'ExclusiveLock' and database = (select oid from pg_database where datname = current_database())`;

function ifAllLocked<Row extends { key: string | null }>(rows: Row[]): Row[] | false {
  return rows.length === 3 && rows.every(({ key }) => key !== null) && rows;
}

/** Stops the process while it holds so many tasks, so that it surely dies at work; what it holds then. */
async function freeze(couriers: Couriers, victim: Courier, tasks: number): Promise<HeldTask[]> {
  for (;;) {
    await until(async () => (await couriers.heldBy(victim)).length >= tasks);
    victim.signal("SIGSTOP");
    const held = await couriers.heldBy(victim);
    if (held.length > 0) return held;
    victim.signal("SIGCONT");
  }
}

/** From the kill to the first entry that another process writes for a task that the dead one held. */
async function resumeTime(couriers: Couriers, victim: Courier): Promise<number> {
  const held = await freeze(couriers, victim, 3);
  const killedAt = Date.now();
  await victim.kill();
  const next = sql(
    `select min(e.at) as at from entry e join unnest($1::uuid[], $2::int[]) h(id, epoch) on e.task_id = h.id
     where e.epoch > h.epoch`,
    held.map(({ id }) => id),
    held.map(({ epoch }) => epoch),
  );
  const at = await until(async () => (await couriers.database.query<{ at: number | null }>(next))[0]?.at ?? false);
  return at - killedAt;
}
