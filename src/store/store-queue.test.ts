import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { openDesk } from "../../test/support/stored-tasks.ts";
import { testStores } from "../../test/support/test-stores.ts";
import { systemId } from "../platform/ids.ts";
import { claimStatements, evenShares, type ClaimedRow, type Shares, type Turn } from "./queries/claim.ts";
import { createStore } from "./store.ts";

for (const { name, database, store, desk, empty } of await testStores()) {
  describe(`the order of a queue on ${name}`, () => {
    beforeEach(empty);

    const submitMany = (tenant: string, count: number, priority = 0) =>
      Promise.all(Array.from({ length: count }, () => desk.submit({ tenant, priority })));
    const claim = async (limit: number, options: { turn?: Turn; shares?: Partial<Shares>; worker?: string } = {}) => {
      const { turn, shares, worker = await desk.worker() } = options;
      const request = { worker, agents: [desk.agent], limit, shares: { ...evenShares, ...shares } };
      const rows = await store.claim({ ...request, ...(turn !== undefined && { turn }) });
      return rows.toSorted((a, b) => a.place - b.place);
    };
    const tally = (rows: readonly ClaimedRow[]) =>
      Object.fromEntries([...Map.groupBy(rows, ({ tenant }) => tenant)].map(([tenant, all]) => [tenant, all.length]));

    test("a claim takes as much of each tenant, in whole rounds, however much one has waiting", async () => {
      await submitMany("crowd", 200);
      await submitMany("few", 3);
      await submitMany("some", 20);
      assert.deepEqual(tally(await claim(30)), { crowd: 10, few: 3, some: 10 });
      assert.deepEqual(tally(await claim(30)), { crowd: 15, some: 10 });
    });

    test("a turn goes on behind the tenant whose turn it was, round and round", async () => {
      for (const tenant of ["ada", "bob", "cy"]) await submitMany(tenant, 2);
      const turns: string[] = [];
      for (let turn: Turn = { tenant: "bob", left: 0 }; turns.length < 6;) {
        const [task] = await claim(1, { turn });
        turns.push(task!.tenant);
        turn = { tenant: task!.tenant, left: 0 };
      }
      assert.deepEqual(turns, ["cy", "ada", "bob", "cy", "ada", "bob"]);
      assert.deepEqual(await claim(1, { turn: { tenant: "bob", left: 0 } }), []);
    });

    test("what is left of a turn comes first, and a tenant gets as many in a row as it has weight", async () => {
      for (const tenant of ["ada", "bob"]) await submitMany(tenant, 20);
      const shares = { tenants: new Map([["bob", { weight: 3, maxRunning: null }]]) };
      assert.deepEqual(tally(await claim(8, { shares })), { ada: 2, bob: 6 });
      assert.deepEqual(tally(await claim(3, { shares, turn: { tenant: "bob", left: 2 } })), { bob: 2, ada: 1 });
      const cut = await claim(2, { shares, turn: { tenant: "ada", left: 0 } });
      assert.deepEqual([tally(cut), cut[0]?.quota], [{ bob: 2 }, 3]);
    });

    test("within a tenant priority is exact, over all agents, and says nothing to the others", async () => {
      const other = openDesk(store);
      const [low] = await submitMany("ada", 1, -5);
      const second = await other.submit({ tenant: "ada", priority: 3 });
      const third = await desk.submit({ tenant: "ada", priority: 3 });
      const [first] = await submitMany("ada", 1, 7);
      const [urgent, calm] = [...(await submitMany("bob", 1, 100)), ...(await submitMany("bob", 1))];
      const worker = await desk.worker();
      const agents = [desk.agent, other.agent];
      const order: string[] = [];
      for (let turn: Turn = { tenant: "", left: 0 }; ;) {
        const [task] = await store.claim({ worker, agents, limit: 1, turn });
        if (task === undefined) break;
        order.push(task.id);
        turn = { tenant: task.tenant, left: 0 };
      }
      assert.deepEqual(
        order,
        [first, urgent, second, calm, third, low].map((task) => task!.id),
      );
    });

    test("a claim says whether there may be more", async () => {
      await submitMany("ada", 3);
      await submitMany("bob", 1);
      const [first] = await claim(2);
      assert.equal(first?.more, true, "the limit is reached");
      const rest = await claim(9);
      assert.deepEqual([rest.length, rest.some(({ more }) => more)], [2, false]);
      await submitMany("ada", 9);
      await submitMany("bob", 1);
      const uneven = await claim(8);
      assert.deepEqual([tally(uneven), uneven.some(({ more }) => more)], [{ ada: 4, bob: 1 }, true]);
    });

    test("of a tenant no more run than may, and the others do not wait for it", async () => {
      await submitMany("ada", 20);
      await submitMany("bob", 4);
      const shares = { tenants: new Map([["ada", { weight: 1, maxRunning: 3 }]]) };
      const running = await claim(10, { shares });
      assert.deepEqual(tally(running), { ada: 3, bob: 4 });
      assert.deepEqual(await claim(10, { shares }), []);
      await desk.finish(running.find(({ tenant }) => tenant === "ada")!);
      assert.deepEqual(tally(await claim(10, { shares })), { ada: 1 });
    });

    test("tenants that may run no more do not hide those behind them", async () => {
      const tenants = Array.from({ length: 30 }, (_, index) => `t${String(index).padStart(2, "0")}`);
      await Promise.all(tenants.map((tenant) => submitMany(tenant, 2)));
      const shares = { tenant: { weight: 1, maxRunning: 1 } };
      const seen: string[] = [];
      for (let rows = await claim(4, { shares }); rows.length > 0; rows = await claim(4, { shares }))
        seen.push(...rows.map(({ tenant }) => tenant));
      assert.deepEqual(seen.toSorted(), tenants);
    });

    test("of an agent no more run than may, and its tenants' other tasks go on", async () => {
      const other = openDesk(store);
      await Promise.all(["ada", "bob"].flatMap((tenant) => [1, 2, 3].map(() => desk.submit({ tenant, priority: 5 }))));
      await other.submit({ tenant: "ada" });
      const shares = { ...evenShares, agents: new Map([[desk.agent, 2]]) };
      const request = { worker: await desk.worker(), agents: [desk.agent, other.agent], limit: 4, shares };
      const first = await store.claim(request);
      assert.equal(first.filter(({ agent }) => agent === desk.agent).length, 2);
      assert.ok(first.every(({ more }) => more));
      const second = await store.claim(request);
      assert.deepEqual(
        [...first, ...second].flatMap(({ agent }) => (agent === other.agent ? [agent] : [])),
        [other.agent],
      );
      assert.deepEqual(await store.claim(request), []);
    });

    test("bounds hold and nothing is lost while workers claim and finish at the same time", async () => {
      for (const tenant of ["ada", "bob", "cy"]) await submitMany(tenant, 25);
      const shares: Shares = { ...evenShares, tenants: new Map([["ada", { weight: 2, maxRunning: 4 }]]) };
      const bounded = { ...shares, agents: new Map([[desk.agent, 9]]) };
      let running = 0;
      let ofAda = 0;
      const done: string[] = [];
      const work = async (): Promise<void> => {
        const own = createStore(database);
        const worker = await desk.worker();
        for (let round = 0; done.length < 75 && round < 500; round++) {
          const tasks = await own.claim({ worker, agents: [desk.agent], limit: 3, shares: bounded });
          running += tasks.length;
          ofAda += tasks.filter(({ tenant }) => tenant === "ada").length;
          assert.ok(running <= 9 && ofAda <= 4, `${running} run, ${ofAda} of them of ada`);
          for (const task of tasks) {
            // Counted out before it ends: what is seen here is at most what is true.
            running -= 1;
            if (task.tenant === "ada") ofAda -= 1;
            await desk.finish(task);
            done.push(task.id);
          }
        }
      };
      await Promise.all([work(), work(), work()]);
      assert.deepEqual([done.length, new Set(done).size], [75, 75]);
    });

    test("workers that claim at the same time share one long queue without gaps", async () => {
      const tasks = await submitMany("ada", 120);
      const workers = await Promise.all([1, 2, 3, 4].map(() => desk.worker()));
      const claimed = await Promise.all(
        workers.map(async (worker) => {
          const own = createStore(database);
          const rows: ClaimedRow[] = [];
          for (let round = 0; rows.length < 25 && round < 500; round++)
            rows.push(...(await own.claim({ worker, agents: [desk.agent], limit: 5 })));
          return rows;
        }),
      );
      const ids = claimed.flat().map(({ id }) => id);
      assert.equal(new Set(ids).size, ids.length);
      assert.ok(claimed.flat().every(({ epoch }) => epoch === 1));
      const first = tasks.map(({ id }) => id).sort();
      assert.deepEqual(ids.toSorted(), first.slice(0, ids.length), "the oldest go first");
    });

    test("a claim finds its way by the index of the queue alone", async () => {
      await submitMany("ada", 5);
      const [settings, statement] = claimStatements({ worker: systemId(), agents: [desk.agent], limit: 5 });
      const [, rows] = await database.batch([
        settings!,
        { text: `explain ${statement!.text}`, values: statement!.values },
      ]);
      const plan = rows!.map((row) => String(row["QUERY PLAN"])).join("\n");
      assert.ok(plan.match(/using task_queue/g)!.length >= 3, plan);
      assert.doesNotMatch(plan, /Seq Scan on (task|session)/);
    });
  });
}
