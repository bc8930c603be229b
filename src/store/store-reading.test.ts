import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { beforeEach, describe, test } from "node:test";
import { entryOf, newTask, sql } from "../../test/support/stored-tasks.ts";
import { testStores } from "../../test/support/test-stores.ts";
import { systemId } from "../platform/ids.ts";
import { noEntries } from "./queries/task-news.ts";
import { createStore } from "./store.ts";

const tenant = "acme";
const idsOf = (rows: readonly { id: string }[]): string[] => rows.map(({ id }) => id);

for (const { name, database, store, desk, empty } of await testStores()) {
  describe(`reading from a store on ${name}`, () => {
    beforeEach(empty);
    const keyOf = ({ id }: { id: string }) => ({ tenant, id });
    const newsOf = (task: { id: string }, afterSeq = 0) => store.taskNews({ ...keyOf(task), afterSeq });

    test("tasks are listed newest first, by any filter, page by page", async () => {
      const sessionId = systemId();
      const tasks = [];
      for (let n = 0; n < 5; n++) tasks.push(await desk.submit(n % 2 === 0 ? { sessionId, userId: "ann" } : {}));
      const list = async (filter: object) =>
        idsOf(await store.tasks({ tenant, agent: desk.agent, limit: 10, ...filter }));
      const newestFirst = idsOf(tasks).toReversed();
      assert.deepEqual(await list({}), newestFirst);
      assert.deepEqual(await list({ limit: 2, before: newestFirst[1] }), newestFirst.slice(2, 4));
      const even = newestFirst.filter((_, index) => index % 2 === 0);
      assert.deepEqual([await list({ sessionId }), await list({ userId: "ann" })], [even, even]);
      assert.deepEqual([await list({ status: "pending" }), await list({ status: "failed" })], [newestFirst, []]);
    });

    test("a journal is read page by page", async () => {
      const task = await desk.held();
      await store.append({ taskId: task.id, epoch: 1, entries: [1, 2, 3, 4, 5].map((seq) => entryOf(seq)) });
      const page = async (afterSeq: number, limit: number) =>
        (await store.journal({ tenant, taskId: task.id, afterSeq, limit })).map(({ seq }) => seq);
      assert.deepEqual(
        [await page(0, 2), await page(2, 2), await page(4, 2), await page(5, 2)],
        [[1, 2], [3, 4], [5], []],
      );
    });

    test("the exchanges of a session are its completed tasks, the last ones, newest first", async () => {
      const sessionId = systemId();
      const ids: string[] = [];
      for (const status of ["completed", "failed", "completed", "cancelled", "completed"] as const) {
        const task = await desk.held({ sessionId });
        ids.push(task.id);
        await desk.finish(task, status);
      }
      const read = async (before: number | null, limit: number) =>
        idsOf(await store.exchanges({ tenant, sessionId, before, limit }));
      assert.deepEqual(await read(null, 10), [ids[4], ids[2], ids[0]]);
      assert.deepEqual([await read(5, 10), await read(null, 1)], [[ids[2], ids[0]], [ids[4]]]);
    });

    test("a fork begins with a copy of the stretch it was made from, and is not new", async () => {
      const original = await desk.held();
      await store.append({ taskId: original.id, epoch: 1, entries: [1, 2, 3, 4].map((seq) => entryOf(seq)) });
      const fork = newTask({ agent: desk.agent, forkedFrom: original.id });
      await store.fork(fork, { from: original.id, afterSeq: 1, upToSeq: 3 });
      assert.deepEqual(await desk.journal(fork), [
        { ...entryOf(2), seq: 1 },
        { ...entryOf(3), seq: 2 },
      ]);
      const [claimed] = await desk.claim(await desk.worker());
      assert.deepEqual([claimed?.id, claimed?.isNew], [fork.id, false]);
      await store.append({ taskId: fork.id, epoch: claimed!.epoch, entries: [entryOf(3, "its own")] });
      assert.equal((await desk.journal(original)).length, 4);
    });

    test("a fork that meets the deletion of its original is whole, or is not stored", async () => {
      for (let round = 0; round < 20; round++) {
        const original = await desk.held();
        await desk.finish(
          original,
          "completed",
          [1, 2, 3].map((seq) => entryOf(seq)),
        );
        const fork = newTask({ agent: desk.agent, forkedFrom: original.id });
        const [forked] = await Promise.allSettled([
          store.fork(fork, { from: original.id, afterSeq: 0, upToSeq: 3 }),
          store.deleteSession(tenant, original.sessionId),
        ]);
        const isStored = (await store.task(keyOf(fork))) !== undefined;
        assert.equal(isStored, forked.status === "fulfilled");
        assert.equal((await desk.journal(fork)).length, isStored ? 3 : 0);
        if (forked.status === "rejected") assert.equal(forked.reason.code, "task_not_found");
      }
      const { id } = newTask();
      const orphan = newTask({ forkedFrom: id });
      await assert.rejects(store.fork(orphan, { from: id, afterSeq: 0, upToSeq: 3 }), { code: "task_not_found" });
      assert.equal(await store.task(keyOf(orphan)), undefined);
      assert.equal(await store.session(tenant, orphan.sessionId), undefined);
    });

    test("a session is deleted with all that belongs to it, unless a task of it is open", async () => {
      const sessionId = systemId();
      const asked = await desk.held({ sessionId });
      const { approvals } = await desk.park(asked, { questions: 1 });
      assert.equal(await store.deleteSession(tenant, sessionId), false);
      assert.equal((await store.session(tenant, sessionId))?.openTasks, 1);
      await store.cancel({ tenant, id: asked.id, by: "ann" });
      assert.equal(await store.deleteSession("globex", sessionId), undefined);
      assert.equal(await store.deleteSession(tenant, sessionId), true);
      assert.equal(await store.deleteSession(tenant, sessionId), undefined);
      assert.equal(await store.task({ tenant, id: asked.id }), undefined);
      assert.equal(await store.approval(tenant, approvals[0]!), undefined);
      assert.deepEqual(await desk.journal(asked), []);
    });

    test("a submit that meets the deletion of its session is stored, and leads", async () => {
      for (let round = 0; round < 20; round++) {
        const sessionId = systemId();
        await desk.finish(await desk.held({ sessionId }));
        const other = createStore(database);
        const [task] = await Promise.all([desk.submit({ sessionId }), other.deleteSession(tenant, sessionId)]);
        const [claimed] = await desk.claim(await desk.worker());
        assert.equal(claimed?.id, task.id, `round ${round}`);
        await desk.finish(claimed!);
      }
    });

    test("the same large value is kept once for each tenant", async () => {
      const text = JSON.stringify("x".repeat(100_000));
      const content = { hash: createHash("sha256").update(text).digest("hex"), content: text };
      for (const owner of [tenant, tenant, "globex"]) {
        await store.keepLarge({ tenant: owner, taskId: systemId(), ...content });
      }
      assert.equal(await store.largeValue(tenant, content.hash), content.content);
      const [row] = await database.query<{ n: number }>(
        sql("select count(*) as n from large_value where hash = $1", content.hash),
      );
      assert.equal(row?.n, 2);
      await assert.rejects(store.largeValue("initech", content.hash), { code: "large_value_not_found" });
    });

    test("a partial text is replaced, removed when it is empty, and gone when the task ends", async () => {
      const [one, two] = [await desk.held(), await desk.held()];
      const turn = { afterSeq: 0, epoch: 1, attempt: 1 };
      const save = (...texts: string[]) =>
        store.savePartials([one, two].map(({ id }, index) => ({ taskId: id, turn, text: texts[index] ?? "" })));
      const kept = () => Promise.all([one, two].map(async (task) => (await newsOf(task)).partial?.text));
      await save("Hel", "W\0o");
      await save("Hello", "World");
      assert.deepEqual(await kept(), ["Hello", "World"]);
      await save("", "World!");
      assert.deepEqual(await kept(), [undefined, "World!"]);
      await desk.finish(two);
      assert.deepEqual(await kept(), [undefined, undefined]);
    });

    test("a partial text gives way to that of a later attempt, and never to that of an earlier one", async () => {
      const task = await desk.held();
      const save = (epoch: number, attempt: number, text: string) =>
        store.savePartials([{ taskId: task.id, turn: { afterSeq: 0, epoch, attempt }, text }]);
      await save(2, 7, "of the new worker");
      await save(1, 9, "of one that lost the task");
      await save(1, 9, "");
      assert.deepEqual((await newsOf(task)).partial, {
        turn: { afterSeq: 0, epoch: 2, attempt: 7 },
        text: "of the new worker",
      });
      await save(2, 8, "again");
      assert.equal((await newsOf(task)).partial?.text, "again");
      await desk.finish(task);
    });

    test("a partial text outlasts the worker that lost its task, until the next one has one of its own", async () => {
      const task = await desk.held();
      const save = (epoch: number, text: string) =>
        store.savePartials([{ taskId: task.id, turn: { afterSeq: 0, epoch, attempt: 1 }, text }]);
      await save(task.epoch, "It is not done yet");
      await desk.expire(task.worker);
      await store.reap();
      await save(task.epoch, "");
      assert.equal(await store.textInFlight(task.id, 0), "It is not done yet", "it is still to be charged");
      await save(task.epoch + 1, "Done");
      await save(task.epoch + 1, "");
      assert.equal(await store.textInFlight(task.id, 0), "");
    });

    test("the news of many tasks at once are what each of their watchers does not know", async () => {
      const running = await desk.held();
      const done = await desk.held();
      const entries = Array.from({ length: 25 }, (_, index) => entryOf(index + 1));
      await store.append({ taskId: running.id, epoch: running.epoch, entries });
      await desk.finish(done, "completed", [entryOf(1)]);
      const [all, some, none, beyond, end, other] = await Promise.all([
        newsOf(running),
        newsOf(running, 23),
        newsOf(running, 25),
        newsOf(running, 99),
        newsOf(done, noEntries),
        store.taskNews({ tenant: "globex", id: done.id, afterSeq: 0 }),
      ]);
      assert.deepEqual([all.entries.length, all.lastSeq, all.ended], [20, 25, undefined]);
      assert.deepEqual(
        some.entries.map(({ seq }) => seq),
        [24, 25],
      );
      assert.deepEqual([none.entries.length, none.lastSeq], [0, 25]);
      assert.deepEqual([beyond.entries.length, beyond.lastSeq], [0, 25]);
      assert.deepEqual([end.ended?.id, end.ended?.status, end.entries.length], [done.id, "completed", 0]);
      assert.deepEqual([other.entries.length, other.ended], [0, undefined], "a tenant sees nothing of another's");
      const pages = await Promise.all(
        [0, 20, 20].map((afterSeq) => store.entriesAfter({ ...keyOf(running), afterSeq })),
      );
      assert.deepEqual(
        pages.map((page) => page.map(({ seq }) => seq).slice(0, 2)),
        [
          [1, 2],
          [21, 22],
          [21, 22],
        ],
      );
      await desk.finish(running);
    });

    test("a tenant sees nothing of another's", async () => {
      const sessionId = systemId();
      const task = await desk.held({ sessionId });
      const { approvals } = await desk.park(task, { questions: 1 });
      const done = await desk.held({ sessionId: `${sessionId} done` });
      await desk.finish(done, "completed", [entryOf(1)]);
      const tenantless = (other: string) =>
        Promise.all([
          store.task({ tenant: other, id: task.id }),
          store.tasks({ tenant: other, agent: desk.agent, limit: 9 }),
          store.journal({ tenant: other, taskId: done.id, afterSeq: 0, limit: 9 }),
          store.approval(other, approvals[0]!),
          store.approvals({ tenant: other, status: "pending", taskId: task.id, limit: 9 }),
          store.session(other, sessionId),
          store.exchanges({ tenant: other, sessionId: done.sessionId, before: null, limit: 9 }),
        ]);
      assert.deepEqual(await tenantless("globex"), [undefined, [], [], undefined, [], undefined, []]);
      const own = await tenantless(tenant);
      assert.ok(
        own.every((read) => read !== undefined && (!Array.isArray(read) || read.length > 0)),
        "its own it sees",
      );
    });

    test("two tenants may have sessions of the same name, each with its own line", async () => {
      const sessionId = systemId();
      const mine = await desk.submit({ sessionId });
      const theirs = await desk.submit({ sessionId, tenant: "globex" });
      assert.deepEqual([await desk.isHead(mine), await desk.isHead(theirs)], [true, true]);
      const claimed = await desk.claim(await desk.worker());
      assert.equal(claimed.length, 2);
      await Promise.all(claimed.map((task) => desk.finish(task, task.id === mine.id ? "completed" : "failed")));
      assert.equal((await store.session(tenant, sessionId))?.version, 1);
      assert.equal((await store.session("globex", sessionId))?.version, 0);
    });

    test("approvals are listed oldest first, by status and task, page by page", async () => {
      const task = await desk.held();
      const { approvals } = await desk.park(task, { questions: 3 });
      const list = async (filter: object) =>
        idsOf(await store.approvals({ tenant, status: "pending", taskId: task.id, limit: 9, ...filter }));
      assert.deepEqual(await list({}), approvals);
      assert.deepEqual(await list({ after: approvals[0], limit: 1 }), [approvals[1]]);
      const approvalId = approvals[1]!;
      await store.answer({ tenant, approvalId, taskId: task.id, answer: { decision: "approve" }, by: "ann" });
      assert.deepEqual(
        [await list({}), await list({ status: "answered" })],
        [[approvals[0], approvals[2]], [approvalId]],
      );
    });
  });
}
