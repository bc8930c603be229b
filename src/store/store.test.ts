import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { newTask, openDesk, sql } from "../../test/support/stored-tasks.ts";
import { testStores } from "../../test/support/test-stores.ts";
import { systemId } from "../platform/ids.ts";
import type { QueueRow } from "./queries/tasks.ts";
import { createStore } from "./store.ts";
import type { NewTask } from "./task-row.ts";

const idsOf = (rows: readonly { id: string }[]): string[] => rows.map(({ id }) => id);

for (const { name, database, store, desk, empty } of await testStores()) {
  describe(`submitting to a store on ${name}`, () => {
    beforeEach(empty);

    test("a submitted task is pending and holds what was asked for", async () => {
      const input = { prompt: "Hi", context: { a: [1] }, limits: { maxSteps: 3 }, model: ["a/b"], history: [] };
      const task = await desk.submit({ input, userId: "ann", metadata: { source: "test" }, priority: 7 });
      const row = await desk.row(task);
      assert.deepEqual(
        [row.status, row.input, row.userId, row.metadata, row.priority, row.position, row.output, row.error],
        ["pending", input, "ann", { source: "test" }, 7, 1, null, null],
      );
    });

    test("tasks of one session that travel together keep the order of their ids, and only the first is the head", async () => {
      const sessionId = systemId();
      const tasks = await Promise.all([1, 2, 3, 4].map(() => desk.submit({ sessionId })));
      const rows = await Promise.all(tasks.map((task) => desk.row(task)));
      assert.deepEqual(
        rows.map(({ position }) => position),
        [1, 2, 3, 4],
      );
      assert.deepEqual(await Promise.all(tasks.map((task) => desk.isHead(task))), [true, false, false, false]);
    });

    test("a later submit goes behind what is open, and leads once everything before it has ended", async () => {
      const sessionId = systemId();
      const first = await desk.held({ sessionId });
      const second = await desk.submit({ sessionId });
      assert.equal(await desk.isHead(second), false);
      await desk.finish(first);
      await desk.finish((await desk.claim(await desk.worker()))[0]!);
      const third = await desk.submit({ sessionId });
      assert.deepEqual([await desk.isHead(third), (await desk.row(third)).position], [true, 3]);
    });

    test("each of many concurrent submits to many sessions has its own position and every session one head", async () => {
      const sessions = Array.from({ length: 5 }, () => systemId());
      const tasks = await Promise.all(
        Array.from({ length: 100 }, (_, n) => desk.submit({ sessionId: sessions[n % 5]! })),
      );
      const rows = await Promise.all(tasks.map((task) => desk.row(task)));
      for (const session of sessions) {
        const positions = rows.filter(({ sessionId }) => sessionId === session).map(({ position }) => position);
        assert.deepEqual(
          positions,
          Array.from({ length: 20 }, (_, n) => n + 1),
        );
        const [{ heads, open }] = (await database.query(
          sql(
            `select (select count(*) from task where session_id = $1 and is_head) as heads, open_tasks as open
             from session where id = $1`,
            session,
          ),
        )) as [{ heads: number; open: number }];
        assert.deepEqual([heads, open], [1, 20]);
      }
    });

    test("a repeat of an idempotency key answers the first task and stores nothing", async () => {
      const key = { idempotencyKey: systemId(), requestHash: "h1", sessionId: systemId() };
      const put = (options: Partial<NewTask>) =>
        store.submit({ task: newTask({ agent: desk.agent, ...key, ...options }), worker: null });
      const first = await put({});
      assert.equal(first.created, true);
      assert.deepEqual(await put({}), { id: first.id, messageId: null, created: false, requestHash: "h1" });
      const other = await put({ requestHash: "h2" });
      assert.deepEqual(
        other,
        { id: first.id, messageId: null, created: false, requestHash: "h1" },
        "the hash is that of the first",
      );
      assert.equal((await store.session("acme", key.sessionId))?.openTasks, 1);
      assert.equal((await store.tasks({ tenant: "acme", agent: desk.agent, limit: 10 })).length, 1);
    });

    test("of many concurrent submits with one key exactly one creates a task, and all name it", async () => {
      const idempotencyKey = systemId();
      const stores = [store, createStore(database), createStore(database)];
      const submitted = await Promise.all(
        Array.from({ length: 30 }, (_, n) => {
          const sessionId = n % 2 === 0 ? "shared" : systemId();
          return stores[n % 3]!.submit({
            task: newTask({ agent: desk.agent, idempotencyKey, sessionId }),
            worker: null,
          });
        }),
      );
      assert.equal(submitted.filter(({ created }) => created).length, 1);
      assert.equal(new Set(idsOf(submitted)).size, 1);
      const tasks = await store.tasks({ tenant: "acme", agent: desk.agent, limit: 10 });
      assert.deepEqual(idsOf(tasks), [submitted[0]!.id]);
      const [row] = await database.query<{ wrong: number }>(
        sql(`select count(*) as wrong from session s where open_tasks <> (
          select count(*) from task t where t.tenant = s.tenant and t.session_id = s.id
            and t.status in ('pending', 'running', 'waiting'))`),
      );
      assert.equal(row?.wrong, 0, "no session counts a task that was not stored");
    });

    test("the same key of another tenant is another task", async () => {
      const key = { agent: desk.agent, idempotencyKey: systemId() };
      const tasks = [newTask(key), newTask({ ...key, tenant: "globex" })];
      const submitted = await Promise.all(tasks.map((task) => store.submit({ task, worker: null })));
      assert.deepEqual(
        submitted.map(({ created }) => created),
        [true, true],
      );
    });

    test("a task submitted by a worker is its own at once if it is the head of its session, and waits if not", async () => {
      const worker = await desk.worker();
      const put = (sessionId: string) => store.submit({ task: newTask({ agent: desk.agent, sessionId }), worker });
      const [first, second] = [await put("own"), await put("own")];
      assert.deepEqual(
        [first, second].map((task) => task.created && [task.claimed, task.position]),
        [
          [true, 1],
          [false, 2],
        ],
      );
      assert.deepEqual(await desk.claim(worker), []);
      const held = { ...newTask({ agent: desk.agent, sessionId: "own" }), id: first.id, epoch: 1 };
      assert.deepEqual(await desk.finish(held), { held: true, promoted: true });
      assert.deepEqual(idsOf(await desk.claim(worker)), [second.id]);
    });

    test("a worker that is gone submits no task to itself: nobody would ever take it from the dead", async () => {
      const [gone, late] = [await desk.worker(), await desk.worker()];
      await store.unregisterWorker(gone);
      await desk.expire(late);
      const submitted = await Promise.all(
        [gone, late, systemId()].map((worker) => store.submit({ task: newTask({ agent: desk.agent }), worker })),
      );
      assert.deepEqual(
        submitted.map((task) => task.created && task.claimed),
        [false, false, false],
      );
      assert.deepEqual(idsOf(await desk.claim(await desk.worker())).sort(), idsOf(submitted).sort());
    });

    test("the queue is counted by tenant and agent: what could run, and what was submitted, no further than asked", async () => {
      const look = async (since: string, most = 1_000) =>
        (await store.queue({ since, most })).filter(({ agent }) => agent === desk.agent);
      const since = systemId();
      await desk.submit({ sessionId: "line" });
      await desk.submit({ sessionId: "line" });
      const other = await desk.submit({ tenant: "other" });
      const byTenant = (rows: readonly QueueRow[]) => rows.toSorted((a, b) => a.tenant.localeCompare(b.tenant));
      const of = { agent: desk.agent };
      assert.deepEqual(byTenant(await look(since)), [
        { ...of, tenant: "acme", waiting: 1, submitted: 2 },
        { ...of, tenant: "other", waiting: 1, submitted: 1 },
      ]);
      await store.cancel({ tenant: "other", id: other.id, by: "ann" });
      assert.deepEqual(await look(systemId()), [{ ...of, tenant: "acme", waiting: 1, submitted: 0 }]);
      const counted = await store.queue({ since, most: 1 });
      assert.ok(counted.every(({ waiting, submitted }) => waiting <= 1 && submitted <= 1));
    });

    test("a session that is full takes no more, and a repeat of a key is answered all the same", async () => {
      const key = { sessionId: "full", idempotencyKey: systemId(), requestHash: "hash" };
      const first = await desk.submit(key);
      await desk.submit({ sessionId: "full" });
      const submit = (options: Partial<NewTask>) =>
        store.submit({ task: newTask({ agent: desk.agent, ...options }), worker: null, mostOpen: 2 });
      const { sessionIsFull, created } = { sessionIsFull: false, ...(await submit({ sessionId: "full" })) };
      assert.deepEqual([created, sessionIsFull], [false, true]);
      assert.equal((await submit(key)).id, first.id);
      const together = await Promise.all([submit({ sessionId: "full" }), submit({})]);
      assert.deepEqual(
        together.map((each) => each.created),
        [false, true],
        "the refusal of one is none of another",
      );
      assert.equal((await store.session("acme", "full"))?.openTasks, 2);
      const head = (await desk.claim(await desk.worker())).find(({ id }) => id === first.id);
      await desk.finish(head!);
      assert.equal((await submit({ sessionId: "full" })).created, true);
    });
  });

  describe(`claiming from a store on ${name}`, () => {
    beforeEach(empty);

    test("a claim leases the task, raises its epoch and carries what is needed to run it", async () => {
      const task = await desk.submit({ userId: "ann" });
      const worker = await desk.worker();
      const [claimed, ...more] = await desk.claim(worker);
      assert.deepEqual(more, []);
      assert.deepEqual(
        [claimed?.id, claimed?.epoch, claimed?.isNew, claimed?.userId, claimed?.sessionVersion, claimed?.input],
        [task.id, 1, true, "ann", 0, task.input],
      );
      assert.deepEqual(await desk.claim(worker), [], "it is claimed once");
      const row = await desk.row(task);
      assert.equal(row.status, "running");
      assert.ok(row.startedAt !== null && row.startedAt >= row.createdAt);
    });

    test("only the heads of sessions are claimed", async () => {
      const [first] = [await desk.submit({ sessionId: "line" }), await desk.submit({ sessionId: "line" })];
      const alone = await desk.submit();
      assert.deepEqual(idsOf(await desk.claim(await desk.worker())).sort(), [first!.id, alone.id].sort());
    });

    test("only tasks of the agents asked for are claimed", async () => {
      const other = openDesk(store);
      const mine = await desk.submit();
      await other.submit();
      assert.deepEqual(idsOf(await desk.claim(await desk.worker())), [mine.id]);
    });

    test("higher priority goes first, then the order of submission, up to the limit", async () => {
      const low = await desk.submit({ priority: -1 });
      const first = await desk.submit();
      const second = await desk.submit();
      const high = await desk.submit({ priority: 5 });
      const worker = await desk.worker();
      const pages = [await desk.claim(worker, 2), await desk.claim(worker, 1), await desk.claim(worker, 9)];
      assert.deepEqual(
        pages.map((page) => new Set(idsOf(page))),
        [new Set([high.id, first.id]), new Set([second.id]), new Set([low.id])],
      );
    });

    test("workers that claim at the same time never get the same task, and together they get all", async () => {
      await Promise.all(Array.from({ length: 60 }, () => desk.submit()));
      const workers = await Promise.all(Array.from({ length: 6 }, () => desk.worker()));
      const claims = await Promise.all(
        workers.map(async (worker) => {
          const mine: string[] = [];
          for (let page = await desk.claim(worker, 3); page.length > 0; page = await desk.claim(worker, 3)) {
            mine.push(...idsOf(page));
          }
          return mine;
        }),
      );
      const all = claims.flat();
      assert.deepEqual([all.length, new Set(all).size], [60, 60]);
    });

    test("a worker that is not in the registry any more claims nothing: nobody would ever take it from the dead", async () => {
      const task = await desk.submit();
      const [gone, late] = [await desk.worker(), await desk.worker()];
      await store.unregisterWorker(gone);
      await desk.expire(late);
      assert.deepEqual([await desk.claim(gone), await desk.claim(late), await desk.claim(systemId())], [[], [], []]);
      assert.deepEqual(idsOf(await desk.claim(await desk.worker())), [task.id]);
    });

    test("a task given back is claimed again under the next epoch, and is not new any more", async () => {
      const held = await desk.held();
      await store.release({ taskId: held.id, epoch: held.epoch, pauseMs: 0 });
      const [again] = await desk.claim(await desk.worker());
      assert.deepEqual([again?.id, again?.epoch, again?.isNew], [held.id, 2, false]);
    });

    test("a task given back with a pause waits, and is woken when the pause is over", async () => {
      const held = await desk.held();
      await store.release({ taskId: held.id, epoch: held.epoch, pauseMs: 60_000 });
      assert.equal((await desk.row(held)).status, "waiting");
      const { nextInMs } = await store.wakeDue();
      assert.ok(nextInMs !== null && nextInMs > 0);
      assert.equal((await desk.row(held)).status, "waiting");
      await database.query(sql("update task set wake_at = holdfast_now() - interval '1 ms' where id = $1", held.id));
      const woken = await Promise.all([store.wakeDue(), store.wakeDue()]);
      assert.equal(woken[0]!.woken + woken[1]!.woken, 1);
      assert.deepEqual(idsOf(await desk.claim(await desk.worker())), [held.id]);
    });

    test("a task is given back only under its own lease", async () => {
      const held = await desk.held();
      await store.release({ taskId: held.id, epoch: held.epoch - 1, pauseMs: 0 });
      assert.equal((await desk.row(held)).status, "running");
    });
  });
}
