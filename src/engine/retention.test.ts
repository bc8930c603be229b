import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import { testDatabases } from "../../test/support/databases.ts";
import { turn } from "../../test/support/journal-builders.ts";
import { until } from "../../test/support/running-holdfast.ts";
import { entryOf, openDesk, sql, type TaskDesk } from "../../test/support/stored-tasks.ts";
import type { Entry } from "../agent/journal.ts";
import { neverAborts } from "../platform/abort.ts";
import { systemClock } from "../platform/clock.ts";
import { systemId } from "../platform/ids.ts";
import type { Database } from "../store/database.ts";
import { pruneTasksStatement } from "../store/queries/retention.ts";
import { createStore, type Store } from "../store/store.ts";
import type { NewTask } from "../store/task-row.ts";
import { silentLogger } from "../telemetry/log.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { createVirtualClock, type VirtualClock } from "../testing/virtual-clock.ts";
import { mostExchanges } from "./conversations.ts";
import { keepRetention, prune, type Pruned, type Retention } from "./retention.ts";

const tenant = "acme";
const month: Retention = { days: 30, deadLetterDays: 90, usageDays: 400 };
const nothing: Pruned = { tasks: 0, entries: 0, sessions: 0, values: 0, answers: 0, results: 0, usage: 0 };

function valueOf(content: string) {
  return { tenant, hash: createHash("sha256").update(content).digest("hex"), content };
}

/** Lets time pass, as slowly as the database answers. */
async function advanceUntil(clock: VirtualClock, look: () => Promise<boolean>): Promise<void> {
  await until(async () => {
    await clock.advance(1_000);
    return look();
  });
}

