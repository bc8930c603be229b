import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { waitingForLocks } from "../../test/support/databases.ts";
import { until } from "../../test/support/running-holdfast.ts";
import { entryOf, noProgress, openDesk, sql } from "../../test/support/stored-tasks.ts";
import { testStores } from "../../test/support/test-stores.ts";
import { systemId } from "../platform/ids.ts";
import { createStore } from "./store.ts";

for (const { name, database, store, desk, empty } of await testStores()) {
  describe(`ending tasks in a store on ${name}`, () => {
    beforeEach(empty);

    const version = async (sessionId: string): Promise<number | undefined> =>
      (await store.session("acme", sessionId))?.version;

    test("an end does not wait for whoever saves the text of its turn", async () => {
      const task = await desk.held();
      const turn = { afterSeq: 0, epoch: 1, attempt: 1 };
      await store.savePartials([{ taskId: task.id, turn, text: "So" }]);
      // Who saves waits for this, with the row locked. (The embedded database does one thing after the other.)
      const lock = database.holdLock();
      if (database.kind === "server") await until(() => lock.held !== null);
      let isSaved = false;
      const wait = sql("select pg_advisory_xact_lock($1::bigint)", lock.held?.key ?? "0");
      const saving = database
        .batch([sql("update partial set text = 'So far' where task_id = $1", task.id), wait])
        .then(() => (isSaved = true));
      if (database.kind === "server") await until(async () => (await database.query(waitingForLocks)).length > 0);
      assert.equal((await desk.finish(task)).held, true);
      assert.equal(isSaved, database.kind === "embedded");
      await lock.release();
      await saving;
    });

    test("an end writes the last entries and the result together", async () => {
      const { id: taskId, sessionId, epoch, tenant } = await desk.held();
      const result = {
        output: "Done.",
        stepsUsed: 3,
        tokensUsed: 45,
        toolCalls: 2,
        costMicros: 1234,
        status: "failed" as const,
        error: "model_auth",
        errorMessage: "No key.",
      };
      const entries = [entryOf(1), entryOf(2)];
      const { held, promoted, finishedAt } = await store.finish({ taskId, sessionId, epoch, tenant, entries, result });
      assert.deepEqual({ held, promoted }, { held: true, promoted: false });
      assert.equal(finishedAt, (await desk.row({ id: taskId, tenant })).finishedAt);
      const { status, output, stepsUsed, tokensUsed, toolCalls, costMicros, ...row } = await desk.row({
        id: taskId,
        tenant,
      });
      assert.deepEqual(
        {
          status,
          output,
          stepsUsed,
          tokensUsed,
          toolCalls,
          costMicros,
          error: row.error,
          errorMessage: row.errorMessage,
        },
        result,
      );
      assert.ok(row.finishedAt !== null && row.deadLetter);
      assert.deepEqual(await desk.journal({ id: taskId }), entries);
    });

    test("a cost that is not known stays unknown", async () => {
      const { id: taskId, sessionId, epoch, tenant } = await desk.held();
      const ended = { status: "completed" as const, error: null, errorMessage: "" };
      await store.finish({
        taskId,
        sessionId,
        epoch,
        tenant,
        entries: [],
        result: { ...noProgress, ...ended, costMicros: null },
      });
      assert.equal((await desk.row({ id: taskId, tenant })).costMicros, null);
    });

    test("an end promotes exactly the next task of its session", async () => {
      const sessionId = systemId();
      const first = await desk.held({ sessionId });
      const [second, third] = [await desk.submit({ sessionId }), await desk.submit({ sessionId })];
      assert.deepEqual(await desk.finish(first), { held: true, promoted: true });
      assert.deepEqual([await desk.isHead(second), await desk.isHead(third)], [true, false]);
      assert.equal((await store.session("acme", sessionId))?.openTasks, 2);
    });

    test("the next is the next that is open: one cancelled in the middle is passed over", async () => {
      const sessionId = systemId();
      const first = await desk.held({ sessionId });
      const [second, third] = [await desk.submit({ sessionId }), await desk.submit({ sessionId })];
      await store.cancel({ tenant: "acme", id: second.id, by: "ann" });
      assert.equal(await desk.isHead(third), false);
      await desk.finish(first);
      assert.equal(await desk.isHead(third), true);
    });

    test("a repeat of an end after a lost answer changes nothing", async () => {
      const sessionId = systemId();
      const task = await desk.held({ sessionId });
      const next = await desk.submit({ sessionId });
      await desk.finish(task, "completed", [entryOf(1)]);
      await desk.finish(task, "failed", [entryOf(1), entryOf(2)]);
      assert.equal((await desk.row(task)).status, "completed");
      assert.deepEqual(await desk.journal(task), [entryOf(1)]);
      assert.deepEqual([await version(sessionId), (await store.session("acme", sessionId))?.openTasks], [1, 1]);
      assert.equal(await desk.isHead(next), true);
    });

    test("the version of a session grows with each completed task, and with no other end", async () => {
      const sessionId = systemId();
      const versions: (number | undefined)[] = [];
      for (const status of ["completed", "failed", "cancelled", "completed"] as const) {
        const task = await desk.held({ sessionId });
        versions.push(task.sessionVersion);
        await desk.finish(task, status);
      }
      versions.push(await version(sessionId));
      assert.deepEqual(versions, [0, 1, 1, 1, 2]);
    });

    test("a deleted session that comes again can be told from the one before", async () => {
      const sessionId = systemId();
      const task = await desk.held({ sessionId });
      await desk.finish(task);
      assert.equal(await store.deleteSession("acme", sessionId), true);
      const isLater = sql(
        "select where extract(epoch from clock_timestamp()) * 1000 > $1::float8 + 1",
        task.sessionCreatedAt,
      );
      await until(async () => (await database.query(isLater)).length > 0);
      const again = await desk.held({ sessionId });
      assert.equal(again.sessionVersion, 0);
      assert.notEqual(again.sessionCreatedAt, task.sessionCreatedAt);
    });

    test("ends of many sessions that travel together promote one task in each", async () => {
      const sessions = Array.from({ length: 25 }, () => systemId());
      await Promise.all(sessions.flatMap((sessionId) => [1, 2, 3].map(() => desk.submit({ sessionId }))));
      const worker = await desk.worker();
      for (const _ of [1, 2, 3]) {
        const heads = await desk.claim(worker, 100);
        assert.equal(heads.length, 25);
        const ends = await Promise.all(heads.map((task) => desk.finish(task)));
        assert.ok(ends.every(({ held }) => held));
      }
      assert.deepEqual(
        await Promise.all(sessions.map(version)),
        sessions.map(() => 3),
      );
    });

    test("a submit that meets the end of the task before it is never left without a head", async () => {
      const other = createStore(database);
      const sessionId = systemId();
      const worker = await desk.worker();
      await desk.submit({ sessionId });
      for (let round = 0; round < 150; round++) {
        const [task] = await desk.claim(worker);
        assert.ok(task, `round ${round}: the session has no head to claim`);
        const submits = openDesk(other).submit;
        await Promise.all([
          desk.finish(task, round % 5 === 4 ? "failed" : "completed"),
          submits({ sessionId, agent: desk.agent }),
        ]);
      }
      const [row] = await database.query<{ heads: number }>(
        sql("select count(*) as heads from task where session_id = $1 and is_head and status = 'pending'", sessionId),
      );
      assert.deepEqual([row?.heads, (await store.session("acme", sessionId))?.openTasks], [1, 1]);
    });

    test("submits, ends and cancels of one session at once leave one head and a true count", async () => {
      const stores = [store, createStore(database), createStore(database)];
      const sessionId = systemId();
      const worker = await desk.worker();
      for (let round = 0; round < 40; round++) {
        const waiting = await Promise.all([1, 2, 3].map(() => desk.submit({ sessionId })));
        const [task] = await desk.claim(worker);
        assert.ok(task, `round ${round}: the session has no head to claim`);
        await Promise.all([
          desk.finish(task),
          openDesk(stores[1]!).submit({ sessionId, agent: desk.agent }),
          ...waiting.map(({ id }) => stores[2]!.cancel({ tenant: "acme", id, by: "ann" })),
        ]);
        const [row] = await database.query<{ open: number; heads: number; first: boolean }>(
          sql(
            `select count(*) as open, count(*) filter (where is_head) as heads,
                    bool_and(is_head = (position = (select min(position) from task where session_id = $1
                      and status in ('pending', 'running', 'waiting')))) as first
             from task where session_id = $1 and status in ('pending', 'running', 'waiting')`,
            sessionId,
          ),
        );
        assert.deepEqual(row, { open: (await store.session("acme", sessionId))?.openTasks, heads: 1, first: true });
      }
    });
  });
}
