/** Statements on several rows lock them in one order, whatever the order of their input: so no two wait for each other. */
import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { until } from "../../test/support/running-holdfast.ts";
import { sql } from "../../test/support/stored-tasks.ts";
import { testStores } from "../../test/support/test-stores.ts";
import { systemId } from "../platform/ids.ts";
import type { Statement } from "./database.ts";

// The embedded database does one thing after the other: there no two statements hold locks at the same time.
for (const { name, database, store, desk, empty } of (await testStores()).filter(
  ({ database: { kind } }) => kind === "server",
)) {
  describe(`locks on ${name}`, () => {
    beforeEach(empty);

    /** Holds what the statement locks until `release` is called. */
    const holding = async (statement: Statement) => {
      const gate = database.holdLock();
      await until(() => gate.held !== null);
      const wait = sql("select pg_advisory_xact_lock($1::bigint)", gate.held!.key);
      const holding = database.batch([statement, wait]);
      await until(async () => (await waiting("'advisory'")) === 1);
      return { release: () => gate.release().then(() => holding) };
    };
    const waiting = async (types: string): Promise<number> =>
      (await database.query(sql(`select from pg_locks where not granted and locktype in (${types})`))).length;
    const untilItWaits = () => until(async () => (await waiting("'transactionid', 'tuple'")) > 0);

    test("outcomes of deferred calls are written by the order of the calls", async () => {
      const task = await desk.held();
      const ids = [systemId(), systemId()].toSorted();
      const insert = `insert into deferred_call (id, task_id, tenant, model, expires_at)
        select unnest($1::uuid[]), $2, 'acme', 'openai/gpt-5', holdfast_now() + interval '1 hour'`;
      await database.query(sql(insert, ids, task.id));
      const first = await holding(sql("select from deferred_call where id = $1 for update", ids[0]));
      const landing = store.landDeferred(ids.toReversed().map((id) => ({ id, outcome: { status: "answered" } })));
      await untilItWaits();
      const free = await database.query(sql("select from deferred_call where id = $1 for update skip locked", ids[1]));
      await first.release();
      await landing;
      assert.equal(free.length, 1, "it waits for the first, and has the second locked already");
    });

    test("texts of responses are written by the order of their ids", async () => {
      const text = (id: string) => ({ id, tenant: "acme", text: "Hello" });
      const ids = [`resp_a${systemId()}`, `resp_b${systemId()}`];
      const insert = (id = ""): Statement => sql("insert into response_text values ($1, 'acme', 'Hello')", id);
      const first = await holding(insert(ids[0]));
      const keeping = store.keepTexts(ids.toReversed().map(text));
      await untilItWaits();
      const soon = sql("select set_config('lock_timeout', '1s', true)");
      const isFree = await database.batch([soon, insert(ids[1])]).then(
        () => true,
        () => false,
      );
      await first.release();
      await keeping;
      assert.equal(isFree, true, "it waits for the first, and has written the second already");
    });
  });
}