for (const { name, open } of await testDatabases()) {
  describe(`retention on ${name}`, () => {
    let database: Database;
    let store: Store;
    let desk: TaskDesk;
    const metrics = createMetrics();
    before(async () => {
      database = await open();
      store = createStore(database);
    });
    beforeEach(async () => {
      await database.script(
        "truncate task, session, entry, large_value, upkeep, worker, usage, outgoing_result cascade",
      );
      desk = openDesk(store);
    });
    after(async () => {
      await metrics.close();
      await database.close();
    });

    const run = (options: { retention?: Retention; dryRun?: boolean } = {}): Promise<Pruned> =>
      prune(
        { store, clock: systemClock, metrics },
        { retention: month, dryRun: false, signal: neverAborts(), ...options },
      );

    /** A task that ended, with two entries. */
    const ended = async (status: "completed" | "failed" = "completed", options: Partial<NewTask> = {}) => {
      const task = await desk.held(options);
      await desk.finish(task, status, [entryOf(1), entryOf(2)]);
      return task;
    };

    /** Lets everything that is stored become so many days older. */
    const age = async (days: number): Promise<void> => {
      const past = `- ${days} * interval '1 day'`;
      await database.script(`
        update task set created_at = created_at ${past}, finished_at = finished_at ${past};
        update session set created_at = created_at ${past}, updated_at = updated_at ${past};
        update large_value set used_at = used_at ${past};`);
    };

    const exists = async ({ id }: { id: string }): Promise<boolean> => (await store.task({ tenant, id })) !== undefined;
    const rows = async (table: string): Promise<number> =>
      (await database.query<{ rows: number }>(sql(`select count(*)::int as rows from ${table}`)))[0]!.rows;

    test("an ended task goes with its journal, its approvals and its conversation, a younger one stays", async () => {
      const task = await desk.held();
      const { approvals } = await desk.park(task, { questions: 1 });
      await store.cancel({ tenant, id: task.id, by: "ann" });
      const failed = await ended("failed");
      await store.discard({ tenant, id: failed.id });
      await ended();
      await age(31);
      const young = await ended();
      await age(29);
      assert.deepEqual(await run({ dryRun: true }), {
        tasks: 3,
        entries: 6,
        sessions: 3,
        values: 0,
        answers: 0,
        results: 0,
        usage: 0,
      });
      assert.equal(await rows("task"), 4);
      assert.deepEqual(await run(), { tasks: 3, entries: 6, sessions: 3, values: 0, answers: 0, results: 0, usage: 0 });
      assert.deepEqual(await Promise.all(["task", "entry", "session", "approval"].map(rows)), [1, 2, 1, 0]);
      assert.equal(await store.approval(tenant, approvals[0]!), undefined);
      assert.ok(await exists(young));
      assert.deepEqual(await run(), nothing);
    });

    test("a task that has not ended stays, however old, and so does the conversation before it", async () => {
      const sessionId = systemId();
      const first = await ended("completed", { sessionId });
      const waiting = await desk.held({ sessionId });
      await desk.park(waiting, { questions: 1 });
      const pending = await desk.submit({ sessionId });
      await desk.submit();
      const running = await desk.held();
      await age(1_000);
      assert.deepEqual(await run(), nothing);
      for (const task of [first, waiting, pending, running]) assert.ok(await exists(task));
    });

    test("of a conversation in use what it shows stays, and what it does not show any more goes", async () => {
      const sessionId = systemId();
      const old = await ended("completed", { sessionId });
      const failed = await ended("failed", { sessionId });
      await store.discard({ tenant, id: failed.id });
      for (let shown = 0; shown < mostExchanges; shown++) await ended("completed", { sessionId });
      await age(31);
      const last = await ended("completed", { sessionId });
      const version = (await store.session(tenant, sessionId))?.version;
      assert.deepEqual(await run(), { tasks: 3, entries: 6, sessions: 0, values: 0, answers: 0, results: 0, usage: 0 });
      assert.deepEqual([await exists(old), await exists(failed), await exists(last)], [false, false, true]);
      const shown = await store.exchanges({ tenant, sessionId, before: null, limit: 1_000 });
      assert.equal(shown.length, mostExchanges);
      assert.equal((await store.session(tenant, sessionId))?.version, version, "what a worker knows of it is still so");
    });

    test("a dead letter stays for its own retention, and with it what was said before it", async () => {
      const sessionId = systemId();
      const said = await ended("completed", { sessionId });
      const letter = await ended("failed", { sessionId });
      await age(89);
      assert.deepEqual(await run(), nothing);
      assert.ok(await store.replay({ tenant, id: letter.id, prompt: null, by: "ann" }));
      await desk.finish((await desk.claim(await desk.worker()))[0]!, "failed");
      await age(89);
      assert.deepEqual(await run(), nothing);
      await age(2);
      assert.equal((await run()).tasks, 2);
      assert.deepEqual([await exists(said), await exists(letter), await rows("session")], [false, false, 0]);
    });

    test("what is kept for ever is not deleted", async () => {
      const done = await ended();
      const letter = await ended("failed");
      await age(36_000);
      assert.deepEqual(await run({ retention: { ...month, days: null, deadLetterDays: null } }), nothing);
      assert.equal((await run({ retention: { ...month, days: null, deadLetterDays: 90 } })).tasks, 1);
      assert.deepEqual([await exists(done), await exists(letter)], [true, false]);
    });

    test("a conversation that has lost its beginning is read anew by a worker that knew it by heart", async () => {
      const sessionId = systemId();
      await ended("completed", { sessionId });
      const letter = await ended("failed", { sessionId });
      await age(100);
      // Retention of dead letters alone leaves the conversation; the one of tasks has it whole.
      assert.equal((await run({ retention: { ...month, days: 30, deadLetterDays: null } })).tasks, 0);
      await store.discard({ tenant, id: letter.id });
      const before = await store.session(tenant, sessionId);
      assert.equal((await store.pruneTasks(firstPage)).tasks, 1);
      assert.equal((await store.session(tenant, sessionId))?.version, before!.version + 1);
    });

    test("all pages are gone through, however many there are", async () => {
      for (let index = 0; index < 25; index++) await ended();
      await age(31);
      const done = await store.pruneTasks({ ...firstPage, limit: 10 });
      assert.deepEqual([done.scanned, done.tasks, done.young], [10, 10, false]);
      assert.equal((await run()).tasks, 15);
    });

    test("the ledger outlives the task, and goes after a retention of its own", async () => {
      const task = await desk.held();
      const paid = { ...turn({ text: "Done.", input: 10, output: 5 }), seq: 1, at: Date.now() } as Entry;
      await desk.finish(task, "completed", [paid]);
      const others = {
        agent: null,
        sessionId: null,
        userId: null,
        keyId: null,
        model: "a/b",
        code: null,
        costMicros: 1,
      };
      const usage = { input: 1, cached: 0, output: 1, reasoning: 0, estimated: false };
      const old = Array.from({ length: 150 }, (_, n) => ({
        ...others,
        id: systemId(),
        usage,
        tenant: `tenant-${n % 3}`,
        at: n,
      }));
      await store.recordUsage([...old, { ...others, id: systemId(), usage, tenant: "tenant-1", at: Date.now() }]);
      await age(31);
      const past = "update usage set at = at - interval '399 days' where task_id is not null";
      await database.script(past);
      assert.deepEqual(await run({ dryRun: true }), {
        tasks: 1,
        entries: 1,
        sessions: 1,
        values: 0,
        answers: 0,
        results: 0,
        usage: 150,
      });
      assert.deepEqual(await run({ retention: { ...month, usageDays: null } }), {
        tasks: 1,
        entries: 1,
        sessions: 1,
        values: 0,
        answers: 0,
        results: 0,
        usage: 0,
      });
      assert.equal(await rows("usage"), 152);
      assert.equal((await run()).usage, 150);
      assert.deepEqual(
        (await database.query<{ tenant: string }>(sql("select tenant from usage order by tenant"))).map(
          (row) => row.tenant,
        ),
        [tenant, "tenant-1"],
      );
      await database.script(past);
      assert.equal((await run()).usage, 1);
    });

    test("a value that no task needs goes when nobody has written it for a day", async () => {
      const task = await ended();
      const { hash, ...needed } = valueOf('"kept"');
      await store.keepLarge({ ...needed, hash, taskId: task.id });
      await store.keepLarge({ ...valueOf('"of nobody"'), taskId: systemId() });
      assert.equal((await run()).values, 0);
      await age(2);
      assert.equal((await run({ dryRun: true })).values, 1);
      assert.equal((await run()).values, 1);
      assert.equal(await store.largeValue(tenant, hash), '"kept"');
      await age(31);
      assert.deepEqual(await run(), { tasks: 1, entries: 2, sessions: 1, values: 1, answers: 0, results: 0, usage: 0 });
      assert.deepEqual([await rows("large_value"), await rows("large_reference")], [0, 0]);
    });

    test("a result that no broker came for goes with the tasks of its age, or after a month", async () => {
      const carrier = { tenant, carrier: "gone" };
      const old = await ended();
      await store.wantResult({ ...carrier, id: old.id });
      const inHand = await ended();
      await store.wantResult({ ...carrier, id: inHand.id });
      const past = `update outgoing_result set finished_at = finished_at - interval '31 days'`;
      await database.script(`${past}; update outgoing_result set taken_until = holdfast_now() + interval '1 hour'
        where task_id = '${inHand.id}'`);
      await store.wantResult({ ...carrier, id: (await ended()).id });
      const forEver = { days: null, deadLetterDays: null, usageDays: null };
      assert.equal((await run({ dryRun: true })).results, 1);
      assert.equal((await run({ retention: { ...forEver, days: 32 } })).results, 0);
      assert.deepEqual(await run({ retention: forEver }), { ...nothing, results: 1 });
      const left = await database.query<{ id: string }>(sql("select task_id as id from outgoing_result"));
      assert.ok(left.length === 2 && left.every(({ id }) => id !== old.id));
    });

    test("a value that is written again is not deleted, though it was old", async () => {
      const content = { ...valueOf('"again"'), taskId: systemId() };
      await store.keepLarge(content);
      await age(2);
      await store.keepLarge(content);
      assert.equal((await run()).values, 0);
    });

    test("no claim, submit or append waits for a page that takes long", async () => {
      const sessionId = systemId();
      const old = await ended("completed", { sessionId });
      const busy = await desk.held();
      await age(31);
      const waiting = await desk.submit();
      const page = pruneTasksStatement({ ...firstPage, limit: 100 });
      // The page has to wait for this before it can be over. (The embedded database does one thing after the other.)
      const lock = database.holdLock();
      if (database.kind === "server") await until(() => lock.held !== null);
      let isDone = false;
      const wait = sql("select pg_advisory_xact_lock($1::bigint)", lock.held?.key ?? "0");
      const slow = database.batch([page, wait]).then(() => (isDone = true));
      await desk.submit();
      await store.append({ taskId: busy.id, epoch: busy.epoch, entries: [entryOf(1)] });
      const claimed = await desk.claim(await desk.worker());
      assert.equal(isDone, database.kind === "embedded");
      assert.ok(claimed.some(({ id }) => id === waiting.id));
      await lock.release();
      await slow;
      assert.equal(await exists(old), false);
    });

    test("a task that is set going again while a page is under way stays", async () => {
      const letter = await ended("failed");
      await age(91);
      const [, pruned] = await Promise.all([
        store.replay({ tenant, id: letter.id, prompt: null, by: "ann" }),
        store.pruneTasks({ ...firstPage, limit: 100 }),
      ]);
      const kinds = (await desk.journal(letter)).map(({ kind }) => kind);
      if (pruned.tasks === 0) assert.deepEqual(kinds, ["failure", "failure", "replay"]);
      else assert.deepEqual([kinds, await exists(letter)], [[], false]);
    });

    test("values are written and deleted at the same time, and none that is referred to is missing", async () => {
      const contents = ["1", "2", "3"].map(valueOf);
      const task = await desk.held();
      for (let round = 0; round < 40; round++) {
        await database.script("delete from large_reference; update large_value set used_at = '-infinity'");
        const first = { after: { tenant: "", hash: "" }, limit: 10, unusedMs: 86_400_000, dryRun: false };
        await Promise.all([
          store.pruneValues(first),
          ...contents.map((content) => store.keepLarge({ ...content, taskId: task.id })),
          store.pruneValues(first),
        ]);
        for (const { hash, content } of contents) assert.equal(await store.largeValue(tenant, hash), content);
      }
    });

    test("one process an hour does it, and it waits while tasks wait to be claimed", async () => {
      await ended();
      await age(31);
      const clock = createVirtualClock();
      let claimable = 5_000;
      let asked = 0;
      const watched: Store = { ...store, claimable: async () => ((asked += 1), claimable) };
      const deps = { store: watched, clock, metrics, log: silentLogger, random: () => 0, retention: month };
      const stops = [keepRetention(deps), keepRetention(deps)];
      await advanceUntil(clock, async () => (await rows("upkeep")) === 1 && asked >= 3);
      assert.equal(await rows("task"), 1);
      claimable = 0;
      await advanceUntil(clock, async () => (await rows("task")) === 0);
      assert.equal(await store.beginUpkeep({ name: "retention", everyMs: 3_600_000 }), false);
      await Promise.all(stops.map((stop) => stop()));
    });

    /** The first page of a pass, of one task unless it is said otherwise. */
    const firstPage = {
      after: "00000000-0000-0000-0000-000000000000",
      limit: 1,
      endedMs: 30 * 86_400_000,
      deadLettersMs: 90 * 86_400_000,
      historyTasks: mostExchanges,
      dryRun: false,
    };
  });
}
