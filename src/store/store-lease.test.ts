import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { entryOf, newTask, sql, type Held, type TaskDesk } from "../../test/support/stored-tasks.ts";
import { testStores } from "../../test/support/test-stores.ts";
import type { Entry } from "../agent/journal.ts";
import { systemId } from "../platform/ids.ts";
import { createStore, type Store } from "./store.ts";

const seqsOf = (entries: readonly Entry[]): number[] => entries.map(({ seq }) => seq);
const upTo = (most: number): number[] => Array.from({ length: most }, (_, index) => index + 1);

for (const { name, database, store, desk, empty } of await testStores()) {
  describe(`the fence of a store on ${name}`, () => {
    beforeEach(empty);

    const append = ({ id, epoch }: Pick<Held, "id" | "epoch">, ...entries: Entry[]) =>
      store.append({ taskId: id, epoch, entries });

    /** The lease of the worker runs out, somebody notices, and another worker claims the task. */
    const takeOver = async (worker: string) => {
      await desk.expire(worker);
      await store.reap();
      const other = await desk.worker();
      // A claim passes over what is locked at the moment: the worker asks again.
      for (;;) {
        const [task] = await desk.claim(other);
        if (task !== undefined) return task;
      }
    };

    test("what is appended is read back to the letter, in order", async () => {
      const task = await desk.held();
      const usage = { input: 1, cached: 0, output: 2, reasoning: 0, estimated: false };
      const input = { z: 1, a: { y: [], b: null } };
      const parts = [{ type: "text", text: 'ä"\n𝄞' } as const, { type: "call", id: "c", tool: "find", input } as const];
      const calls = [{ id: "c", needsApproval: false }];
      const model: Entry = {
        kind: "model",
        parts,
        calls,
        finish: "stop",
        model: "a/b",
        usage,
        costMicros: null,
        ttftMs: 1,
        tpotMs: 0.5,
        attempts: [],
        seq: 1,
        at: 0x18bcfe5687b,
      };
      await append(task, model, entryOf(2));
      await append(task, entryOf(3));
      const journal = await desk.journal(task);
      assert.deepEqual(journal, [model, entryOf(2), entryOf(3)]);
      assert.equal(JSON.stringify(journal[0]?.kind === "model" && journal[0].parts), JSON.stringify(parts));
    });

    test("an append says that the lease holds, and who wants the task cancelled", async () => {
      const task = await desk.held();
      const first = await append(task, entryOf(1));
      assert.deepEqual([first?.id, first?.cancelRequestedBy], [task.id, null]);
      await store.cancel({ tenant: "acme", id: task.id, by: "ann" });
      assert.equal((await append(task, entryOf(2)))?.cancelRequestedBy, "ann");
    });

    test("appends of many tasks that travel together all arrive", async () => {
      await Promise.all(Array.from({ length: 40 }, () => desk.submit()));
      const tasks = await desk.claim(await desk.worker(), 40);
      for (const seq of [1, 2, 3])
        await Promise.all(tasks.map((task) => append(task, entryOf(seq, `${task.id} ${seq}`))));
      for (const task of tasks) {
        assert.deepEqual(
          await desk.journal(task),
          upTo(3).map((seq) => entryOf(seq, `${task.id} ${seq}`)),
        );
      }
    });

    test("a repeat after a lost answer is acknowledged and changes nothing", async () => {
      const task = await desk.held();
      await append(task, entryOf(1), entryOf(2));
      assert.ok(await append(task, entryOf(1), entryOf(2)), "the same again");
      assert.ok(await append(task, entryOf(2), entryOf(3)), "the same with more");
      assert.deepEqual(await desk.journal(task), [entryOf(1), entryOf(2), entryOf(3)]);
    });

    test("a repeat does not fail the appends of others that travel with it", async () => {
      const [one, two] = [await desk.held(), await desk.held()];
      await append(one, entryOf(1));
      const both = await Promise.all([append(one, entryOf(1)), append(two, entryOf(1))]);
      assert.deepEqual(
        both.map((held) => held?.id),
        [one.id, two.id],
      );
      assert.deepEqual(await desk.journal(two), [entryOf(1)]);
    });

    test("an old epoch writes nothing: no entry, no end, no questions, no release", async () => {
      const old = await desk.held();
      await append(old, entryOf(1));
      const current = await takeOver(old.worker);
      assert.equal(current.epoch, old.epoch + 1);
      assert.equal(await append(old, entryOf(2, "of the old")), undefined);
      assert.deepEqual(await desk.finish(old, "completed", [entryOf(2)]), { held: false, promoted: false });
      assert.equal((await desk.park(old, { questions: 1, fromSeq: 2 })).parked, undefined);
      await store.release({ taskId: old.id, epoch: old.epoch, pauseMs: 0 });
      assert.ok(await append(current, entryOf(2, "of the new")));
      assert.deepEqual(await desk.journal(old), [entryOf(1), entryOf(2, "of the new")]);
      assert.equal((await desk.row(old)).status, "running");
      assert.deepEqual(await store.approvals({ tenant: "acme", status: "pending", taskId: old.id, limit: 9 }), []);
    });

    test("the old and the new epoch in one flush: only the new writes", async () => {
      const old = await desk.held();
      const current = await takeOver(old.worker);
      const answers = await Promise.all([
        append(old, entryOf(1, "of the old")),
        append(current, entryOf(1, "of the new")),
      ]);
      assert.deepEqual(
        answers.map((held) => held !== undefined),
        [false, true],
      );
      assert.deepEqual(await desk.journal(old), [entryOf(1, "of the new")]);
    });

    test("nobody appends to a task that has ended, waits or was given back", async () => {
      const [ended, parked, released] = [await desk.held(), await desk.held(), await desk.held()];
      await desk.finish(ended);
      await desk.park(parked);
      await store.release({ taskId: released.id, epoch: released.epoch, pauseMs: 0 });
      for (const task of [ended, parked, released]) {
        assert.equal(await append(task, entryOf(1)), undefined);
        assert.deepEqual(await desk.journal(task), []);
      }
    });

    test("a zombie that appends while its task is taken over leaves a journal of one voice at a time", async () => {
      for (let round = 0; round < 60; round++) {
        const old = await desk.held();
        await append(old, entryOf(1));
        const zombie = createStore(database);
        const writing = (async () => {
          const acknowledged: Entry[] = [];
          for (const seq of [2, 3, 4, 5]) {
            const entry = entryOf(seq, "of the old");
            const held = await zombie
              .append({ taskId: old.id, epoch: old.epoch, entries: [entry] })
              .catch(() => undefined);
            if (held === undefined) break;
            acknowledged.push(entry);
          }
          return acknowledged;
        })();
        const { epoch } = await takeOver(old.worker);
        const known = await desk.journal(old);
        const entry = entryOf(known.length + 1, "of the new");
        const held = await append({ id: old.id, epoch }, entry).catch(() => undefined);
        const acknowledged = [...(await writing), ...(held === undefined ? [] : [entry])];
        const journal = await desk.journal(old);
        assert.deepEqual(seqsOf(journal), upTo(journal.length), "without a gap");
        assert.deepEqual(journal.slice(0, known.length), known, "what the new one read stays");
        for (const each of acknowledged) assert.deepEqual(journal[each.seq - 1], each, "acknowledged entries stand");
        const epochs = await database.query<{ epoch: number }>(
          sql("select epoch from entry where task_id = $1 order by seq", old.id),
        );
        assert.deepEqual(
          epochs,
          epochs.toSorted((a, b) => a.epoch - b.epoch),
          "no old epoch after a new one",
        );
        await desk.finish({ ...old, epoch });
      }
    });
  });

  describe(`workers in a store on ${name}`, () => {
    beforeEach(empty);

    test("a heartbeat extends a lease, and answers nothing when it has run out", async () => {
      const worker = await desk.worker(60_000);
      assert.deepEqual(await store.heartbeat({ id: worker, leaseMs: 60_000 }), { cancelled: [], interrupts: [] });
      await desk.expire(worker);
      assert.equal(await store.heartbeat({ id: worker, leaseMs: 60_000 }), undefined);
      assert.equal(await store.heartbeat({ id: systemId(), leaseMs: 60_000 }), undefined);
    });

    test("a heartbeat tells which of its tasks somebody wants cancelled", async () => {
      const [mine, other] = [await desk.held(), await desk.held()];
      for (const { id } of [mine, other]) await store.cancel({ tenant: "acme", id, by: "ann" });
      const beat = await store.heartbeat({ id: mine.worker, leaseMs: 60_000 });
      assert.deepEqual(beat?.cancelled, [{ id: mine.id, by: "ann" }]);
    });

    test("to register again after a lost answer is no error", async () => {
      const worker = { id: systemId(), leaseMs: 60_000, info: { host: "a" } };
      await store.registerWorker(worker);
      await store.registerWorker(worker);
      assert.ok(await store.heartbeat(worker));
    });

    test("the tasks of a worker whose lease has run out are pending again, those of the living are not", async () => {
      const [dead, alive] = [await desk.held(), await desk.held()];
      await desk.expire(dead.worker);
      assert.deepEqual(await store.reap(), [{ id: dead.id }]);
      assert.deepEqual([(await desk.row(dead)).status, (await desk.row(alive)).status], ["pending", "running"]);
      assert.equal(
        await store.heartbeat({ id: dead.worker, leaseMs: 60_000 }),
        undefined,
        "its lease does not come back",
      );
    });

    test("the tasks of a process whose lock is free are pending again when it is said to be dead, and not before", async () => {
      const [dead, alive] = [await desk.held(), await desk.held()];
      const lock = database.holdLock();
      await store.heartbeat({ id: dead.worker, leaseMs: 60_000, lockKey: "-7" });
      if (lock.held === null && database.kind === "server") {
        await new Promise<void>((resolve) => lock.onChange(resolve));
      }
      await store.heartbeat({ id: alive.worker, leaseMs: 60_000, lockKey: lock.held?.key ?? null });
      const { expired, freeLocks } = await store.deaths();
      assert.deepEqual([expired, freeLocks], [0, ["-7"]], "the other is held, or there is none to look for");
      assert.deepEqual(await store.reap(), []);
      assert.deepEqual(await store.reap(["-7", ...(lock.held === null ? [] : [lock.held.key])]), [{ id: dead.id }]);
      assert.equal((await desk.row(alive)).status, "running");
      await lock.release();
    });

    test("each task of the dead is taken over once, however many look for them", async () => {
      const tasks = await Promise.all(Array.from({ length: 30 }, () => desk.submit()));
      const workers = [await desk.worker(), await desk.worker(), await desk.worker()];
      for (const worker of workers) await desk.claim(worker, 10);
      for (const worker of workers) await desk.expire(worker);
      const reaped = (await Promise.all([store.reap(), store.reap(), store.reap(), store.reap()])).flat();
      assert.equal(reaped.length, tasks.length);
      assert.deepEqual(new Set(reaped.map(({ id }) => id)), new Set(tasks.map(({ id }) => id)));
    });

    test("no claim is left with a dead worker, however it meets a reaper", async () => {
      for (let round = 0; round < 100; round++) {
        const { id } = await desk.submit();
        const worker = await desk.worker();
        const other = createStore(database);
        const claim = round % 2 === 0 ? () => desk.claim(worker) : () => submitTo(store, desk, worker);
        await Promise.all([claim(), desk.expire(worker).then(() => other.reap())]);
        await store.reap();
        const orphans = await database.query(
          sql(`select t.id from task t where t.status = 'running'
               and not exists (select from worker w where w.id = t.lease_owner)`),
        );
        assert.deepEqual(orphans, [], `round ${round}, task ${id}`);
      }
    });

    test("a worker that leaves gives back what it still holds", async () => {
      const task = await desk.held();
      await store.unregisterWorker(task.worker);
      assert.equal((await desk.row(task)).status, "pending");
    });

    test("a worker gives back what the store says it runs and it does not, and nothing of others", async () => {
      const [known, lost] = [await desk.submit(), await desk.submit()];
      const worker = await desk.worker();
      await desk.claim(worker);
      const other = await desk.held();
      assert.deepEqual(await store.reconcile({ id: worker, running: [known.id], left: [] }), [{ id: lost.id }]);
      const statuses = await Promise.all([known, lost, other].map(async (task) => (await desk.row(task)).status));
      assert.deepEqual(statuses, ["running", "pending", "running"]);
    });

    test("of what a worker gives back, only a run that was left in the middle may have lost a call", async () => {
      const tasks = [await desk.submit(), await desk.submit(), await desk.submit()];
      const worker = await desk.worker();
      const [left, stale] = await desk.claim(worker);
      await store.reconcile({ id: worker, running: [], left: [left!, { ...stale!, epoch: stale!.epoch - 1 }] });
      const again = await desk.claim(await desk.worker());
      assert.equal(again.length, tasks.length);
      for (const { id, callMayBeLost } of again) assert.equal(callMayBeLost, id === left!.id, id);
    });

    test("who is alone by the lock of its directory takes over everything at once", async () => {
      const tasks = [await desk.held(), await desk.held()];
      await store.reapAll();
      for (const task of tasks) assert.equal((await desk.row(task)).status, "pending");
      assert.deepEqual(await database.query(sql("select id from worker")), []);
    });
  });
}

function submitTo(store: Store, { agent }: TaskDesk, worker: string): Promise<unknown> {
  return store.submit({ task: newTask({ agent }), worker });
}
