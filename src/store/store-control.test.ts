import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { entryOf, noProgress, questionOf } from "../../test/support/stored-tasks.ts";
import { testStores } from "../../test/support/test-stores.ts";
import type { Answer } from "../agent/journal.ts";
import { systemId } from "../platform/ids.ts";
import { createStore } from "./store.ts";

const tenant = "acme";
const approve: Answer = { decision: "approve" };

for (const { name, database, store, desk, empty } of await testStores()) {
  describe(`waiting and answering in a store on ${name}`, () => {
    beforeEach(empty);

    const answer = (taskId: string, approvalId: string, given: Answer = approve) =>
      store.answer({ tenant, approvalId, taskId, answer: given, by: "ann" });

    test("a parked task holds no worker, shows how far it is, and its questions are approvals", async () => {
      const task = await desk.held();
      const id = systemId();
      const progress = { ...noProgress, output: "So far", stepsUsed: 2, tokensUsed: 30, toolCalls: 1, costMicros: 9 };
      const entries = [entryOf(1), questionOf(2, id)];
      const { agent, epoch } = task;
      assert.ok(await store.park({ taskId: task.id, tenant, agent, epoch, entries, wakeInMs: null, progress }));
      const { status, output, stepsUsed, tokensUsed, toolCalls, costMicros } = await desk.row(task);
      assert.deepEqual(
        { status, output, stepsUsed, tokensUsed, toolCalls, costMicros },
        { status: "waiting", ...progress },
      );
      assert.deepEqual(await desk.journal(task), entries);
      const { createdAt, ...approval } = (await store.approval(tenant, id))!;
      assert.ok(createdAt > 0);
      assert.deepEqual(approval, {
        id,
        taskId: task.id,
        agent: desk.agent,
        kind: "tool",
        callId: "call_2",
        tool: "refund",
        input: { amount: 2 },
        inputHash: "hash",
        reason: "It costs money.",
        status: "pending",
        answer: null,
        answeredBy: null,
        answeredAt: null,
        expiresAt: null,
      });
      assert.deepEqual(await store.reap(), [], "nobody's death can take it");
    });

    test("text that PostgreSQL refuses does not keep a task from being parked", async () => {
      const task = await desk.held();
      const { agent, epoch } = task;
      const progress = { ...noProgress, output: "a\0b \ud800" };
      await store.park({ taskId: task.id, tenant, agent, epoch, entries: [], wakeInMs: null, progress });
      assert.equal((await desk.row(task)).output, "a\ufffdb \ufffd");
    });

    test("a task somebody wants cancelled is not parked", async () => {
      const task = await desk.held();
      await store.cancel({ tenant, id: task.id, by: "ann" });
      const { parked, approvals } = await desk.park(task, { questions: 1 });
      assert.equal(parked?.cancelRequestedBy, "ann");
      assert.deepEqual([(await desk.row(task)).status, await desk.journal(task)], ["running", []]);
      assert.equal(await store.approval(tenant, approvals[0]!), undefined);
    });

    test("a task parked until a time is woken then, once", async () => {
      const task = await desk.held();
      await desk.park(task, { wakeInMs: 0 });
      const other = await desk.held();
      await desk.park(other, { wakeInMs: 600_000 });
      const woken = await Promise.all([store.wakeDue(), createStore(database).wakeDue()]);
      assert.equal(woken[0].woken + woken[1].woken, 1);
      assert.ok((woken[0].nextInMs ?? 0) > 0);
      assert.deepEqual([(await desk.row(task)).status, (await desk.row(other)).status], ["pending", "waiting"]);
    });

    test("an answer is in the journal and wakes the task under a new epoch", async () => {
      const task = await desk.held();
      const { approvals } = await desk.park(task, { questions: 1 });
      const given: Answer = { decision: "edit", input: { b: 1, a: "\0" } };
      assert.equal(await answer(task.id, approvals[0]!, given), true);
      const [, entry] = await desk.journal(task);
      const stored = { decision: "edit", input: { b: 1, a: "\ufffd" } };
      assert.deepEqual(
        { ...entry, at: 0 },
        { kind: "answer", approvalId: approvals[0], answer: stored, by: "ann", seq: 2, at: 0 },
      );
      const row = await store.approval(tenant, approvals[0]!);
      assert.deepEqual([row?.status, row?.answer, row?.answeredBy], ["answered", stored, "ann"]);
      assert.ok(row!.answeredAt! >= row!.createdAt);
      const [again] = await desk.claim(await desk.worker());
      assert.deepEqual([again?.id, again?.epoch], [task.id, 2]);
    });

    test("two questions answered at the same time both stick, and the task wakes once, when all are answered", async () => {
      for (let round = 0; round < 20; round++) {
        const task = await desk.held();
        const { approvals } = await desk.park(task, { questions: 3 });
        assert.equal(await answer(task.id, approvals[0]!), true);
        assert.equal((await desk.row(task)).status, "waiting");
        const other = createStore(database);
        const both: boolean[] = await Promise.all([
          answer(task.id, approvals[1]!),
          other.answer({ tenant, approvalId: approvals[2]!, taskId: task.id, answer: approve, by: "bob" }),
        ]);
        assert.deepEqual(both, [true, true]);
        const journal = await desk.journal(task);
        assert.deepEqual(
          journal.map(({ seq, kind }) => [seq, kind]),
          [...[1, 2, 3].map((seq) => [seq, "question"]), ...[4, 5, 6].map((seq) => [seq, "answer"])],
        );
        const [again, ...more] = await desk.claim(await desk.worker());
        assert.deepEqual([again?.id, more], [task.id, []]);
        await desk.finish(again!);
      }
    });

    test("a question is answered once, whoever is first", async () => {
      const task = await desk.held();
      const { approvals } = await desk.park(task, { questions: 1 });
      const others = [store, createStore(database), createStore(database)];
      const answers = await Promise.all(
        others.map((each, n) =>
          each.answer({ tenant, approvalId: approvals[0]!, taskId: task.id, answer: approve, by: `person ${n}` }),
        ),
      );
      assert.equal(answers.filter(Boolean).length, 1);
      assert.equal((await desk.journal(task)).length, 2);
      assert.equal(await answer(task.id, approvals[0]!), false);
    });

    test("an answer in another tenant's name, or for another task, changes nothing", async () => {
      const [task, other] = [await desk.held(), await desk.held()];
      const { approvals } = await desk.park(task, { questions: 1 });
      await desk.park(other, { questions: 1 });
      const command = { approvalId: approvals[0]!, taskId: task.id, answer: approve, by: "eve" };
      assert.equal(await store.answer({ ...command, tenant: "globex" }), false);
      assert.equal(await store.answer({ ...command, tenant, taskId: other.id }), false);
      assert.equal(await store.answer({ ...command, tenant, approvalId: systemId() }), false);
      assert.deepEqual([(await desk.row(task)).status, (await desk.row(other)).status], ["waiting", "waiting"]);
      assert.equal((await store.approval(tenant, approvals[0]!))?.status, "pending");
    });
  });

  describe(`cancelling and replaying in a store on ${name}`, () => {
    beforeEach(empty);

    const cancel = (id: string, by = "ann") => store.cancel({ tenant, id, by });

    test("a pending task ends at once, with an end in its journal and its reason in its row", async () => {
      const task = await desk.submit();
      assert.equal(await cancel(task.id), "pending");
      const row = await desk.row(task);
      assert.deepEqual(
        [row.status, row.error, row.errorMessage, row.output],
        ["cancelled", "cancelled", "Cancelled by ann.", ""],
      );
      assert.ok(row.finishedAt !== null && !row.deadLetter);
      const message = { status: "cancelled", error: "cancelled", message: "Cancelled by ann." };
      assert.deepEqual(
        (await desk.journal(task)).map((entry) => ({ ...entry, at: 0 })),
        [{ kind: "end", seq: 1, at: 0, ...message }],
      );
      assert.equal((await store.session(tenant, task.sessionId))?.openTasks, 0);
      assert.deepEqual(await desk.claim(await desk.worker()), []);
    });

    test("a task cancelled at the head of its session makes way, one in the middle changes nothing for the others", async () => {
      const tasks = [1, 2, 3].map(() => desk.submit({ sessionId: "line" }));
      const [first, second, third] = await Promise.all(tasks);
      await cancel(second!.id);
      assert.deepEqual([await desk.isHead(first!), await desk.isHead(third!)], [true, false]);
      await cancel(first!.id);
      assert.equal(await desk.isHead(third!), true);
      assert.equal((await store.session(tenant, "line"))?.openTasks, 1);
    });

    test("a running task is only asked to end, by the first who asks", async () => {
      const task = await desk.held();
      assert.equal(await cancel(task.id), "running");
      assert.equal(await cancel(task.id, "bob"), "running");
      const row = await desk.row(task);
      assert.deepEqual([row.status, row.cancelRequestedBy], ["running", "ann"]);
    });

    test("a request to cancel survives the death of the worker that should have heard it", async () => {
      const task = await desk.held();
      await cancel(task.id);
      await desk.expire(task.worker);
      await store.reap();
      const [again] = await desk.claim(await desk.worker());
      assert.equal(again?.cancelRequestedBy, "ann");
    });

    test("a waiting task ends at once and its questions are withdrawn", async () => {
      const task = await desk.held();
      const { approvals } = await desk.park(task, { questions: 2 });
      assert.equal(await cancel(task.id), "waiting");
      assert.equal((await desk.row(task)).status, "cancelled");
      assert.deepEqual(
        (await desk.journal(task)).map(({ seq, kind }) => [seq, kind]),
        [
          [1, "question"],
          [2, "question"],
          [3, "end"],
        ],
      );
      for (const id of approvals) assert.equal((await store.approval(tenant, id))?.status, "cancelled");
      assert.equal(
        await store.answer({ tenant, approvalId: approvals[0]!, taskId: task.id, answer: approve, by: "ann" }),
        false,
      );
    });

    test("a task that has ended stays as it is", async () => {
      for (const status of ["completed", "failed", "cancelled"] as const) {
        const task = await desk.held();
        await desk.finish(task, status);
        const before = await desk.row(task);
        assert.equal(await cancel(task.id), status);
        assert.deepEqual(await desk.row(task), before);
        assert.deepEqual(await desk.journal(task), []);
      }
    });

    test("another tenant's task, or none, is not found and not touched", async () => {
      const task = await desk.submit();
      assert.equal(await store.cancel({ tenant: "globex", id: task.id, by: "eve" }), undefined);
      assert.equal(await cancel(systemId()), undefined);
      assert.equal((await desk.row(task)).status, "pending");
    });

    test("an answer and a cancel at the same time leave a journal without a gap, and the task woken or ended", async () => {
      for (let round = 0; round < 20; round++) {
        const task = await desk.held();
        const { approvals } = await desk.park(task, { questions: 1 });
        const other = createStore(database);
        await Promise.all([
          store.answer({ tenant, approvalId: approvals[0]!, taskId: task.id, answer: approve, by: "ann" }),
          other.cancel({ tenant, id: task.id, by: "bob" }),
        ]);
        const journal = await desk.journal(task);
        assert.deepEqual(
          journal.map(({ seq }) => seq),
          journal.map((_, index) => index + 1),
        );
        const { status } = await desk.row(task);
        assert.equal(status, "cancelled");
        assert.equal(journal.at(-1)?.kind, "end");
      }
    });

    test("a failed task is a dead letter until it is discarded, and stays failed", async () => {
      const task = await desk.held();
      await desk.finish(task, "failed");
      const deadLetters = () => store.tasks({ tenant, agent: desk.agent, deadLetter: true, limit: 9 });
      assert.deepEqual(
        (await deadLetters()).map(({ id }) => id),
        [task.id],
      );
      assert.equal(await store.discard({ tenant: "globex", id: task.id }), false);
      assert.equal(await store.discard({ tenant, id: task.id }), true);
      assert.equal(await store.discard({ tenant, id: task.id }), false);
      assert.deepEqual([await deadLetters(), (await desk.row(task)).status], [[], "failed"]);
      assert.equal(await store.replay({ tenant, id: task.id, prompt: null, by: "ann" }), false);
    });

    test("a dead letter that is replayed goes to the end of its session's line", async () => {
      const sessionId = systemId();
      const failed = await desk.held({ sessionId });
      const next = await desk.submit({ sessionId });
      await desk.finish(failed, "failed", [entryOf(1)]);
      assert.equal(await store.replay({ tenant: "globex", id: failed.id, prompt: null, by: "eve" }), false);
      assert.equal(await store.replay({ tenant, id: failed.id, prompt: "Again", by: "ann" }), true);
      assert.equal(
        await store.replay({ tenant, id: failed.id, prompt: null, by: "ann" }),
        false,
        "it is none any more",
      );
      const row = await desk.row(failed);
      const { status, position, deadLetter, error, output, finishedAt } = row;
      assert.deepEqual(
        { status, position, deadLetter, error, output, finishedAt },
        {
          status: "pending",
          position: 3,
          deadLetter: false,
          error: null,
          output: null,
          finishedAt: null,
        },
      );
      assert.deepEqual([await desk.isHead(next), await desk.isHead(failed)], [true, false]);
      const [, replayed] = await desk.journal(failed);
      assert.deepEqual({ ...replayed, at: 0 }, { kind: "replay", prompt: "Again", by: "ann", seq: 2, at: 0 });
      await desk.finish((await desk.claim(await desk.worker()))[0]!);
      const [again] = await desk.claim(await desk.worker());
      assert.deepEqual([again?.id, again?.epoch, again?.isNew], [failed.id, 2, false]);
    });

    test("a dead letter whose session has nothing else open leads at once", async () => {
      const failed = await desk.held();
      await desk.finish(failed, "failed");
      await store.replay({ tenant, id: failed.id, prompt: null, by: "ann" });
      assert.equal((await desk.claim(await desk.worker()))[0]?.id, failed.id);
    });

    test("of several who replay a dead letter at once one succeeds", async () => {
      const failed = await desk.held();
      await desk.finish(failed, "failed");
      const stores = [store, createStore(database), createStore(database)];
      const replays = await Promise.all(
        stores.map((each) => each.replay({ tenant, id: failed.id, prompt: null, by: "ann" })),
      );
      assert.equal(replays.filter(Boolean).length, 1);
      assert.equal((await store.session(tenant, failed.sessionId))?.openTasks, 1);
    });
  });
}
