import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { testDatabases } from "../../test/support/databases.ts";
import { borrowed, startHoldfast, until, type Running, type Start } from "../../test/support/running-holdfast.ts";
import { sql } from "../../test/support/stored-tasks.ts";
import type { Database } from "../store/database.ts";

for (const { name, open } of await testDatabases()) {
  describe(`Sharing workers on ${name}`, () => {
    let shared: Database;
    let database: Database;
    before(async () => {
      database = await open();
      // Not alone: several of them share it.
      shared = { ...borrowed(database), kind: "server" };
    });
    after(() => database.close());

    const run = async (start: Start, check: (holdfast: Running) => Promise<void>): Promise<void> => {
      const holdfast = await startHoldfast(shared, start);
      try {
        await check(holdfast);
      } finally {
        await holdfast.stop();
      }
    };
    const submit = async (holdfast: Running, tenant: string, prompt = tenant) =>
      (await holdfast.engine.submit(tenant, { prompt })).task.taskId;
    const ended = (holdfast: Running, tenant: string, taskId: string) =>
      until(async () => (await holdfast.engine.task({ tenant, taskId })).status === "completed");
    const prompts = ({ gateway }: Running): string[] =>
      gateway.requests.map(({ messages }) => String(JSON.stringify(messages.at(-1)).match(/(crowd|few|ada|bob)/)?.[0]));

    test("three tasks of one tenant do not wait for the crowd of another that was there before", async () => {
      const gate = Promise.withResolvers<void>();
      const config = { slots: 2 };
      await run({ script: () => ({ text: "Hi.", gate: gate.promise }), config }, async (holdfast) => {
        const crowd = await Promise.all(Array.from({ length: 60 }, () => submit(holdfast, "crowd")));
        const few = await Promise.all([1, 2, 3].map(() => submit(holdfast, "few")));
        gate.resolve();
        for (const taskId of few) await ended(holdfast, "few", taskId);
        const order = prompts(holdfast);
        const last = order.lastIndexOf("few");
        // Two slots were taken before; then they take turns.
        assert.ok(last <= 2 + 2 * 3 + 2, `the last of three came as number ${last + 1}`);
        for (const taskId of crowd) await ended(holdfast, "crowd", taskId);
      });
    });

    test("a task that is submitted takes no slot before those that wait already", async () => {
      const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      let calls = 0;
      const script: Start["script"] = () => ({ text: "Hi.", gate: gates[calls++ === 0 ? 0 : 1]!.promise });
      await run({ script, config: { slots: 1 } }, async (holdfast) => {
        const first = await submit(holdfast, "ada");
        await until(() => holdfast.gateway.requests.length === 1);
        const second = await submit(holdfast, "ada");
        gates[0]!.resolve();
        await ended(holdfast, "ada", first);
        const late = await submit(holdfast, "ada");
        await until(() => holdfast.gateway.requests.length === 2);
        assert.equal((await holdfast.engine.task({ tenant: "ada", taskId: second })).status, "running");
        gates[1]!.resolve();
        await ended(holdfast, "ada", late);
      });
    });

    test("no more of a tenant run than may, in two processes, and each end lets the next one run at once", async () => {
      let running = 0;
      let most = 0;
      const gate = Promise.withResolvers<void>();
      const script: Start["script"] = () => {
        running += 1;
        most = Math.max(most, running);
        return { text: "Hi.", gate: gate.promise.then(() => void (running -= 1)) };
      };
      const config = { tenants: { ada: { maxRunning: 3 } } };
      // Nothing but the word of an end wakes them in time.
      const start = { script, config, agent: { name: `bounded-${name.toLowerCase()}` } };
      await run({ ...start, options: { tuning: { pollMs: 60_000 } } }, async (one) => {
        await run(start, async (other) => {
          const tasks = await Promise.all(
            Array.from({ length: 12 }, (_, nth) => submit(nth % 2 === 0 ? one : other, "ada")),
          );
          await until(() => running === 3);
          const [row] = await database.query<{ count: number }>(
            sql("select count(*)::int as count from task where tenant = 'ada' and status = 'running'"),
          );
          assert.equal(row?.count, 3);
          gate.resolve();
          for (const taskId of tasks) await ended(one, "ada", taskId);
          assert.equal(most, 3);
        });
      });
    });

    test("a bounded task runs as soon as there is room, with nobody polling", async () => {
      const config = { tenants: { bob: { maxRunning: 1 } } };
      const options = { tuning: { pollMs: 600_000 } };
      await run({ script: () => ({ text: "Hi." }), config, options }, async (holdfast) => {
        const tasks = await Promise.all([1, 2, 3, 4].map(() => submit(holdfast, "bob")));
        for (const taskId of tasks) await ended(holdfast, "bob", taskId);
      });
    });
  });
}
